//! Rows of columns one by one, without those that are null.

use std::ops::Range;

use arrow::buffer::NullBuffer;

/// Calls `each` with every row of a range that is not null.
#[inline]
pub(super) fn each_row(
    nulls: Option<&NullBuffer>,
    rows: Range<usize>,
    mut each: impl FnMut(usize),
) {
    match nulls {
        None => rows.for_each(each),
        Some(nulls) => {
            let start = rows.start;
            let part = nulls.slice(start, rows.len());
            part.valid_indices().for_each(|row| each(start + row));
        }
    }
}
