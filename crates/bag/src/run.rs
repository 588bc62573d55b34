//! One partition being run: what its chain may use, and where it is.
//!
//! The place is kept outside the chain, in cells that the source updates for every item, so that it
//! can still be read when a closure has panicked.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Quality, Result, TaskContext, drop_quietly};
use flagstone_io::{BadRecord, ByteRange, Delimiter, InputFile, Io, LazyOrigin, LineNumbers};

use crate::aside::Side;
use crate::bad::{Kept, LeftOut, Policy};
use crate::quality::Keys;
use crate::stage::{ItemOrder, Step};

/// A partition being run.
pub struct Run<'a> {
    ctx: &'a TaskContext<'a>,
    /// What the source was given: memory is [set aside](crate::aside) for it.
    source_ctx: &'a TaskContext<'a>,
    reading_side: Option<&'a Side<'a>>,
    partition: u32,
    wanted: u64,
    order: ItemOrder,
    /// The place of the item in the order of the bag, where items come in another.
    rank: Cell<Option<u64>>,
    item: Cell<u64>,
    offset: Cell<Option<u64>>,
    /// Lines of the range so far, those that were too long included.
    lines: Cell<u64>,
    reading: RefCell<Option<Reading>>,
    /// More than one file was read.
    several_files: Cell<bool>,
    /// The source has given all its items: what comes now comes from no place.
    at_end: Cell<bool>,
    left_out: LeftOut,
    /// Ends of chains that have not seen the end of the partition.
    open_ends: Cell<u32>,
    /// An item was handed to somebody else, who has a place of his own.
    outside: Cell<bool>,
    ledger: LineLedger,
}

/// What becomes of the lines of a partition, for the data-quality ledger.
#[derive(Default)]
struct LineLedger {
    /// What the source is called, and the number of its part; none for items that are not lines.
    source: RefCell<Option<(Arc<str>, u64)>>,
    blank: Cell<u64>,
    too_long: Cell<u64>,
    /// The item that was refused last: one line counts once, however many closures refuse it.
    refused: Cell<u64>,
    skipped: Cell<u64>,
    quarantined: Cell<u64>,
    keys: RefCell<Keys>,
}

/// The range of a file that items come from.
struct Reading {
    file: InputFile,
    /// Who knows line numbers, and what ends a line; none for items that are not lines.
    numbers: Option<(Arc<LineNumbers>, Delimiter)>,
    /// Where its first line starts, and that line's number once somebody asked.
    first: Option<(u64, Option<u64>)>,
    /// Lines that were too long to be seen.
    too_long: u64,
}

impl<'a> Run<'a> {
    /// A run that has not seen an item.
    pub(crate) fn new(ctx: &'a TaskContext<'a>, partition: u32) -> Self {
        Run::wanting(ctx, partition, u64::MAX)
    }

    /// A run of which only so many items are wanted.
    pub(crate) fn wanting(ctx: &'a TaskContext<'a>, partition: u32, wanted: u64) -> Self {
        Run {
            ctx,
            source_ctx: ctx,
            reading_side: None,
            partition,
            wanted,
            order: ItemOrder::Bag,
            rank: Cell::new(None),
            item: Cell::new(0),
            offset: Cell::new(None),
            lines: Cell::new(0),
            reading: RefCell::new(None),
            several_files: Cell::new(false),
            at_end: Cell::new(false),
            left_out: LeftOut::default(),
            open_ends: Cell::new(0),
            outside: Cell::new(false),
            ledger: LineLedger::default(),
        }
    }

    /// The same, whose items come in this order.
    pub(crate) fn in_order(mut self, order: ItemOrder) -> Self {
        self.order = order;
        self
    }

    /// The same, whose source has memory of its own.
    pub(crate) fn reading_with(mut self, side: &'a Side<'a>) -> Self {
        self.source_ctx = side.ctx();
        self.reading_side = Some(side);
        self
    }

    /// Nothing is read any more: what was set aside for that is there for making the block.
    pub(crate) fn end_reading(&self) {
        if let Some(side) = self.reading_side {
            side.give_back();
        }
    }

    /// For sources: what the task was given, with the memory that is set aside for reading.
    pub(crate) fn source_ctx(&self) -> &'a TaskContext<'a> {
        self.source_ctx
    }

    /// Whether items may come in any order.
    pub(crate) fn is_in_any_order(&self) -> bool {
        self.order == ItemOrder::Any
    }

