//! One partition being run: what its chain may use, where it is, and what became of its lines.

mod lines;
mod position;
mod task;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Reserve, Result, TaskContext, drop_quietly};
use flagstone_io::{BadRecord, Io, LazyOrigin};

use self::lines::LineLedger;
use self::position::Position;
use self::task::Task;
use super::plan::{ItemOrder, Step};
use crate::quarantine::{LeftOut, Policy, Quarantines};

/// A partition being run.
pub struct Run<'a> {
    task: Task<'a>,
    pub(crate) position: Position,
    pub(crate) lines: LineLedger,
    left_out: LeftOut,
    /// Ends of chains that have not seen the end of the partition.
    open_ends: Cell<u32>,
    /// An item was handed to somebody else, who has a place of his own.
    outside: Cell<bool>,
}

impl<'a> Run<'a> {
    /// A run that has not seen an item.
    pub(crate) fn new(ctx: &'a TaskContext<'a>, partition: u32) -> Self {
        Run::wanting(ctx, partition, u64::MAX)
    }

    /// A run of which only so many items are wanted.
    pub(crate) fn wanting(ctx: &'a TaskContext<'a>, partition: u32, wanted: u64) -> Self {
        Run {
            task: Task {
                ctx,
                source_ctx: ctx,
                reading: None,
                wanted,
                order: ItemOrder::Bag,
            },
            position: Position::new(partition),
            lines: LineLedger::default(),
            left_out: LeftOut::default(),
            open_ends: Cell::new(0),
            outside: Cell::new(false),
        }
    }

    /// Has items come in this order.
    pub(crate) fn in_order(mut self, order: ItemOrder) -> Self {
        self.task.order = order;
        self
    }

    /// Gives the source memory of its own.
    pub(crate) fn reading_with(mut self, reserve: &'a Reserve<'a>) -> Self {
        self.task.source_ctx = reserve.ctx();
        self.task.reading = Some(reserve);
        self
    }

    /// Nothing is read any more: what was reserved for that is there for making the block.
    pub(crate) fn end_reading(&self) {
        if let Some(reserve) = self.task.reading {
            reserve.give_back();
        }
    }

    /// For sources: what the task was given, with the memory that is reserved for reading.
    pub(crate) fn source_ctx(&self) -> &'a TaskContext<'a> {
        self.task.source_ctx
    }

    /// Whether items may come in any order.
    pub(crate) fn is_in_any_order(&self) -> bool {
        self.task.order == ItemOrder::Any
    }

    /// How many items the end of the chain wants at most.
    pub(crate) fn wanted(&self) -> u64 {
        self.task.wanted
    }

