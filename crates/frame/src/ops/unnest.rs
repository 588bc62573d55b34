//! Rows of lists: one for each value of a list, or of several lists side by side.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array,
};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, SchemaRef};
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_graph::{Block, Flow};

use super::operator::{Drain, Operator};
use crate::error::arrow_error;
use crate::source::BATCH_ROWS;

/// What becomes of an input's column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unnested {
    /// Repeated for each value of the lists beside it.
    Repeated(usize),
    /// The values of its lists.
    Values(usize),
    /// A member of its structs, repeated.
    Member(usize, usize),
}

/// One row for each value of some columns' lists.
pub(crate) struct Unnest {
    /// The columns that come out.
    pub(crate) columns: Vec<Unnested>,
    pub(crate) schema: SchemaRef,
    /// Whether a list that is null or empty gives a row, with a null.
    pub(crate) keeps_empty: Keeps,
}

/// Which lists without a value give a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    Nothing,
    Nulls,
    NullsAndEmpty,
}

struct Unnesting<'a> {
    unnest: &'a Unnest,
    lease: Lease,
    next: Box<dyn Drain + 'a>,
}

impl Operator for Unnest {
    fn open<'a>(
        &'a self,
        _: u32,
        ctx: &'a TaskContext<'a>,
        next: Box<dyn Drain + 'a>,
    ) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Unnesting {
            unnest: self,
            lease: ctx.reserve(0)?,
            next,
        }))
    }
}

impl Drain for Unnesting<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let lists = self
            .unnest
            .columns
            .iter()
            .filter_map(|column| match column {
                Unnested::Values(at) => Some(lists(batch.column(*at))),
                _ => None,
            });
        let lists = lists.collect::<Result<Vec<_>>>()?;
        // rows are given in batches of the usual size, however long lists are
        let (mut rows, mut places) = (Vec::new(), vec![Vec::new(); lists.len()]);
        for row in 0..batch.num_rows() {
            let ranges: Vec<_> = lists.iter().map(|list| list.range(row)).collect();
            let longest = ranges
                .iter()
                .map(|range| range.map_or(0, |(_, len)| len))
                .max();
            let is_null = ranges.iter().all(Option::is_none);
            let count = match longest {
                // no lists: structs alone
                None => 1,
                Some(0) => match self.unnest.keeps_empty {
                    Keeps::NullsAndEmpty => 1,
                    Keeps::Nulls if is_null => 1,
                    _ => 0,
                },
                Some(longest) => longest,
            };
            for value in 0..count {
                rows.push(row as u32);
                for (places, range) in places.iter_mut().zip(&ranges) {
                    let at = range
                        .filter(|&(_, len)| value < len)
                        .map(|(start, _)| start + value);
                    places.push(at.map(|at| at as u32));
                }
                if rows.len() == BATCH_ROWS {
                    self.flush(&batch, &lists, &mut rows, &mut places)?;
                }
            }
        }
        self.flush(&batch, &lists, &mut rows, &mut places)
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.next.finish()
    }
}

impl Unnesting<'_> {
    fn flush(
        &mut self,
        batch: &RecordBatch,
        lists: &[Lists],
        rows: &mut Vec<u32>,
        places: &mut [Vec<Option<u32>>],
    ) -> Flow {
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len();
        let repeated = UInt32Array::from(std::mem::take(rows));
        let mut taken = lists.iter().zip(places).map(|(list, places)| {
            let places = UInt32Array::from(std::mem::take(places));
            take(&list.values, &places, None).map_err(arrow_error)
        });
        let (mut columns, mut bytes) = (Vec::new(), 0);
        for column in &self.unnest.columns {
            let made: ArrayRef = match *column {
                Unnested::Repeated(at) => {
                    take(batch.column(at), &repeated, None).map_err(arrow_error)?
                }
                Unnested::Values(_) => {
                    let next = taken.next();
                    next.ok_or_else(|| Error::bug("a list has no values"))??
                }
                Unnested::Member(at, member) => {
                    let structs = batch.column(at);
                    let members = structs.as_struct_opt();
                    let members =
                        members.ok_or_else(|| Error::bug("an unnested column is no struct"))?;
                    let member = with_nulls_of(structs, members.column(member))?;
                    take(&member, &repeated, None).map_err(arrow_error)?
                }
            };
            bytes += made.get_array_memory_size() as u64;
            self.lease.ensure(bytes)?;
            columns.push(made);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let schema = Arc::clone(&self.unnest.schema);
        let made = RecordBatch::try_new_with_options(schema, columns, &options);
        self.next.push(made.map_err(arrow_error)?)
    }
}

/// The member of a null struct is null.
fn with_nulls_of(structs: &ArrayRef, member: &ArrayRef) -> Result<ArrayRef> {
    let Some(nulls) = structs.nulls() else {
        return Ok(Arc::clone(member));
    };
    let is_null = arrow::array::BooleanArray::new(!nulls.inner(), None);
    arrow::compute::nullif(member, &is_null).map_err(arrow_error)
}

/// Lists of any kind.
struct Lists {
    values: ArrayRef,
    ranges: Vec<Option<(usize, usize)>>,
}

impl Lists {
    /// Where the values of a row's list begin, and how many they are.
    fn range(&self, row: usize) -> Option<(usize, usize)> {
        self.ranges[row]
    }
}

fn lists(column: &ArrayRef) -> Result<Lists> {
    let rows = 0..column.len();
    let of =
        |row: usize, start: usize, end: usize| column.is_valid(row).then_some((start, end - start));
    let (values, ranges): (ArrayRef, Vec<_>) = match column.data_type() {
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            let ends = lists.value_offsets();
            let range = |row: usize| of(row, ends[row] as usize, ends[row + 1] as usize);
            (lists.values().clone(), rows.map(range).collect())
        }
        DataType::LargeList(_) => {
            let lists = column.as_list::<i64>();
            let ends = lists.value_offsets();
            let range = |row: usize| of(row, ends[row] as usize, ends[row + 1] as usize);
            (lists.values().clone(), rows.map(range).collect())
        }
        DataType::FixedSizeList(_, len) => {
            let lists = column.as_fixed_size_list();
            let len = *len as usize;
            let range = |row: usize| of(row, row * len, (row + 1) * len);
            (lists.values().clone(), rows.map(range).collect())
        }
        other => {
            let message = format!("a column of {other} holds no lists to unnest");
            return Err(Error::invalid(message));
        }
    };
    // of a sliced column all values are there: places are counted in them
    let values = match values.len() > u32::MAX as usize {
        false => values,
        true => {
            return Err(Error::failed(
                "the lists of a batch hold more than 2^32 values",
            ));
        }
    };
    // taking from no values at all is no place to take a null from
    let values = match values.is_empty() {
        true => {
            let null = new_null_array(values.data_type(), 1);
            concat(&[&values, &null]).map_err(arrow_error)?
        }
        false => values,
    };
    Ok(Lists { values, ranges })
}
