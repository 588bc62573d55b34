//! A value of each row's frame.

use arrow::array::{Array, ArrayRef};
use flagstone_common::Result;

use super::cursor::Cursor;
use super::edge::{Edge, Finder, Found};
use super::evaluation::Evaluate;
use super::log::Log;
use super::pick::Picker;
use super::{Frame, Which};

/// Takes the first value of frames, the last or the n-th.
pub(super) struct Valuing {
    column: usize,
    which: Which,
    ignore_nulls: bool,
    start: Finder,
    end: Finder,
    /// Whether frames begin where the window partition does.
    is_fixed: bool,
    /// Where the last frame began, and where it ended.
    from: u64,
    to: u64,
    /// The rows before were looked at for one that is not null.
    at: u64,
    looking: Cursor,
    /// The row with the value, and that value where the row is forgotten.
    found: Option<u64>,
    copy: Option<ArrayRef>,
    picker: Picker,
}

impl Valuing {
    pub(super) fn new(
        column: usize,
        which: Which,
        ignore_nulls: bool,
        (frame, groups): (Frame, usize),
        picker: Picker,
    ) -> Self {
        Valuing {
            column,
            which,
            ignore_nulls,
            start: Finder::new(frame.start, false, groups),
            end: Finder::new(frame.end, true, groups),
            is_fixed: frame.start == Edge::Unbounded,
            from: 0,
            to: 0,
            at: 0,
            looking: Cursor::default(),
            found: None,
            copy: None,
            picker,
        }
    }

    /// Picks a row if it is in the frame.
    fn pick(&mut self, log: &Log<'_>, row: Option<u64>) -> Result<bool> {
        if row.is_none() || self.found != row {
            self.copy = None;
        }
        if row.is_some() {
            self.found = row;
        }
        match (row, &self.copy) {
            (Some(_), Some(copy)) => self.picker.pick_of(copy)?,
            (Some(row), None) => self.picker.pick(log, row)?,
            (None, _) => self.picker.pick_null(),
        }
        Ok(true)
    }

    fn is_valid(&mut self, log: &Log<'_>, row: u64) -> Result<bool> {
        let (column, at) = self.looking.column(log, row, self.column)?;
        Ok(column.is_valid(at))
    }

    /// The first row from `from` on that is not null and before `to`; whether there may be another one
    /// is not known where `to` is not.
    fn first_valid(&mut self, log: &Log<'_>, from: u64, to: u64) -> Result<Option<u64>> {
        if self.found.is_some_and(|found| found < from) {
            (self.found, self.copy) = (None, None);
        }
        if self.found.is_none() {
            self.at = self.at.max(from);
            while self.at < to && self.found.is_none() {
                if self.is_valid(log, self.at)? {
                    self.found = Some(self.at);
                }
                self.at += 1;
            }
        }
        Ok(self.found.filter(|&found| found < to))
    }

    /// The last row before `to` that is not null, and not before `from`.
    fn last_valid(&mut self, log: &Log<'_>, from: u64, to: u64) -> Result<Option<u64>> {
        while self.at < to {
            if self.is_valid(log, self.at)? {
                (self.found, self.copy) = (Some(self.at), None);
            }
            self.at += 1;
        }
        Ok(self.found.filter(|&found| found >= from))
    }
}

impl Evaluate for Valuing {
    fn start(&mut self, row: u64) {
        self.start.start(row);
        self.end.start(row);
        (self.from, self.to, self.at) = (row, row, row);
        (self.found, self.copy) = (None, None);
    }

    fn step(&mut self, log: &Log<'_>, row: u64, end: Option<u64>) -> Result<bool> {
        let (to, is_known) = match self.end.find(log, row, end)? {
            Found::At(to) => (to, true),
            Found::From(to) => (to, false),
        };
        let Found::At(from) = self.start.find(log, row, end)? else {
            return Ok(false);
        };
        (self.from, self.to) = (from, to);
        if self.ignore_nulls {
            let found = match self.which {
                Which::Last => {
                    let found = self.last_valid(log, from, to)?;
                    found.filter(|_| is_known)
                }
                _ => self.first_valid(log, from, to)?,
            };
            if found.is_none() && !is_known {
                return Ok(false);
            }
            return match found {
                Some(_) => self.pick(log, found),
                None => {
                    // what is found may lie behind this frame, and be in the next
                    self.picker.pick_null();
                    Ok(true)
                }
            };
        }
        let wanted = match self.which {
            Which::First => Some(from),
            Which::Last => to.checked_sub(1),
            Which::Nth(n) if n > 0 => from.checked_add(n as u64 - 1),
            Which::Nth(n) => to.checked_sub(n.unsigned_abs()),
        };
        let is_from_start = matches!(self.which, Which::First | Which::Nth(1..));
        let wanted = wanted.filter(|&wanted| wanted >= from && wanted < to);
        if !is_known && (wanted.is_none() || !is_from_start) {
            return Ok(false);
        }
        self.pick(log, wanted)
    }

    fn results(&mut self) -> Result<ArrayRef> {
        self.picker.results()
    }

    fn reads_from(&mut self, log: &Log<'_>, row: u64) -> Result<u64> {
        let edges = self.start.reads_from().min(self.end.reads_from());
        let is_from_start = matches!(self.which, Which::First | Which::Nth(1..));
        let stays = self.is_fixed && is_from_start && self.found.is_some();
        if (self.ignore_nulls || stays)
            && let Some(found) = self.found
            && found < row
            && self.copy.is_none()
        {
            self.copy = Some(self.picker.copy(log, found)?);
        }
        let values = match self.which {
            _ if self.ignore_nulls => self.at,
            // what was found is what is wanted for all rows that come
            Which::First | Which::Nth(1..) if stays => row,
            Which::First | Which::Nth(1..) => self.from,
            Which::Last => self.to.saturating_sub(1),
            Which::Nth(n) => self.to.saturating_sub(n.unsigned_abs()),
        };
        Ok(edges.min(values))
    }
}
