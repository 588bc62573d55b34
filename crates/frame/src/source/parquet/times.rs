//! Times of 96 bits that nanoseconds of 64 bits do not hold.
//!
//! Decoded as nanoseconds they wrap around without a word. So they are decoded a second time, as
//! seconds, beside: these always hold, and show which of the others are wrong.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_array};
use arrow::datatypes::{DataType, Fields, Schema, TimeUnit, TimestampSecondType};
use flagstone_common::Result;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
};

use super::leaves::leaf_ranges;
use super::trouble::caught_parquet;
use super::{Opened, Reading};
use crate::schema::shape::map_fields;

/// The first and the last second that nanoseconds hold.
const SECONDS: std::ops::RangeInclusive<i64> =
    i64::MIN / 1_000_000_000..=i64::MAX / 1_000_000_000 - 1;

/// Reads the seconds of the old times of a row group.
pub(super) struct Seconds<'a> {
    reading: &'a Reading<'a>,
    leaves: Vec<usize>,
    reader: ParquetRecordBatchReader,
}

impl<'a> Reading<'a> {
    /// Nothing where no old times are read as nanoseconds.
    pub(super) fn old_times(&'a self, wanted: &[usize]) -> Result<Option<Seconds<'a>>> {
        let Opened {
            old_times,
            metadata,
            ..
        } = self.opened;
        let is_old = |leaf: &usize| old_times.contains(leaf);
        let leaves: Vec<usize> = wanted.iter().copied().filter(is_old).collect();
        if leaves.is_empty() {
            return Ok(None);
        }
        let fields = with_unit(
            metadata.schema().fields(),
            old_times.iter(),
            TimeUnit::Second,
        );
        let schema = Schema::new_with_metadata(fields, metadata.schema().metadata().clone());
        let options = ArrowReaderOptions::default().with_schema(Arc::new(schema));
        let parquet = Arc::clone(metadata.metadata());
        let metadata = caught_parquet(
            self.path,
            || self.place(),
            || ArrowReaderMetadata::try_new(parquet, options),
        )?;
        let reader = self.start_of(&metadata, &leaves)?;
        Ok(Some(Seconds {
            reading: self,
            leaves,
            reader,
        }))
    }
}

impl Seconds<'_> {
    /// Looks at the next batch: the column in which a time is far, if there is one.
    pub(super) fn far_column(&mut self, fields: &Fields) -> Result<Option<String>> {
        let Some(batch) = self.reading.next(&mut self.reader, &self.leaves)? else {
            return Ok(None);
        };
        let far = far_place(&batch);
        let name = far.map(|at| {
            let ranges = leaf_ranges(fields);
            // columns of the batch are those that have an old time
            let mut having = ranges
                .iter()
                .zip(fields)
                .filter(|(range, _)| self.leaves.iter().any(|leaf| range.contains(leaf)));
            having
                .nth(at)
                .map_or(String::new(), |(_, field)| field.name().clone())
        });
        Ok(name)
    }
}

/// The place of the first column with a time that is far.
fn far_place(batch: &RecordBatch) -> Option<usize> {
    batch.columns().iter().position(has_far)
}

fn has_far(array: &ArrayRef) -> bool {
    if let DataType::Timestamp(TimeUnit::Second, _) = array.data_type() {
        let times = array.as_primitive::<TimestampSecondType>();
        return times
            .iter()
            .flatten()
            .any(|second| !SECONDS.contains(&second));
    }
    let data = array.to_data();
    let mut children = data.child_data().iter().cloned().map(make_array);
    children.any(|child| has_far(&child))
}

/// The fields with these leaf columns as microseconds.
pub(super) fn in_microseconds<'a>(
    fields: &Fields,
    leaves: impl Iterator<Item = &'a usize>,
) -> Fields {
    with_unit(fields, leaves, TimeUnit::Microsecond)
}

fn with_unit<'a>(
    fields: &Fields,
    leaves: impl Iterator<Item = &'a usize>,
    unit: TimeUnit,
) -> Fields {
    let leaves: std::collections::BTreeSet<usize> = leaves.copied().collect();
    let mut leaf = 0;
    map_fields(fields, &mut |field| {
        if field.data_type().is_nested() {
            return field;
        }
        leaf += 1;
        match field.data_type() {
            DataType::Timestamp(_, zone) if leaves.contains(&(leaf - 1)) => {
                let zone = zone.clone();
                field.with_data_type(DataType::Timestamp(unit, zone))
            }
            _ => field,
        }
    })
}