    /// What a reader of the source may use.
    pub(crate) fn io(&self) -> Io<'_> {
        self.task.io()
    }

    /// What the task was given.
    ///
    /// ```
    /// # use flagstone_bag::{Bag, Flow, Result, Run, Sink, Stage, Step};
    /// # use flagstone_graph::{Block, Execute, Footprint, Graph, SerialExecutor};
    /// # struct Last(Step);
    /// # impl<S: Stage> Sink<S> for Last {
    /// #     type State = Vec<u64>;
    /// #     fn step(&self) -> Step { self.0 }
    /// #     fn start(&self, _: &Run<'_>) -> Result<Vec<u64>> { Ok(Vec::new()) }
    /// #     fn output(&self) -> Footprint { Footprint::exact(64) }
    /// // in a sink, whose items must be leased
    /// fn push(&self, _: &mut Vec<u64>, _: S::Item<'_>, run: &Run<'_>) -> Flow {
    ///     let _lease = run.ctx().reserve(1000)?;
    ///     Ok(())
    /// }
    /// #     fn finish(&self, made: Vec<u64>, _: &Run<'_>) -> Result<Block> { Ok(Block::value(made)) }
    /// # }
    /// # let location = std::panic::Location::caller();
    /// # let mut graph = Graph::new();
    /// # let sink = Last(Step { name: "last", location });
    /// # let layer = Bag::range(0..5, 2).lower_into(&mut graph, sink)?;
    /// # let blocks = SerialExecutor.execute(&graph, &[layer])?.remove(0);
    /// # let made: Vec<u64> = blocks.iter().flat_map(|block| block.value_ref::<Vec<u64>>().unwrap().clone()).collect();
    /// assert!(made.is_empty());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn ctx(&self) -> &'a TaskContext<'a> {
        self.task.ctx
    }

    /// Which partition it is.
    ///
    /// ```
    /// # use flagstone_bag::{Bag, Flow, Result, Run, Sink, Stage, Step};
    /// # use flagstone_graph::{Block, Execute, Footprint, Graph, SerialExecutor};
    /// # struct Last(Step);
    /// # impl<S: Stage> Sink<S> for Last {
    /// #     type State = Vec<u64>;
    /// #     fn step(&self) -> Step { self.0 }
    /// #     fn start(&self, _: &Run<'_>) -> Result<Vec<u64>> { Ok(Vec::new()) }
    /// #     fn output(&self) -> Footprint { Footprint::exact(64) }
    /// #     fn push(&self, _: &mut Vec<u64>, _: S::Item<'_>, _: &Run<'_>) -> Flow { Ok(()) }
    /// // in a sink
    /// fn finish(&self, _: Vec<u64>, run: &Run<'_>) -> Result<Block> {
    ///     Ok(Block::value(vec![u64::from(run.partition())]))
    /// }
    /// # }
    /// # let location = std::panic::Location::caller();
    /// # let mut graph = Graph::new();
    /// # let sink = Last(Step { name: "last", location });
    /// # let layer = Bag::range(0..5, 2).lower_into(&mut graph, sink)?;
    /// # let blocks = SerialExecutor.execute(&graph, &[layer])?.remove(0);
    /// # let made: Vec<u64> = blocks.iter().flat_map(|block| block.value_ref::<Vec<u64>>().unwrap().clone()).collect();
    /// assert_eq!(made, [0, 1]); // of a bag of two partitions
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn partition(&self) -> u32 {
        self.position.partition()
    }

    /// How many items the source has given.
    ///
    /// ```
    /// # use flagstone_bag::{Bag, Flow, Result, Run, Sink, Stage, Step};
    /// # use flagstone_graph::{Block, Execute, Footprint, Graph, SerialExecutor};
    /// # struct Last(Step);
    /// # impl<S: Stage> Sink<S> for Last {
    /// #     type State = Vec<u64>;
    /// #     fn step(&self) -> Step { self.0 }
    /// #     fn start(&self, _: &Run<'_>) -> Result<Vec<u64>> { Ok(Vec::new()) }
    /// #     fn output(&self) -> Footprint { Footprint::exact(64) }
    /// #     fn push(&self, _: &mut Vec<u64>, _: S::Item<'_>, _: &Run<'_>) -> Flow { Ok(()) }
    /// // in a sink
    /// fn finish(&self, _: Vec<u64>, run: &Run<'_>) -> Result<Block> {
    ///     Ok(Block::value(vec![run.item_count()]))
    /// }
    /// # }
    /// # let location = std::panic::Location::caller();
    /// # let mut graph = Graph::new();
    /// # let sink = Last(Step { name: "last", location });
    /// # let layer = Bag::range(0..5, 2).lower_into(&mut graph, sink)?;
    /// # let blocks = SerialExecutor.execute(&graph, &[layer])?.remove(0);
    /// # let made: Vec<u64> = blocks.iter().flat_map(|block| block.value_ref::<Vec<u64>>().unwrap().clone()).collect();
    /// assert_eq!(made.iter().sum::<u64>(), 5); // of a bag of five items
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    pub fn item_count(&self) -> u64 {
        self.position.items()
    }

    /// Where the item stands in the order of the bag: the less, the earlier. Items that one item of
    /// the source became share its rank, and come in their order.
    ///
    /// ```
    /// # use flagstone_bag::{Bag, Flow, Result, Run, Sink, Stage, Step};
    /// # use flagstone_graph::{Block, Execute, Footprint, Graph, SerialExecutor};
    /// # struct Last(Step);
    /// # impl<S: Stage> Sink<S> for Last {
    /// #     type State = Vec<u64>;
    /// #     fn step(&self) -> Step { self.0 }
    /// #     fn start(&self, _: &Run<'_>) -> Result<Vec<u64>> { Ok(Vec::new()) }
    /// #     fn output(&self) -> Footprint { Footprint::exact(64) }
    /// // in a sink
    /// fn push(&self, ranks: &mut Vec<u64>, _: S::Item<'_>, run: &Run<'_>) -> Flow {
    ///     ranks.push(run.rank());
    ///     Ok(())
    /// }
    /// #     fn finish(&self, made: Vec<u64>, _: &Run<'_>) -> Result<Block> { Ok(Block::value(made)) }
    /// # }
    /// # let location = std::panic::Location::caller();
    /// # let mut graph = Graph::new();
    /// # let sink = Last(Step { name: "last", location });
    /// # let layer = Bag::range(0..5, 2).lower_into(&mut graph, sink)?;
    /// # let blocks = SerialExecutor.execute(&graph, &[layer])?.remove(0);
    /// # let made: Vec<u64> = blocks.iter().flat_map(|block| block.value_ref::<Vec<u64>>().unwrap().clone()).collect();
    /// assert!(made.len() == 5 && made.is_sorted());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[inline]
    pub fn rank(&self) -> u64 {
        self.position.rank()
    }

    /// For sources: the next item is about to be pushed; says whether to check for cancellation.
    #[inline]
    pub(crate) fn next_item(&self) -> bool {
        self.position.next_item()
    }

    /// The file that the item comes from; empty where there is none.
    pub(crate) fn path(&self) -> Arc<Path> {
        self.position.file().unwrap_or_else(|| Path::new("").into())
    }

    /// For sources: items are lines of this part of a source, of which a reader left out so many
    /// for being too long.
    pub(crate) fn lines_of(&self, source: &Arc<str>, part: u64, too_long: u64) {
        self.left_out.add(too_long);
        self.lines.open(source, part, too_long);
    }

    /// A chain of this run may put records into these quarantines.
    pub(crate) fn may_leave_out(&self, quarantines: &Quarantines) -> Result<()> {
        self.left_out.may_keep(quarantines)
    }

    /// Leaves out the record that is being looked at, as the policy says (other than `Fail`).
    #[cold]
    pub(crate) fn leave_out(
        &self,
        policy: &Policy,
        error: &str,
        record: Option<&[u8]>,
    ) -> Result<()> {
        let quarantine = policy.quarantine();
        // what was held back to the end is no line
        if !self.position.is_at_end() {
            let item = self.position.items();
            self.lines.leave_out(item, quarantine.is_some());
        }
        self.left_out.see(error, || self.origin());
        let Some(kept) = quarantine else {
            return Ok(());
        };
        let file = self.position.file();
        let record = BadRecord {
            file: file.as_deref(),
            line: self.line_number(),
            byte: self.position.offset(),
            error,
            record,
        };
        self.left_out.keep(kept, self.partition(), &record)
    }

    /// How many records were left out, and what was wrong with the first; counts its line.
    pub(crate) fn left_out(&self) -> (u64, Option<String>) {
        self.left_out.report(self.source_ctx())
    }

    /// A chain starts whose end takes items.
    pub(crate) fn open_end(&self) {
        self.open_ends.set(self.open_ends.get() + 1);
    }

    /// The end of a chain has seen all there are.
    pub(crate) fn close_end(&self) {
        self.open_ends.set(self.open_ends.get().saturating_sub(1));
    }

    /// Whether an item is with somebody who runs this run as a part of his own.
    #[inline]
    pub(crate) fn set_outside(&self, outside: bool) {
        self.outside.set(outside);
    }

    /// Runs the chain; a panic of a closure becomes an error that says on which item. What the chain
    /// left out counts when it has ended well.
    pub(crate) fn catch<T>(
        &self,
        steps: impl FnOnce() -> Vec<Step>,
        body: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        // the state that a closure may have left half-done is dropped with the task, never read
        let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
            if self.outside.get() {
                resume_unwind(payload);
            }
            let message = payload
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| {
                    payload
                        .downcast_ref::<&str>()
                        .map(|text| (*text).to_owned())
                })
                .unwrap_or_else(|| "a value that is not a message".to_owned());
            drop_quietly(payload);
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
        });
        let value = result?;
        let is_whole = self.open_ends.get() == 0;
        self.left_out
            .settle(self.partition(), is_whole, self.ctx())?;
        self.lines.report(self.item_count(), self.ctx());
        Ok(value)
    }
}

impl Run<'_> {
    /// `item 7 of partition 2 (a.txt:3, byte 120)`; items count from 0. `the end of partition 2` for
    /// what was held back until then.
    pub(crate) fn place(&self) -> String {
        self.position.name(&self.task.uncounted_io())
    }

    /// Where in a file the item comes from, if it does.
    pub(crate) fn origin(&self) -> Option<LazyOrigin> {
        self.position.origin()
    }

    fn line_number(&self) -> Option<u64> {
        self.position.line_number(&self.task.uncounted_io())
    }

    /// The number of the line that starts at a byte of the file that is read.
    pub(crate) fn line_number_of(&self, offset: u64) -> Option<u64> {
        let io = self.task.uncounted_io();
        self.position.line_number_of(offset, &io)
    }

    /// `a.txt:3: it is bad (byte 120 of the text)`, with the item's place where items are not lines
    /// of files.
    pub(crate) fn says(&self, what: &str) -> String {
        let line = self.line_number();
        let known = self.origin().filter(|origin| origin.byte().is_some());
        match known {
            Some(origin) => origin.at_line(line).says(what),
            None => format!("{}: {what}", self.place()),
        }
    }
}
