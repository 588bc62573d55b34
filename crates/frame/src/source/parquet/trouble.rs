//! What is wrong with a file of columns, in words that name it.
//!
//! Decoders of other people's files meet anything, and some of it makes them panic. Every call of
//! one goes through [`caught`], so that what is wrong has the file's name and its place in it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use flagstone_common::{Error, ErrorKind, Result};
use parquet::errors::ParquetError;

use crate::error::{lower_case, parquet_error, system_error, without_category};

/// Calls a decoder; a panic of it becomes an error as any other.
pub(crate) fn caught<T>(
    path: &Path,
    place: impl Fn() -> String,
    decode: impl FnOnce() -> Result<T>,
) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(result) => result.map_err(|error| located(path, &place(), error)),
        Err(payload) => {
            let reason = format!("the decoder gave up: {}", text_of(&*payload));
            Err(located(path, &place(), Error::failed(reason)))
        }
    }
}

/// Calls a decoder that fails with the library's own error.
pub(super) fn caught_parquet<T>(
    path: &Path,
    place: impl Fn() -> String,
    decode: impl FnOnce() -> std::result::Result<T, ParquetError>,
) -> Result<T> {
    caught(path, place, || decode().map_err(parquet_error))
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    let text = owned.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("no reason was given")
}

/// The error with its place and a way out. A failure of the disk, and a want of memory, stay what
/// they were.
fn located(path: &Path, place: &str, error: Error) -> Error {
    if error.kind() != ErrorKind::Failed {
        return error;
    }
    let reason = without_category(error.message());
    // what the system says of the disk says nothing of the file; some decoders keep only its words
    if system_error(&error).is_some() || reason.contains(" (os error ") {
        let message = format!("cannot read {}: {reason}", path.display());
        return Error::failed(message).with_source(error);
    }
    let unsupported = [
        "NYI: ",
        "Disabled feature at compile time: ",
        "Not yet implemented: ",
    ];
    let unsupported = unsupported
        .iter()
        .find_map(|category| reason.strip_prefix(category));
    let (reason, advice) = match unsupported {
        Some(reason) => (
            reason,
            "this is not supported: write the file again with another codec or encoding",
        ),
        None => (
            reason,
            "the file is damaged or cut short: write it again, or leave it out",
        ),
    };
    let reason = lower_case(reason.trim_end_matches('.'));
    let message = format!(
        "{}: {place} cannot be read: {reason}; {advice}",
        path.display()
    );
    Error::failed(message).with_source(error)
}

/// A file that is whole and that we do not read.
pub(super) fn refused(path: &Path, what: &str) -> Error {
    Error::failed(format!("{}: {what}", path.display()))
}
