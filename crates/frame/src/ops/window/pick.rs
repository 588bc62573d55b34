//! Results that are values of other rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_null_array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::DataType;
use flagstone_common::{Lease, Result};

use super::cursor::Cursor;
use super::log::Log;
use crate::error::arrow_error;

/// Picks a value a row, of a column of the log or of another.
pub(super) struct Picker {
    column: usize,
    data_type: DataType,
    cursor: Cursor,
    /// What is picked from now, and the first row of its page if it is one.
    from: Option<(ArrayRef, Option<u64>)>,
    rows: Vec<Option<u32>>,
    done: Vec<ArrayRef>,
    lease: Lease,
    bytes: u64,
}

impl Picker {
    pub(super) fn new(column: usize, data_type: &DataType, lease: Lease) -> Self {
        Picker {
            column,
            data_type: data_type.clone(),
            cursor: Cursor::default(),
            from: None,
            rows: Vec::new(),
            done: Vec::new(),
            lease,
            bytes: 0,
        }
    }

    /// The value of a row of the log.
    pub(super) fn pick(&mut self, log: &Log<'_>, row: u64) -> Result<()> {
        let is_here = matches!(self.from, Some((_, Some(_)))) && self.cursor.has(row);
        if !is_here {
            self.flush()?;
            let (column, at) = self.cursor.column(log, row, self.column)?;
            self.from = Some((Arc::clone(column), Some(row - at as u64)));
        }
        let start = self.from.as_ref().and_then(|(_, start)| *start);
        self.rows.push(Some((row - start.unwrap_or(row)) as u32));
        Ok(())
    }

    /// The one value of a column.
    pub(super) fn pick_of(&mut self, column: &ArrayRef) -> Result<()> {
        let is_here = matches!(&self.from, Some((from, None)) if Arc::ptr_eq(from, column));
        if !is_here {
            self.flush()?;
            self.from = Some((Arc::clone(column), None));
        }
        self.rows.push(Some(0));
        Ok(())
    }

    pub(super) fn pick_null(&mut self) {
        self.rows.push(None);
    }

    /// The value of a row of the log, as a column without others.
    pub(super) fn copy(&mut self, log: &Log<'_>, row: u64) -> Result<ArrayRef> {
        let (column, at) = self.cursor.column(log, row, self.column)?;
        let at = UInt32Array::from(vec![at as u32]);
        take(column, &at, None).map_err(arrow_error)
    }

    fn flush(&mut self) -> Result<()> {
        let rows: UInt32Array = std::mem::take(&mut self.rows).into();
        let from = self.from.take();
        if rows.is_empty() {
            return Ok(());
        }
        let taken = match from {
            Some((from, _)) => {
                // they lie side by side with all in one column
                self.bytes += 2 * picked_bytes(&from, &rows);
                self.lease.ensure(self.bytes)?;
                take(&from, &rows, None).map_err(arrow_error)?
            }
            None => new_null_array(&self.data_type, rows.len()),
        };
        self.done.push(match *taken.data_type() == self.data_type {
            true => taken,
            false => cast(&taken, &self.data_type).map_err(arrow_error)?,
        });
        Ok(())
    }

    pub(super) fn results(&mut self) -> Result<ArrayRef> {
        self.flush()?;
        self.cursor.leave();
        let done = std::mem::take(&mut self.done);
        self.bytes = 0;
        match done.as_slice() {
            [] => Ok(new_null_array(&self.data_type, 0)),
            [one] => Ok(Arc::clone(one)),
            several => {
                let several: Vec<&dyn Array> = several.iter().map(AsRef::as_ref).collect();
                concat(&several).map_err(arrow_error)
            }
        }
    }
}

/// What these rows of a column take, when they are copied.
fn picked_bytes(column: &ArrayRef, rows: &UInt32Array) -> u64 {
    let rows = rows.iter().flatten().map(|row| row as usize);
    let fixed = 16 * column.len().min(1) as u64 + 32;
    let bytes = match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            rows.map(|row| texts.value_length(row) as u64 + fixed).sum()
        }
        DataType::LargeUtf8 => {
            let texts = column.as_string::<i64>();
            rows.map(|row| texts.value_length(row) as u64 + fixed).sum()
        }
        DataType::Binary => {
            let bytes = column.as_binary::<i32>();
            rows.map(|row| bytes.value_length(row) as u64 + fixed).sum()
        }
        _ => {
            let all = column.to_data().get_slice_memory_size().unwrap_or(0) as u64;
            let each = all / column.len().max(1) as u64 + 16;
            rows.count() as u64 * each
        }
    };
    let bytes: u64 = bytes;
    bytes + 64
}
