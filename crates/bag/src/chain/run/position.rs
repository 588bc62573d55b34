//! Where in a partition a run is, for messages and for the order of items.
//!
//! The position is kept outside the chain, in cells that the source updates for every item, so that
//! it can still be read when a closure has panicked.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

use flagstone_io::{ByteRange, Delimiter, InputFile, Io, LazyOrigin, LineNumbers};

/// The item that a run is at, and the file and line that it comes from.
pub(crate) struct Position {
    partition: u32,
    item: Cell<u64>,
    /// The place of the item in the order of the bag, where items come in another.
    rank: Cell<Option<u64>>,
    offset: Cell<Option<u64>>,
    /// Lines of the range so far, those that were too long included.
    lines: Cell<u64>,
    reading: RefCell<Option<Reading>>,
    /// More than one file was read.
    several_files: Cell<bool>,
    /// The source has given all its items: what comes now comes from no place.
    at_end: Cell<bool>,
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

impl Position {
    /// Before the first item.
    pub(super) fn new(partition: u32) -> Self {
        Position {
            partition,
            item: Cell::new(0),
            rank: Cell::new(None),
            offset: Cell::new(None),
            lines: Cell::new(0),
            reading: RefCell::new(None),
            several_files: Cell::new(false),
            at_end: Cell::new(false),
        }
    }

    pub(super) fn partition(&self) -> u32 {
        self.partition
    }

    /// How many items the source has given.
    #[inline]
    pub(super) fn items(&self) -> u64 {
        self.item.get()
    }

    /// The next item is about to be pushed; says whether to check for cancellation.
    #[inline]
    pub(super) fn next_item(&self) -> bool {
        let item = self.item.get() + 1;
        self.item.set(item);
        item.is_multiple_of(4096)
    }

    /// For sources whose items come in another order than the bag's: where the next one stands.
    #[inline]
    pub(crate) fn at_rank(&self, rank: u64) {
        self.rank.set(Some(rank));
    }

    #[inline]
    pub(super) fn rank(&self) -> u64 {
        let in_order = || u64::from(self.partition) << 40 | self.item.get();
        self.rank.get().unwrap_or_else(in_order)
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

    /// For sources without lines: the file that items come from.
    pub(crate) fn enter_file(&self, file: &InputFile) {
        self.enter(file, None);
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

    /// The source has given all its items: what is pushed from now on was held back, and comes from
    /// no line. It comes from a file where the partition is one file's.
    pub(crate) fn end_items(&self) {
        self.at_end.set(true);
        self.offset.set(None);
        if self.several_files.get() {
            *self.reading.borrow_mut() = None;
        }
    }

    /// Whether the source has given all its items.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end.get()
    }

    /// The file that the item comes from, if it does.
    pub(super) fn file(&self) -> Option<Arc<Path>> {
        let reading = self.reading.borrow();
        reading.as_ref().map(|reading| reading.file.shared_path())
    }

    /// Where in its file the line starts that the item comes from.
    pub(super) fn offset(&self) -> Option<u64> {
        self.offset.get()
    }

    /// The number of the line that the item comes from. The first time in a range that does not
    /// start its file, reads the file up to there; `None` when that fails.
    pub(super) fn line_number(&self, io: &Io<'_>) -> Option<u64> {
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
                let found = numbers.number_at(&reading.file, *start, delimiter, io);
                *number.insert(found.ok()?)
            }
        };
        Some(first + self.lines.get() - 1)
    }

    /// The number of the line that starts at a byte of the file that is read.
    pub(super) fn line_number_of(&self, offset: u64, io: &Io<'_>) -> Option<u64> {
        let reading = self.reading.borrow();
        let Reading { file, numbers, .. } = reading.as_ref()?;
        let (numbers, delimiter) = numbers.as_ref()?;
        numbers.number_at(file, offset, delimiter, io).ok()
    }

    /// Where in a file the item comes from, if it does.
    pub(super) fn origin(&self) -> Option<LazyOrigin> {
        if self.at_end.get() {
            return None;
        }
        let reading = self.reading.borrow();
        let Reading { file, numbers, .. } = reading.as_ref()?;
        Some(LazyOrigin::new(file, numbers.as_ref(), self.offset.get()))
    }

    /// `item 7 of partition 2 (a.txt:3, byte 120)`; items count from 0. `the end of partition 2` for
    /// what was held back until then.
    pub(super) fn name(&self, io: &Io<'_>) -> String {
        // for a line in the middle of a file, reads the file up to there
        let line = self.line_number(io);
        let partition = self.partition;
        let mut name = match (self.item.get(), self.rank.get()) {
            _ if self.at_end.get() => return format!("the end of partition {partition}"),
            (_, Some(rank)) => {
                let (source, item) = (rank >> 40, rank & ((1 << 40) - 1));
                format!("what was first seen as item {item} of partition {source} before it")
            }
            (0, _) => format!("partition {partition}, before its first item"),
            (items, _) => format!("item {} of partition {partition}", items - 1),
        };
        if let Some(origin) = self.origin() {
            name += &format!(" ({})", origin.at_line(line));
        }
        name
    }
}
