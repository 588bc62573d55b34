//! The error of everything that builds or runs a computation.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;

use flagstone_memory::{NeedsMemory, format_bytes};

/// The result of building or running a computation.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, where in the computation, and where in the user's program.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    key: Option<String>,
    lineage: Vec<String>,
    location: Option<&'static Location<'static>>,
    needs: Option<NeedsMemory>,
    /// The smallest budget that works, and how much of the message comes before it.
    smallest: Option<(u64, usize)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Categories of errors, each with its own policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The collection was built wrongly (shapes, types, names); nothing ran.
    Invalid,
    /// The graph has a cycle.
    Cycle,
    /// A task depends on one that does not exist.
    MissingDependency,
    /// The plan cannot run within the budget; nothing ran.
    Budget,
    /// A task could not grow within the budget, not even alone.
    NeedsMemory,
    /// A task returned an error: bad data, a file that cannot be read, a closure's own error.
    Failed,
    /// A closure panicked.
    Panicked,
    /// The computation was cancelled.
    Cancelled,
    /// The spill directory is full or over its quota.
    OutOfDisk,
    /// Spilled bytes could not be written, or did not read back as they were written.
    Spill,
    /// A terminal was called from inside a task of the same session.
    Nested,
    /// A task was given something else than its layer reads: a fault of the library, or of a graph
    /// that was put together by hand.
    Bug,
}

impl Error {
    /// An error of this kind with a one-sentence message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            key: None,
            lineage: Vec::new(),
            location: None,
            needs: None,
            smallest: None,
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
        let mut error = Error::new(ErrorKind::Failed, source.to_string());
        error.0.source = Some(source);
        error
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

    pub(crate) fn input(position: usize, wanted: &str) -> Self {
        Error::invalid(format!("input {position} of the task is not {wanted}"))
    }

    /// The same with the smallest budget that works, which the message ends with; another one takes
    /// its place.
    pub fn with_smallest_budget(mut self, bytes: u64) -> Self {
        let before = self
            .0
            .smallest
            .map_or(self.0.message.len(), |(_, before)| before);
        self.0.message.truncate(before);
        let named = flagstone_memory::format_budget(bytes);
        self.0.message += &format!("; the smallest budget that works is {named}");
        self.0.smallest = Some((bytes, before));
        self
    }

    /// The same with a sentence more, before the smallest budget that the message may end with.
    pub fn with_sentence(mut self, sentence: &str) -> Self {
        let sentence = format!("; {sentence}");
        let at = self
            .0
            .smallest
            .map_or(self.0.message.len(), |(_, before)| before);
        self.0.message.insert_str(at, &sentence);
        if let Some((_, before)) = &mut self.0.smallest {
            *before += sentence.len();
        }
        self
    }

    /// The same kind with another message; what was wanted and available stays.
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.smallest = None;
        self.0.message = message.into();
        self
    }

    /// The same with what caused it.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same with the task's key and its lineage (layer names from a source to the task). What
    /// was set first stays: it is nearest to the cause.
    pub fn with_key(mut self, key: impl Into<String>, lineage: Vec<String>) -> Self {
        if self.0.key.is_none() {
            self.0.key = Some(key.into());
            self.0.lineage = lineage;
        }
        self
    }

    /// The same with the user's source line that made the layer. What was set first stays.
    pub fn with_location(mut self, location: &'static Location<'static>) -> Self {
        self.0.location.get_or_insert(location);
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
        self.0.smallest.map(|(bytes, _)| bytes)
    }

    /// The message without key, lineage and location.
    pub fn message(&self) -> &str {
        &self.0.message
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
        f.write_str(&self.0.message)?;
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