    /// For sources whose items come in another order than the bag's: where the next one stands.
    #[inline]
    pub(crate) fn at_rank(&self, rank: u64) {
        self.rank.set(Some(rank));
    }

    /// Where the item stands in the order of the bag: the less, the earlier. Items that one item of
    /// the source became share its rank, and come in their order.
    #[inline]
    pub fn rank(&self) -> u64 {
        let in_order = || u64::from(self.partition) << 40 | self.item.get();
        self.rank.get().unwrap_or_else(in_order)
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

    /// For sources: items now are the lines of this range.
    pub(crate) fn enter_range(
        &self,
        range: &ByteRange,
        numbers: &Arc<LineNumbers>,
        delimiter: &Delimiter,
    ) {
        self.enter(&range.file, Some((Arc::clone(numbers), *delimiter)));
    }

    fn enter(&self, file: &InputFile, numbers: Option<(Arc<LineNumbers>, Delimiter)>) {
        self.lines.set(0);
        self.offset.set(None);
        let mut reading = self.reading.borrow_mut();
        let other = |reading: &Reading| reading.file.path() != file.path();
        if reading.as_ref().is_some_and(other) {
            self.several_files.set(true);
        }
        *reading = Some(Reading {
            file: file.clone(),
            numbers,
            first: None,
            too_long: 0,
        });
    }

    /// For sources: a block of lines starts here; so many lines of the range were too long so far.
    pub(crate) fn enter_block(&self, offset: u64, too_long: u64) {
        if let Some(reading) = &mut *self.reading.borrow_mut() {
            // those before the first line of all are behind its number already
            if reading.first.is_some() {
                self.lines
                    .set(self.lines.get() + too_long - reading.too_long);
            }
            reading.too_long = too_long;
            reading.first.get_or_insert((offset, None));
        }
    }

    /// For sources: where in the file the next line starts.
    #[inline]
    pub(crate) fn at_line(&self, offset: u64) {
        self.offset.set(Some(offset));
        self.lines.set(self.lines.get() + 1);
    }

    /// For sources without lines: the file that items come from.
    pub(crate) fn enter_file(&self, file: &InputFile) {
        self.enter(file, None);
    }

    /// The source has given all its items: what is pushed from now on was held back, and comes from
    /// no line. It comes from a file where the partition is one file's.
    pub(crate) fn end_items(&self) {
        self.at_end.set(true);
        self.offset.set(None);
        if self.several_files.get() {
            *self.reading.borrow_mut() = None;
        }
    }

    /// The file that the item comes from.
    pub(crate) fn path(&self) -> Arc<Path> {
        let reading = self.reading.borrow();
        let path = reading.as_ref().map(|reading| reading.file.shared_path());
        path.unwrap_or_else(|| Path::new("").into())
    }

    /// The number of the line that the item comes from. The first time in a range that does not
    /// start its file, reads the file up to there; `None` when that fails.
    fn line_number(&self) -> Option<u64> {
        if self.at_end.get() {
            return None;
        }
        let mut reading = self.reading.borrow_mut();
        let reading = reading.as_mut()?;
        let (start, number) = reading.first.as_mut()?;
        let first = match number {
            Some(number) => *number,
            None => {
                let (numbers, delimiter) = reading.numbers.as_ref()?;
                let file = &reading.file;
                let found = numbers.number_at(file, *start, delimiter, &self.uncounted_io());
                *number.insert(found.ok()?)
            }
        };
        Some(first + self.lines.get() - 1)
    }

    /// The number of the line that starts at a byte of the file that is read.
    pub(crate) fn line_number_of(&self, offset: u64) -> Option<u64> {
        let reading = self.reading.borrow();
        let Reading { file, numbers, .. } = reading.as_ref()?;
        let (numbers, delimiter) = numbers.as_ref()?;
        let found = numbers.number_at(file, offset, delimiter, &self.uncounted_io());
        found.ok()
    }

    /// Leaves out the record that is being looked at, as the policy says (other than `Fail`).
    #[cold]
    pub(crate) fn leave_out(
        &self,
        policy: &Policy,
        error: &str,
        record: Option<&[u8]>,
    ) -> Result<()> {
        let keep = policy.quarantine().is_some();
        // what was held back to the end is no line
        let is_line = !self.at_end.get();
        if is_line && self.ledger.refused.replace(self.item.get()) != self.item.get() {
            let ledger = &self.ledger;
            add(
                if keep {
                    &ledger.quarantined
                } else {
                    &ledger.skipped
                },
                1,
            );
        }
        self.left_out.see(error, || self.origin());
        let Some(kept) = policy.quarantine() else {
            return Ok(());
        };
        let line = self.line_number();
        let reading = self.reading.borrow();
        let record = BadRecord {
            file: reading.as_ref().map(|reading| reading.file.path()),
            line,
            byte: self.offset.get(),
            error,
            record,
        };
        self.left_out.keep(kept, self.partition, &record)
    }

    /// A chain of this run may put records there.
    pub(crate) fn may_keep(&self, kept: &Arc<Kept>) {
        self.left_out.may_keep(kept);
    }

    /// A chain starts whose end takes items.
    pub(crate) fn open_end(&self) {
        self.open_ends.set(self.open_ends.get() + 1);
    }

    /// The end of a chain has seen all there are.
    pub(crate) fn close_end(&self) {
        self.open_ends.set(self.open_ends.get().saturating_sub(1));
    }

    /// How many records were left out, and what was wrong with the first; counts its line.
    pub(crate) fn told(&self) -> (u64, Option<String>) {
        self.left_out.told(self.source_ctx)
    }

    /// For sources: items are lines of this part of a source, of which a reader left out so many
    /// for being too long.
    pub(crate) fn lines_of(&self, source: &Arc<str>, part: u64, too_long: u64) {
        self.left_out.add(too_long);
        self.ledger.too_long.set(too_long);
        *self.ledger.source.borrow_mut() = Some((Arc::clone(source), part));
    }

    /// For sources: a line was blank, and is no item.
    pub(crate) fn blank_line(&self) {
        add(&self.ledger.blank, 1);
    }

    /// For sources: looks at the keys of a record.
    #[cold]
    pub(crate) fn look(&self, look: impl FnOnce(&mut Keys, &TaskContext<'_>)) {
        look(&mut self.ledger.keys.borrow_mut(), self.ctx);
    }

    /// Tells the data-quality ledger what became of every line.
    fn tell(&self) {
        let ledger = &self.ledger;
        let Some((source, part)) = ledger.source.take() else {
            return;
        };
        let (items, too_long) = (self.item.get(), ledger.too_long.get());
        let (skipped, quarantined) = (ledger.skipped.get(), ledger.quarantined.get());
        let blank = ledger.blank.get();
        let quality = Quality {
            lines: items + blank + too_long,
            blank,
            records: items - skipped - quarantined,
            skipped: skipped + too_long,
            quarantined,
            ..ledger.keys.take().into_quality()
        };
        self.ctx.tell(&source, &quality.of_part(part));
    }

    /// What a reader of the source may use.
    pub(crate) fn io(&self) -> Io<'_> {
        Io::of_task(self.source_ctx)
    }

    /// For looking up where something was: what is read for that is not the partition's.
    fn uncounted_io(&self) -> Io<'_> {
        Io::new(self.source_ctx.memory())
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
        self.left_out.settle(self.partition, is_whole, self.ctx)?;
        self.tell();
        Ok(value)
    }

