//! Rows of a range, in pages, from the first that somebody reads still to the last that has come.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_exchange::Spool;

use crate::error::arrow_error;
use crate::ops::stored::{RowWriter, StoredRows};

/// Rows with what functions read of them, and where window partitions begin. Rows are counted from the
/// start of the range.
pub(super) struct Log<'a> {
    working: &'a TaskContext<'a>,
    spool: Arc<Spool>,
    pages: VecDeque<Page>,
    /// The row behind the last.
    end: u64,
    /// Where window partitions begin, of those that somebody may ask for.
    starts: VecDeque<u64>,
    is_complete: bool,
}

struct Page {
    start: u64,
    rows: usize,
    kept: Kept,
}

enum Kept {
    Here(Rc<Held>),
    /// In a scratch file, and with those who read it.
    Away(StoredRows, RefCell<Weak<Held>>),
}

/// A page in memory.
pub(super) struct Held {
    pub(super) batch: RecordBatch,
    /// For its rows, alone or with other pages of the batch that they came in.
    _leases: Vec<Rc<Lease>>,
}

impl<'a> Log<'a> {
    pub(super) fn new(working: &'a TaskContext<'a>) -> Self {
        Log {
            working,
            spool: Arc::default(),
            pages: VecDeque::new(),
            end: 0,
            starts: VecDeque::new(),
            is_complete: false,
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// No more rows come.
    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// A window partition begins at this row, which was not appended yet.
    pub(super) fn begin(&mut self, row: u64) {
        self.starts.push_back(row);
    }

    /// Where the window partition ends that begins at `start`, if that is known.
    pub(super) fn end_of(&self, start: u64) -> Option<u64> {
        let next = self.starts.partition_point(|&other| other <= start);
        let last = self.is_complete.then_some(self.end);
        self.starts.get(next).copied().or(last)
    }

    /// Appends rows that are held by these leases, or writes them where there are none.
    pub(super) fn append(
        &mut self,
        batch: RecordBatch,
        leases: Option<Vec<Rc<Lease>>>,
    ) -> Result<()> {
        let rows = batch.num_rows();
        let kept = match leases {
            Some(leases) => Kept::Here(Rc::new(Held {
                batch,
                _leases: leases,
            })),
            None => {
                let turn = u32::try_from(self.end >> 12).unwrap_or(u32::MAX);
                let batch = alone(&batch)?;
                let schema = batch.schema();
                let mut writer = RowWriter::new(&self.spool, &schema, turn, self.working)?;
                writer.push(&batch)?;
                Kept::Away(writer.finish()?, RefCell::default())
            }
        };
        self.pages.push_back(Page {
            start: self.end,
            rows,
            kept,
        });
        self.end += rows as u64;
        Ok(())
    }

    /// The rows of the page that a row is on: the first, and how many.
    pub(super) fn page_of(&self, row: u64) -> Option<(u64, usize)> {
        let page = self.find(row)?;
        Some((page.start, page.rows))
    }

    /// The page that a row is on, and its first row.
    pub(super) fn load(&self, row: u64) -> Result<(u64, Rc<Held>)> {
        let page = self.find(row);
        let page = page.ok_or_else(|| Error::bug("a row of a window is forgotten already"))?;
        let held = match &page.kept {
            Kept::Here(held) => Rc::clone(held),
            Kept::Away(stored, loaded) => {
                let there = loaded.borrow().upgrade();
                match there {
                    Some(held) => held,
                    None => {
                        let held = Rc::new(self.read(stored)?);
                        *loaded.borrow_mut() = Rc::downgrade(&held);
                        held
                    }
                }
            }
        };
        Ok((page.start, held))
    }

    fn read(&self, stored: &StoredRows) -> Result<Held> {
        let lease = self.working.reserve(stored.bytes())?;
        let mut read = None;
        let flow = stored.for_each(self.working, &mut |batch| {
            read = Some(batch);
            Ok(())
        });
        flagstone_graph::ended(flow)?;
        let batch = read.ok_or_else(|| Error::bug("a page of a window has no rows"))?;
        Ok(Held {
            batch,
            _leases: vec![Rc::new(lease)],
        })
    }

    fn find(&self, row: u64) -> Option<&Page> {
        let behind = self.pages.partition_point(|page| page.start <= row);
        let page = self.pages.get(behind.checked_sub(1)?)?;
        (row < page.start + page.rows as u64).then_some(page)
    }

    /// Forgets the pages before this row, and where window partitions began before `start`.
    pub(super) fn forget(&mut self, row: u64, start: u64) {
        while let Some(page) = self.pages.front()
            && page.start + page.rows as u64 <= row
        {
            self.pages.pop_front();
        }
        while self.starts.front().is_some_and(|&other| other <= start) {
            self.starts.pop_front();
        }
    }
}

/// The rows without what buffers hold of others.
fn alone(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8View => Arc::new(column.as_string_view().gc()) as _,
            DataType::BinaryView => Arc::new(column.as_binary_view().gc()) as _,
            _ => Arc::clone(column),
        });
    RecordBatch::try_new(batch.schema(), columns.collect()).map_err(arrow_error)
}
