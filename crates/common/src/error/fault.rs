//! What can be wrong with a file, and the way of errors through `std::io`.

use std::io;
use std::path::Path;

use super::{Error, ErrorKind};

/// What was wrong with a file. The kind of such an error is [`ErrorKind::Failed`], or
/// [`ErrorKind::OutOfDisk`] where a disk or quota was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A file does not exist, or a pattern matches nothing.
    NotFound,
    /// A file exists but may not be read or written.
    PermissionDenied,
    /// A directory or a special file where a file was meant, or the other way round.
    NotAFile,
    /// The output exists and overwriting was not asked for.
    Exists,
    /// A pattern that cannot be understood.
    Pattern,
    /// The operating system failed to read or write.
    Io,
    /// A compressed stream is damaged, or is not what its name says.
    Corrupt,
    /// A compressed stream ends early.
    Truncated,
    /// A line is longer than the limit.
    LineTooLong,
    /// A line is not what its reader expects: not UTF-8, not JSON, not a record of the type.
    BadRecord,
}

impl Error {
    /// Something is wrong with a file, which is not named yet.
    pub fn of(fault: Fault, message: impl Into<String>) -> Self {
        let mut error = Error::new(ErrorKind::Failed, message);
        error.0.fault = Some(fault);
        error
    }

    /// An operating-system error while doing `what` (`"read"`, `"rename"`) to `path`.
    pub fn os(what: &str, path: &Path, cause: io::Error) -> Self {
        // an error of ours that went through a `Read` comes back as it was
        let cause = match Error::from_io(cause) {
            Ok(ours) => return ours,
            Err(cause) => cause,
        };
        let (fault, message) = match cause.kind() {
            io::ErrorKind::NotFound => (Fault::NotFound, "no such file".to_owned()),
            io::ErrorKind::PermissionDenied => {
                let message = format!("may not {what} it: permission denied");
                (Fault::PermissionDenied, message)
            }
            kind => {
                let exists = kind == io::ErrorKind::AlreadyExists;
                let fault = if exists { Fault::Exists } else { Fault::Io };
                (fault, format!("cannot {what} it: {cause}"))
            }
        };
        let kind = ErrorKind::of_io(cause.kind());
        let mut error = Error::of(fault, message).at_path(path).with_source(cause);
        error.0.kind = kind;
        error
    }

    /// Takes an error of ours out of an [`io::Error`] that carries one.
    ///
    /// # Errors
    /// Gives the [`io::Error`] back when it carries something else.
    pub fn from_io(error: io::Error) -> Result<Error, io::Error> {
        error.downcast::<Error>()
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.fault() {
            Some(Fault::NotFound) => io::ErrorKind::NotFound,
            Some(Fault::PermissionDenied) => io::ErrorKind::PermissionDenied,
            Some(Fault::Exists) => io::ErrorKind::AlreadyExists,
            Some(Fault::Truncated) => io::ErrorKind::UnexpectedEof,
            Some(Fault::Corrupt) => io::ErrorKind::InvalidData,
            _ if error.is_out_of_disk() => io::ErrorKind::StorageFull,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_where_before_what() {
        let error = Error::of(Fault::LineTooLong, "too long");
        assert_eq!(error.to_string(), "too long");
        let error = error.at_path(Path::new("a.json")).at_offset(7);
        let text = error.to_string();
        assert_eq!(text, "a.json: too long (byte 7 of the text)");
        let error = error.at_line(2).at_column(1).with_way_out("; cut it");
        let text = error.to_string();
        assert_eq!(text, "a.json:2:1: too long (byte 7 of the text); cut it");
        let told = (error.path(), error.line(), error.column(), error.offset());
        assert_eq!(told, (Some(Path::new("a.json")), Some(2), Some(1), Some(7)));
        // whoever puts another message names the place in it
        let error = error.with_message("a.json is odd").with_sentence("look");
        assert_eq!(error.to_string(), "a.json is odd; look");
        assert_eq!(error.line(), Some(2));
    }

    #[test]
    fn bytes_of_packed_files_are_told_as_such() {
        let error = Error::of(Fault::Corrupt, "bad").at_path(Path::new("a\u{1b}.gz"));
        assert_eq!(error.to_string(), "a\\u{1b}.gz: bad");
        let text = error.at_offset(7).to_string();
        assert_eq!(text, "a\\u{1b}.gz: bad (byte 7 of the compressed file)");
    }

    #[test]
    fn a_run_that_was_cancelled_is_no_fault_of_a_file() {
        let error = Error::cancelled().at_path(Path::new("a.json")).at_line(3);
        assert_eq!(error.to_string(), "the computation was cancelled");
    }

    #[test]
    fn an_error_survives_a_trip_through_io() {
        let error = Error::of(Fault::Truncated, "ends early").at_path(Path::new("x.gz"));
        let io = io::Error::from(error);
        assert_eq!(io.kind(), io::ErrorKind::UnexpectedEof);
        let back = Error::from_io(io).unwrap();
        let told = (back.kind(), back.fault(), back.path());
        let wanted = (
            ErrorKind::Failed,
            Some(Fault::Truncated),
            Some(Path::new("x.gz")),
        );
        assert_eq!(told, wanted);
        assert!(Error::from_io(io::Error::other("else")).is_err());
        let full = Error::os("write", Path::new("a"), io::ErrorKind::StorageFull.into());
        assert!(full.is_out_of_disk() && full.fault() == Some(Fault::Io));
    }
}
