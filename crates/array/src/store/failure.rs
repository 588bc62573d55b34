//! Files that are not what they should be.

use std::io;
use std::path::Path;

use flagstone_common::{Error, ErrorKind};

/// A file that the system does not let us read.
pub(crate) fn unreadable(path: &Path, error: io::Error) -> Error {
    let what = match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => sentence(&error),
    };
    failure(path, &what, Some(error))
}

/// What the system says, without the number of the error.
fn sentence(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((sentence, _)) => sentence.to_owned(),
        None => text,
    }
}

pub(crate) fn failure(path: &Path, what: &str, source: Option<io::Error>) -> Error {
    let error = Error::new(
        ErrorKind::Failed,
        format!("cannot read {}: {what}", path.display()),
    );
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
}
