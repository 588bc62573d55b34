//! The one error of this crate: what went wrong, in which file, at which byte.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use flagstone_memory::NeedsMemory;

use crate::place::Place;

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
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
    /// The caller asked to stop.
    Cancelled,
    /// A buffer could not be leased; see [`Error::needs_memory`].
    NeedsMemory,
}

/// An error with the file and the byte it is about.
///
/// Prints as `path:line:column: what happened (byte N of the text)`, leaving out what is not known;
/// see [`Place`].
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    path: Option<PathBuf>,
    offset: Option<u64>,
    line: Option<u64>,
    column: Option<u64>,
    way_out: &'static str,
    source: Option<Cause>,
}

enum Cause {
    Io(io::Error),
    Memory(NeedsMemory),
}

impl Error {
    /// An error of this kind, about no file yet.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Error(Box::new(Inner {
            kind,
            message,
            path: None,
            offset: None,
            line: None,
            column: None,
            way_out: "",
            source: None,
        }))
    }

    pub(crate) fn cancelled() -> Self {
        Error::new(ErrorKind::Cancelled, "reading was cancelled")
    }

    /// An operating-system error while doing `what` (`"read"`, `"rename"`) to `path`.
    pub(crate) fn os(what: &str, path: &Path, cause: io::Error) -> Self {
        // an error of ours that went through a `Read` comes back as it was
        let cause = match Error::from_io(cause) {
            Ok(ours) => return ours,
            Err(cause) => cause,
        };
        let kind = match cause.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            io::ErrorKind::AlreadyExists => ErrorKind::Exists,
            _ => ErrorKind::Io,
        };
        let message = match kind {
            ErrorKind::NotFound => "no such file".to_owned(),
            ErrorKind::PermissionDenied => format!("may not {what} it: permission denied"),
            _ => format!("cannot {what} it: {cause}"),
        };
        let mut error = Error::new(kind, message).at_path(path);
        error.0.source = Some(Cause::Io(cause));
        error
    }

    /// Takes an error of this crate out of an [`io::Error`] that carries one.
    ///
    /// # Errors
    /// Gives the [`io::Error`] back when it carries something else.
    pub fn from_io(error: io::Error) -> Result<Error, io::Error> {
        if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
            let inner = error
                .into_inner()
                .and_then(|inner| inner.downcast::<Error>().ok());
            return Ok(*inner.expect("the line above saw an Error in it"));
        }
        Err(error)
    }

    /// Adds the file, unless one is named already.
    #[must_use]
    pub fn at_path(mut self, path: &Path) -> Self {
        self.0.path.get_or_insert_with(|| path.to_owned());
        self
    }

    /// Adds the byte offset, unless one is named already.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// Adds the line number (the first line is 1), unless one is named already.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.0.line.get_or_insert(line);
        self
    }

    /// Adds the byte within the line (the first is 1), unless one is named already.
    #[must_use]
    pub fn at_column(mut self, column: u64) -> Self {
        self.0.column.get_or_insert(column);
        self
    }

    /// Adds what to do about it, printed behind the place: `"; leave it out"`.
    #[must_use]
    pub fn with_way_out(mut self, way_out: &'static str) -> Self {
        self.0.way_out = way_out;
        self
    }

    /// The same without what to do about it, for those who know other ways.
    #[must_use]
    pub fn without_way_out(self) -> Self {
        self.with_way_out("")
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file it went wrong in.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The byte it went wrong at: in the compressed file for [`ErrorKind::Corrupt`] (as far as the
    /// decoder had come) and [`ErrorKind::Truncated`], in the text for the others.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The line it went wrong at; the first line is 1.
    pub fn line(&self) -> Option<u64> {
        self.0.line
    }

    /// Where in the text of a file it went wrong.
    fn place(&self) -> Place<'_> {
        Place {
            file: self.path(),
            line: self.line(),
            column: self.0.column,
            byte: self.offset(),
        }
    }

    /// Whether the caller asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// Whether a disk or quota was full.
    pub fn is_out_of_disk(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(&self.0.source, Some(Cause::Io(cause)) if full.contains(&cause.kind()))
    }

    /// The refused request, when memory was the reason.
    pub fn needs_memory(&self) -> Option<NeedsMemory> {
        match self.0.source {
            Some(Cause::Memory(needs)) => Some(needs),
            _ => None,
        }
    }
}

impl From<NeedsMemory> for Error {
    fn from(needs: NeedsMemory) -> Self {
        let mut error = Error::new(ErrorKind::NeedsMemory, needs.to_string());
        error.0.source = Some(Cause::Memory(needs));
        error
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
            ErrorKind::Exists => io::ErrorKind::AlreadyExists,
            ErrorKind::Truncated => io::ErrorKind::UnexpectedEof,
            ErrorKind::Corrupt => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, message, .. } = &*self.0;
        match (kind, &self.0.path, self.0.offset) {
            (ErrorKind::Corrupt | ErrorKind::Truncated, Some(path), Some(offset)) => {
                let path = path.display();
                write!(
                    f,
                    "{path}: {message} (byte {offset} of the compressed file)"
                )
            }
            _ => {
                f.write_str(&self.place().says(message))?;
                f.write_str(self.0.way_out)
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.source {
            Some(Cause::Io(cause)) => Some(cause),
            Some(Cause::Memory(cause)) => Some(cause),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_where_before_what() {
        let error = Error::new(ErrorKind::LineTooLong, "too long");
        assert_eq!(error.to_string(), "too long");
        let error = error.at_path(Path::new("a.json")).at_offset(7);
        let text = error.to_string();
        assert_eq!(text, "a.json: too long (byte 7 of the text)");
        let text = error.at_line(2).at_column(1).to_string();
        assert_eq!(text, "a.json:2:1: too long (byte 7 of the text)");
    }

    #[test]
    fn an_error_survives_a_trip_through_io() {
        let error = Error::new(ErrorKind::Truncated, "ends early").at_path(Path::new("x.gz"));
        let io = io::Error::from(error);
        assert_eq!(io.kind(), io::ErrorKind::UnexpectedEof);
        let back = Error::from_io(io).unwrap();
        assert_eq!(
            (back.kind(), back.path()),
            (ErrorKind::Truncated, Some(Path::new("x.gz")))
        );
        assert!(Error::from_io(io::Error::other("else")).is_err());
    }
}
