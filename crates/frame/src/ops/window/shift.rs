//! Values of rows that are so many rows away.

use std::collections::VecDeque;

use arrow::array::{Array, ArrayRef};
use flagstone_common::Result;

use super::cursor::Cursor;
use super::evaluation::Evaluate;
use super::log::Log;
use super::pick::Picker;

/// Takes the value of a row before each, or behind it.
pub(super) struct Shifting {
    column: usize,
    /// Negative: so many rows after.
    behind: i64,
    default: Option<ArrayRef>,
    ignore_nulls: bool,
    picker: Picker,
    start: u64,
    /// The rows before were looked at: those of them that are not null, as far as they matter.
    at: u64,
    looking: Cursor,
    valid: VecDeque<u64>,
}

impl Shifting {
    pub(super) fn new(
        column: usize,
        behind: i64,
        default: Option<ArrayRef>,
        ignore_nulls: bool,
        picker: Picker,
    ) -> Self {
        Shifting {
            column,
            behind,
            default,
            // the row itself, whatever it has
            ignore_nulls: ignore_nulls && behind != 0,
            picker,
            start: 0,
            at: 0,
            looking: Cursor::default(),
            valid: VecDeque::new(),
        }
    }

    fn pick(&mut self, log: &Log<'_>, row: Option<u64>) -> Result<bool> {
        match (row, &self.default) {
            (Some(row), _) => self.picker.pick(log, row)?,
            (None, Some(default)) => self.picker.pick_of(default)?,
            (None, None) => self.picker.pick_null(),
        }
        Ok(true)
    }

    /// Looks at the next row.
    fn look(&mut self, log: &Log<'_>) -> Result<()> {
        let (column, at) = self.looking.column(log, self.at, self.column)?;
        if column.is_valid(at) {
            self.valid.push_back(self.at);
        }
        self.at += 1;
        Ok(())
    }
}

impl Evaluate for Shifting {
    fn start(&mut self, row: u64) {
        (self.start, self.at) = (row, row);
        self.valid.clear();
    }

    fn step(&mut self, log: &Log<'_>, row: u64, end: Option<u64>) -> Result<bool> {
        let limit = end.unwrap_or_else(|| log.end());
        let away = self.behind.unsigned_abs();
        if !self.ignore_nulls {
            let wanted = match self.behind >= 0 {
                true => row.checked_sub(away).filter(|&wanted| wanted >= self.start),
                false => row.checked_add(away).filter(|&wanted| wanted < limit),
            };
            if wanted.is_none() && self.behind < 0 && end.is_none() {
                return Ok(false);
            }
            return self.pick(log, wanted);
        }
        if self.behind > 0 {
            while self.at < row {
                self.look(log)?;
                if self.valid.len() as u64 > away {
                    self.valid.pop_front();
                }
            }
            let is_there = self.valid.len() as u64 == away;
            let wanted = self.valid.front().copied().filter(|_| is_there);
            return self.pick(log, wanted);
        }
        while self.valid.front().is_some_and(|&valid| valid <= row) {
            self.valid.pop_front();
        }
        self.at = self.at.max(row + 1);
        while (self.valid.len() as u64) < away && self.at < limit {
            self.look(log)?;
        }
        let wanted = self.valid.get(away as usize - 1).copied();
        if wanted.is_none() && end.is_none() {
            return Ok(false);
        }
        self.pick(log, wanted)
    }

    fn results(&mut self) -> Result<ArrayRef> {
        self.picker.results()
    }

    fn reads_from(&mut self, _: &Log<'_>, row: u64) -> Result<u64> {
        if self.ignore_nulls {
            return Ok(self.valid.front().copied().unwrap_or(self.at).min(self.at));
        }
        let away = u64::try_from(self.behind).unwrap_or(0);
        Ok(row.saturating_sub(away).max(self.start))
    }
}
