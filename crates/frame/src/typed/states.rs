//! The states of an aggregation of the user's own.
//!
//! A group has the state of the partition that is folded now, and that of all partitions before: they
//! are merged from left to right, whoever folded which part of them.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use flagstone_common::{Error, ErrorKind, Result};

use super::aggregate::Aggregate;
use super::record::{Columns, Writer, each_row};
use crate::error::arrow_error;
use crate::kernels::state::{Fields, Rows, States, source_of};

/// What is kept for a group.
struct Kept<S> {
    before: Option<S>,
    /// Of this partition.
    current: Option<S>,
    source: u32,
}

/// The states of all groups.
pub(super) struct Custom<A: Aggregate> {
    aggregate: Arc<A>,
    row: Columns,
    output: Columns,
    groups: Vec<Kept<A::State>>,
    /// What they hold beside themselves.
    heap: usize,
}

impl<A: Aggregate> Custom<A> {
    /// `output` is one column.
    pub(super) fn new(aggregate: Arc<A>, row: Columns, output: Columns) -> Self {
        Custom {
            aggregate,
            row,
            output,
            groups: Vec::new(),
            heap: 0,
        }
    }

    fn heap_of(&self, state: &Option<A::State>) -> usize {
        let heap = |state| self.aggregate.heap_bytes(state);
        state.as_ref().map_or(0, heap)
    }

    /// What follows is of this partition.
    fn turn(&mut self, group: usize, source: u32) {
        let kept = &mut self.groups[group];
        if kept.source == source && kept.current.is_some() {
            return;
        }
        kept.source = source;
        let Some(current) = kept.current.take() else {
            return;
        };
        let Some(mut before) = kept.before.take() else {
            kept.before = Some(current);
            return;
        };
        let heap = |state: &A::State| self.aggregate.heap_bytes(state);
        self.heap -= heap(&before) + heap(&current);
        self.aggregate.merge(&mut before, current);
        self.heap += heap(&before);
        kept.before = Some(before);
    }

    fn fold(&mut self, group: usize, source: u32, row: A::Row) {
        self.turn(group, source);
        let aggregate = &self.aggregate;
        let current = self.groups[group].current.get_or_insert_with(|| {
            let state = aggregate.init();
            self.heap += aggregate.heap_bytes(&state);
            state
        });
        self.heap -= aggregate.heap_bytes(current);
        aggregate.update(current, row);
        self.heap += aggregate.heap_bytes(current);
    }

    /// The arguments as records have them.
    fn records(&self, args: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
        let named = self.row.fields.iter().zip(args);
        let named = named.map(|(own, arg)| Field::new(own.name(), arg.data_type().clone(), true));
        let schema = Arc::new(Schema::new(named.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(schema, args.to_vec(), &options).map_err(arrow_error)
    }

    /// Whether no more was taken than what was leased.
    fn check_growth(&self, before: usize, declared: usize) -> Result<()> {
        let grown = self.heap.saturating_sub(before);
        if grown <= declared {
            return Ok(());
        }
        let message = format!(
            "the states of {} grew by {grown} bytes, and growth_bytes had declared {declared}: declare all \
             that vectors and texts may take, their spare room too",
            std::any::type_name::<A>()
        );
        Err(Error::new(ErrorKind::Failed, message))
    }
}

/// How many values arguments have, and what they take.
fn size_of_args(args: &[ArrayRef]) -> Result<(usize, usize)> {
    let bytes = args.iter().map(|arg| arg.to_data().get_slice_memory_size());
    let bytes = bytes.sum::<std::result::Result<usize, _>>();
    let rows = args.first().map_or(0, |arg| arg.len());
    Ok((rows, bytes.map_err(arrow_error)?))
}

/// Counts what is written.
struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a state as bytes; it is what [`read`] reads.
pub(super) fn write<S: serde::Serialize>(state: &S, mut out: &mut dyn Write) -> io::Result<()> {
    let config = bincode::config::standard();
    let written = bincode::serde::encode_into_std_write(state, &mut out, config);
    written.map(|_| ()).map_err(io::Error::other)
}

/// A state of its bytes.
pub(super) fn read<S: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<S> {
    let config = bincode::config::standard();
    let read = bincode::serde::decode_from_slice(bytes, config);
    let (state, len) = read.map_err(|error| {
        Error::failed(format!(
            "a state that was written cannot be read back: {error}; keep what serde writes as it reads it"
        ))
    })?;
    match len == bytes.len() {
        true => Ok(state),
        false => Err(Error::failed(
            "a state that was written is read back in part only: keep what serde writes as it reads it",
        )),
    }
}

/// Where a group has seen nothing.
const NOTHING: u32 = u32::MAX;

impl<A: Aggregate> States for Custom<A> {
    fn width(&self) -> usize {
        size_of::<Kept<A::State>>()
    }

    fn reserve(&mut self, groups: usize) {
        let more = groups.saturating_sub(self.groups.len());
        self.groups.reserve_exact(more);
    }

    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, || Kept {
            before: None,
            current: None,
            source: NOTHING,
        });
    }

