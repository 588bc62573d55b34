//! Standard output, written whole by one writer.
//!
//! A reader who has seen enough (`| head`) is no failure; a full disk is one.

use std::fmt;
use std::io::{self, Write};

use crate::run::{Failure, reason};

/// Writes all of a command's result.
pub(crate) fn print(text: impl fmt::Display) -> Result<(), Failure> {
    let text = text.to_string();
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Other(format!(
            "cannot write to standard output: {}",
            reason(&error)
        ))),
        Ok(()) => Ok(()),
    }
}
