//! One partition being run: what its chain may use, and where it is.
//!
//! The place is kept outside the chain, in two cells that the source updates for every item, so
//! that it can still be read when a closure has panicked.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use flagstone_graph::{Counter, Error, ErrorKind, Result, TaskContext};
use flagstone_io::{Io, IoCounters};

use crate::stage::Step;

/// A partition being run.
pub struct Run<'a> {
    ctx: &'a TaskContext<'a>,
    partition: u32,
    wanted: u64,
    item: Cell<u64>,
    offset: Cell<Option<u64>>,
    file: RefCell<Option<String>>,
}

impl<'a> Run<'a> {
    /// A run that has not seen an item.
    pub(crate) fn new(ctx: &'a TaskContext<'a>, partition: u32) -> Self {
        Run::wanting(ctx, partition, u64::MAX)
    }

    /// A run of which only so many items are wanted.
    pub(crate) fn wanting(ctx: &'a TaskContext<'a>, partition: u32, wanted: u64) -> Self {
        let (item, offset, file) = (Cell::new(0), Cell::new(None), RefCell::new(None));
        Run {
            ctx,
            partition,
            wanted,
            item,
            offset,
            file,
        }
    }

    /// How many items the end of the chain wants at most.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// What the task was given.
    pub fn ctx(&self) -> &'a TaskContext<'a> {
        self.ctx
    }

    /// Which partition it is.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// How many items the source has given.
    pub fn item_count(&self) -> u64 {
        self.item.get()
    }

    /// For sources: the next item is about to be pushed; says whether to check for cancellation.
    #[inline]
    pub(crate) fn next_item(&self) -> bool {
        let item = self.item.get() + 1;
        self.item.set(item);
        item.is_multiple_of(4096)
    }

    /// For sources: items now come from this file.
    pub(crate) fn enter_file(&self, path: &std::path::Path) {
        *self.file.borrow_mut() = Some(path.display().to_string());
    }

    /// For sources: where in the file the item starts.
    #[inline]
    pub(crate) fn at_offset(&self, offset: u64) {
        self.offset.set(Some(offset));
    }

    /// Calls `read` with what a reader may use.
    pub(crate) fn with_io<T>(&self, read: impl FnOnce(&Io<'_>) -> T) -> T {
        let counters = TaskCounters(self.ctx);
        let cancelled = || self.ctx.is_cancelled();
        read(
            &Io::new(self.ctx.memory())
                .counters(&counters)
                .cancelled(&cancelled),
        )
    }

    /// Runs the chain; a panic of a closure becomes an error that says on which item.
    pub(crate) fn catch<T>(
        &self,
        steps: impl FnOnce() -> Vec<Step>,
        body: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        // the state that a closure may have left half-done is dropped with the task, never read
        catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
            let message = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied())
                .unwrap_or("a value that is not a message");
            let chain = steps().into_iter().map(|step| {
                format!(
                    "{} at {}:{}",
                    step.name,
                    step.location.file(),
                    step.location.line()
                )
            });
            let chain = chain.collect::<Vec<_>>().join(", ");
            let place = self.place();
            let message = format!("a closure panicked on {place}: {message} (in {chain})");
            Err(Error::new(ErrorKind::Panicked, message))
        })
    }

    /// `item 7 of partition 2 (a.txt, byte 120)`; items count from 0.
    pub(crate) fn place(&self) -> String {
        let partition = self.partition;
        let mut place = match self.item.get() {
            0 => format!("partition {partition}, before its first item"),
            items => format!("item {} of partition {partition}", items - 1),
        };
        if let Some(file) = &*self.file.borrow() {
            place += &match self.offset.get() {
                Some(offset) => format!(" ({file}, byte {offset})"),
                None => format!(" ({file})"),
            };
        }
        place
    }
}

/// Byte counts of readers, told to the executor.
struct TaskCounters<'a>(&'a TaskContext<'a>);

// TaskContext is shared between threads by design (`for_each_index`)
impl IoCounters for TaskCounters<'_> {
    fn bytes_read(&self, bytes: u64) {
        self.0.count(Counter::BytesRead, bytes);
    }

    fn bytes_written(&self, bytes: u64) {
        self.0.count(Counter::BytesWritten, bytes);
    }
}

/// An error of reading, as the error of a task.
pub(crate) fn io_error(error: flagstone_io::Error) -> Error {
    if let Some(needs) = error.needs_memory() {
        return Error::needs_memory(needs);
    }
    match error.kind() {
        flagstone_io::ErrorKind::Cancelled => Error::cancelled(),
        _ => Error::failed(error),
    }
}
