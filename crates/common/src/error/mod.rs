//! The one error of the project: what went wrong, where in the data, in the computation and in the
//! user's program.
//!
//! A reader knows the file, line and byte; the executor knows the task; the layer knows the line of
//! the user's program that made it. Each adds what it knows to the same value on its way up, so
//! nothing is wrapped and said twice.

mod fault;
mod kind;
mod place;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::path::PathBuf;

use crate::bytes::format_bytes;
use crate::lease::NeedsMemory;

pub use fault::Fault;
pub use kind::ErrorKind;

/// The result of building or running a computation.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, where in the data, where in the computation, and where in the user's program.
///
/// Prints as `path:line:column: what happened (byte N of the text)`, leaving out what is not known
/// (see [`Origin`](crate::Origin)), then the task and the line that made it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    fault: Option<Fault>,
    /// One sentence, without its place and what is added behind it.
    what: String,
    /// What to do about it.
    way_out: Cow<'static, str>,
    /// The smallest budget that works.
    smallest: Option<u64>,
    /// All of these, with the place; none where there is but the sentence.
    message: Option<String>,
    path: Option<PathBuf>,
    line: Option<u64>,
    column: Option<u64>,
    offset: Option<u64>,
    /// The sentence names the place itself.
    is_placed: bool,
    key: Option<String>,
    lineage: Vec<String>,
    location: Option<&'static Location<'static>>,
    needs: Option<NeedsMemory>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind with a one-sentence message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            fault: None,
            what: message.into(),
            way_out: Cow::Borrowed(""),
            smallest: None,
            message: None,
            path: None,
            line: None,
            column: None,
            offset: None,
            is_placed: false,
            key: None,
            lineage: Vec::new(),
            location: None,
            needs: None,
            source: None,
        }))
    }

    /// A mistake in how a collection was built.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Invalid, message)
    }

    /// What a task was given is not what its layer reads.
    pub fn bug(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Bug, message)
    }

    /// A task's own error: what a layer returns for bad data or failed I/O.
    pub fn failed(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = source.into();
        Error::new(ErrorKind::Failed, source.to_string()).with_source(source)
    }

    /// The computation was cancelled.
    pub fn cancelled() -> Self {
        Error::new(ErrorKind::Cancelled, "the computation was cancelled")
    }

    /// A task panicked, with this payload.
    pub fn panicked(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a value that is not text");
        Error::new(ErrorKind::Panicked, format!("the task panicked: {text}"))
    }

    /// A result that is handed over and does not fit in memory.
    pub fn large_result(bytes: u64, budget_bytes: u64) -> Self {
        let message = format!(
            "the result holds {} and does not fit in the budget of {}; write it to files \
             (write_*, store_*) or raise the budget",
            format_bytes(bytes),
            format_bytes(budget_bytes)
        );
        Error::new(ErrorKind::Budget, message)
    }

    /// A task could not grow.
    pub fn needs_memory(needs: NeedsMemory) -> Self {
        let mut error = Error::new(ErrorKind::NeedsMemory, needs.to_string());
        error.0.needs = Some(needs);
        error.0.source = Some(Box::new(needs));
        error
    }

    /// Names the smallest budget that works: the message ends with it. Another one takes its place.
    pub fn with_smallest_budget(self, bytes: u64) -> Self {
        self.with(|inner| inner.smallest = Some(bytes))
    }

    /// Adds a sentence, before the smallest budget that the message may end with.
    pub fn with_sentence(self, sentence: &str) -> Self {
        self.with(|inner| {
            let ways_out = inner.way_out.to_mut();
            ways_out.push_str("; ");
            ways_out.push_str(sentence);
        })
    }

    /// Puts another message, which names the place itself, in place of the whole message. The kind,
    /// the place as [`path`](Self::path) and its like tell it, and what was wanted and available
    /// stay.
    pub fn with_message(self, message: impl Into<String>) -> Self {
        self.with(|inner| {
            inner.what = message.into();
            inner.way_out = Cow::Borrowed("");
            inner.smallest = None;
            inner.is_placed = true;
        })
    }

    /// Adds what to do about it, behind the place: `"; leave it out"`. Another one takes its place,
    /// and `""` leaves none.
    #[must_use]
    pub fn with_way_out(self, way_out: &'static str) -> Self {
        self.with(|inner| inner.way_out = Cow::Borrowed(way_out))
    }

    /// Names what caused it.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds the task's key and its lineage (layer names from a source to the task). What was set
    /// first stays: it is nearest to the cause.
    pub fn with_key(mut self, key: impl Into<String>, lineage: Vec<String>) -> Self {
        if self.0.key.is_none() {
            self.0.key = Some(key.into());
            self.0.lineage = lineage;
        }
        self
    }

    /// Adds the user's source line that made the layer. What was set first stays.
    pub fn with_location(mut self, location: &'static Location<'static>) -> Self {
        self.0.location.get_or_insert(location);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(&mut self.0);
        self.0.message = Some(self.0.told());
        self
    }

    /// The category.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The key of the task that failed.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// The layers that lead to the task that failed, sources first.
    pub fn lineage(&self) -> &[String] {
        &self.0.lineage
    }

    /// The line of the user's program that made the layer.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.0.location
    }

    /// The bytes that were wanted and available, for kind `NeedsMemory`.
    pub fn needs(&self) -> Option<NeedsMemory> {
        self.0.needs
    }

    /// The smallest budget that works, in bytes, for kind `Budget`.
    pub fn smallest_budget(&self) -> Option<u64> {
        self.0.smallest
    }

    /// The message with the place in the data, and without key, lineage and location.
    pub fn message(&self) -> &str {
        self.0.message.as_deref().unwrap_or(&self.0.what)
    }

    /// Whether the computation was cancelled rather than failed.
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// Whether a disk or quota was full.
    pub fn is_out_of_disk(&self) -> bool {
        self.0.kind == ErrorKind::OutOfDisk
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // what the user knows (a file, a column, an operation) comes first
        f.write_str(self.message())?;
        if let Some(key) = &self.0.key {
            write!(f, " (in the task {key})")?;
        }
        if let Some(location) = self.0.location {
            write!(f, " (made at {}:{})", location.file(), location.line())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        if !self.0.lineage.is_empty() {
            write!(f, "\n  lineage: {}", self.0.lineage.join(" -> "))?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<NeedsMemory> for Error {
    fn from(needs: NeedsMemory) -> Self {
        Error::needs_memory(needs)
    }
}
