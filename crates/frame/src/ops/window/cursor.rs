//! Where somebody reads the log.

use std::rc::Rc;

use arrow::array::{ArrayRef, RecordBatch};
use flagstone_common::Result;

use super::log::{Held, Log};

/// A page that is read, and keeps as long as it is.
#[derive(Default)]
pub(super) struct Cursor(Option<(u64, Rc<Held>)>);

impl Cursor {
    /// The page that has a row, and which of it that is.
    #[inline]
    pub(super) fn at(&mut self, log: &Log<'_>, row: u64) -> Result<(&RecordBatch, usize)> {
        if !self.has(row) {
            // what is left goes before what is wanted comes
            self.0 = None;
            self.0 = Some(log.load(row)?);
        }
        match &self.0 {
            Some((start, held)) => Ok((&held.batch, (row - start) as usize)),
            None => Err(flagstone_common::Error::bug(
                "a page of a window is not there",
            )),
        }
    }

    /// A column of the page that has a row, and which of it that is.
    #[inline]
    pub(super) fn column(
        &mut self,
        log: &Log<'_>,
        row: u64,
        column: usize,
    ) -> Result<(&ArrayRef, usize)> {
        let (batch, at) = self.at(log, row)?;
        Ok((batch.column(column), at))
    }

    /// Whether a row is on the page that was read last.
    #[inline]
    pub(super) fn has(&self, row: u64) -> bool {
        self.0.as_ref().is_some_and(|(start, held)| {
            row >= *start && row - start < held.batch.num_rows() as u64
        })
    }

    /// The first row of the page that was read last.
    pub(super) fn start(&self) -> Option<u64> {
        self.0.as_ref().map(|(start, _)| *start)
    }

    /// Reads nothing any more.
    pub(super) fn leave(&mut self) {
        self.0 = None;
    }
}
