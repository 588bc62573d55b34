//! The block of this crate: some record batches of one schema.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use flagstone_common::Result;
use flagstone_graph::{Block, BlockData, Codec};

use crate::error::arrow_error;

/// Rows between two tasks.
#[derive(Debug, Clone)]
pub struct Partition {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows, in order.
    pub batches: Vec<RecordBatch>,
}

impl Partition {
    /// How many rows there are.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    /// let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    /// let batch = RecordBatch::try_from_iter([("id", ids)]).expect("one column");
    /// let partition = flagstone_frame::Partition { schema: batch.schema(), batches: vec![batch] };
    /// assert_eq!(partition.row_count(), 3);
    /// ```
    pub fn row_count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

impl BlockData for Partition {
    fn nbytes(&self) -> u64 {
        let mut buffers = Buffers::default();
        self.batches.iter().map(|batch| buffers.add(batch)).sum()
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(&IpcCodec)
    }
}

/// The bytes of a batch's buffers, each counted once however many columns share it.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> u64 {
    Buffers::default().add(batch)
}

/// What the rows of a batch take, of buffers that it may share with others: its own part.
pub(crate) fn rows_bytes(batch: &RecordBatch) -> Result<u64> {
    let columns = batch.columns().iter();
    let bytes = columns.map(|column| column.to_data().get_slice_memory_size());
    let bytes = bytes.sum::<std::result::Result<usize, _>>();
    Ok(bytes.map_err(arrow_error)? as u64)
}

/// Texts of views without what lies between them in buffers that other rows or columns share.
pub(crate) fn compact(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    }
}

/// What the texts of views take that do not lie in the views.
pub(crate) fn viewed_bytes(batch: &RecordBatch) -> u64 {
    let columns = batch.columns().iter();
    let bytes = columns.map(|column| match column.data_type() {
        DataType::Utf8View => column.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => column.as_binary_view().total_buffer_bytes_used(),
        _ => 0,
    });
    bytes.sum::<usize>() as u64
}

/// How many rows of a batch have about so many bytes: one at least.
pub(crate) fn rows_of(batch: &RecordBatch, bytes: u64) -> Result<usize> {
    let all = rows_bytes(batch)?.max(1);
    let rows = batch.num_rows() as u64;
    Ok((rows.saturating_mul(bytes) / all).clamp(1, rows.max(1)) as usize)
}

/// The buffers of several batches, each counted once however many of them are slices of it.
#[derive(Default)]
pub(crate) struct Buffers(HashSet<usize>);

impl Buffers {
    /// The bytes of buffers that were not met before.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> u64 {
        let columns = batch.columns().iter();
        columns
            .map(|column| buffer_bytes(&column.to_data(), &mut self.0))
            .sum()
    }
}

fn buffer_bytes(data: &ArrayData, seen: &mut HashSet<usize>) -> u64 {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    let own = data.buffers().iter().chain(nulls).map(|buffer| {
        // a slice keeps the whole allocation alive
        let fresh = seen.insert(buffer.data_ptr().as_ptr() as usize);
        if fresh { buffer.capacity() as u64 } else { 0 }
    });
    let own: u64 = own.sum();
    own + data
        .child_data()
        .iter()
        .map(|child| buffer_bytes(child, seen))
        .sum::<u64>()
}

struct IpcCodec;

impl Codec for IpcCodec {
    fn name(&self) -> &'static str {
        "ipc"
    }

    fn encode(&self, block: &Block, out: &mut dyn Write) -> io::Result<()> {
        let partition = block
            .downcast_ref::<Partition>()
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut writer = StreamWriter::try_new(out, &partition.schema).map_err(io::Error::other)?;
        for batch in &partition.batches {
            writer.write(batch).map_err(io::Error::other)?;
        }
        writer.finish().map_err(io::Error::other)
    }

    fn decode(&self, input: &mut dyn Read, _: u64) -> io::Result<Block> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let reader = StreamReader::try_new(input, None).map_err(invalid)?;
        let schema = reader.schema();
        let batches = reader
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(invalid)?;
        Ok(Block::new(Partition { schema, batches }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use flagstone_common::Unlimited;

    #[test]
    fn shared_buffers_count_once_and_rows_survive_the_codec() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("bc")]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let batch =
            RecordBatch::try_from_iter([("t", text.clone()), ("same", text), ("n", numbers)])
                .unwrap();
        let one = Partition {
            schema: batch.schema(),
            batches: vec![batch.project(&[0, 2]).unwrap()],
        };
        let both = Partition {
            schema: batch.schema(),
            batches: vec![batch.clone(), batch.slice(1, 2)],
        };
        assert_eq!(one.nbytes(), both.nbytes());
        let back =
            flagstone_graph::round_trip(&Block::new(both.clone()), &Unlimited::new()).unwrap();
        assert_eq!(
            back.downcast_ref::<Partition>().unwrap().batches,
            both.batches
        );
    }
}