    /// Whether an item is with somebody who runs this run as a part of his own.
    #[inline]
    pub(crate) fn set_outside(&self, outside: bool) {
        self.outside.set(outside);
    }

    /// `item 7 of partition 2 (a.txt:3, byte 120)`; items count from 0. `the end of partition 2` for
    /// what was held back until then.
    pub(crate) fn place(&self) -> String {
        // for a line in the middle of a file, reads the file up to there
        let line = self.line_number();
        let partition = self.partition;
        let mut place = match (self.item.get(), self.rank.get()) {
            _ if self.at_end.get() => return format!("the end of partition {partition}"),
            (_, Some(rank)) => {
                let (source, item) = (rank >> 40, rank & ((1 << 40) - 1));
                format!("what was first seen as item {item} of partition {source} before it")
            }
            (0, _) => format!("partition {partition}, before its first item"),
            (items, _) => format!("item {} of partition {partition}", items - 1),
        };
        let known = self.origin();
        if let Some(origin) = &known {
            place += &format!(" ({})", origin.at_line(line));
        }
        place
    }
}

impl Run<'_> {
    /// Where in a file the item comes from, if it does.
    pub(crate) fn origin(&self) -> Option<LazyOrigin> {
        if self.at_end.get() {
            return None;
        }
        let reading = self.reading.borrow();
        let Reading { file, numbers, .. } = reading.as_ref()?;
        Some(LazyOrigin::new(file, numbers.as_ref(), self.offset.get()))
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

fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get() + more);
}