    fn heap_bytes(&self) -> usize {
        self.heap
    }

    fn growth(&self, values: usize, bytes: usize) -> usize {
        self.aggregate.growth_bytes(values, bytes)
    }

    fn grows(&self) -> bool {
        true
    }

    fn prepare(&mut self, args: &[ArrayRef]) -> Result<(usize, usize)> {
        size_of_args(args)
    }

    fn update(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()> {
        let (values, bytes) = size_of_args(args)?;
        let (heap, declared) = (self.heap, self.growth(values, bytes));
        let records = self.records(args, rows.groups.len())?;
        let (mut run, is_value) = (0, self.row.is_value);
        each_row(&records, is_value, |at, row: A::Row| {
            while rows.runs.get(run).is_some_and(|&(end, _)| end <= at) {
                run += 1;
            }
            let stamp = rows.runs.get(run).map(|&(_, stamp)| stamp);
            let stamp = stamp.ok_or_else(|| Error::bug("a row is of no leaf"))?;
            self.fold(rows.groups[at] as usize, source_of(stamp), row);
            Ok(())
        })?;
        self.check_growth(heap, declared)
    }

    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        // one partition only was seen by whoever writes
        let kept = group.map(|group| &self.groups[group]);
        let state = kept.and_then(|kept| Some((kept.source, kept.current.as_ref()?)));
        let Some((source, state)) = state else {
            return out.write_all(&NOTHING.to_le_bytes());
        };
        let mut counting = Counting(0);
        write(state, &mut counting)?;
        out.write_all(&source.to_le_bytes())?;
        out.write_all(&counting.0.to_le_bytes())?;
        write(state, out)
    }

    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)> {
        if state.u32()? == NOTHING {
            return Ok((0, 0));
        }
        let len = state.u64()? as usize;
        state.bytes(len)?;
        Ok((1, len))
    }

    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()> {
        let source = state.u32()?;
        if source == NOTHING {
            return Ok(());
        }
        let len = state.u64()? as usize;
        let (heap, declared) = (self.heap, self.growth(1, len));
        let read = Some(read(state.bytes(len)?)?);
        self.turn(group, source);
        self.heap += self.heap_of(&read);
        self.groups[group].current = read;
        self.check_growth(heap, declared)
    }

    fn group_bytes(&self, group: usize) -> usize {
        let kept = &self.groups[group];
        self.heap_of(&kept.before) + self.heap_of(&kept.current)
    }

    fn finish(&self, groups: &[u32]) -> Result<ArrayRef> {
        let mut results = Writer::new(&Columns {
            is_value: true,
            ..self.output.clone()
        })?;
        for &group in groups {
            let kept = &self.groups[group as usize];
            let state = match (kept.before.clone(), kept.current.clone()) {
                (Some(mut before), Some(current)) => {
                    self.aggregate.merge(&mut before, current);
                    before
                }
                (before, current) => before.or(current).unwrap_or_else(|| self.aggregate.init()),
            };
            results.push(self.aggregate.finish(state))?;
        }
        let results = results.finish()?;
        Ok(Arc::clone(results.column(0)))
    }
}
