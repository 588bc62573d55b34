//! Rows in scratch pages: what an operator keeps until all rows are there.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_exchange::{ScratchRange, Spool};
use flagstone_graph::{Block, BlockData, Flow, Footprint};

use super::operator::Drain;
use super::pipeline::Sink;
use crate::error::arrow_error;
use crate::partition::{compact, rows_bytes, rows_of, viewed_bytes};

/// Rows are written when so many bytes of them are together.
const PIECE_BYTES: usize = 256 << 10;
/// What a stream takes beside its rows: its schema, and the writer's own buffers.
const STREAM_BYTES: u64 = 64 << 10;

/// Where the rows of a partition lie. When the last who reads them is done they are gone.
pub(crate) struct StoredRows {
    spool: Arc<Spool>,
    pieces: Vec<ScratchRange>,
    rows: u64,
}

impl StoredRows {
    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// How many bytes they take, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len).sum()
    }

    /// Gives all rows to `each`, in order, until it has enough.
    pub(crate) fn for_each(
        &self,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let (mut bytes, mut lease) = (Vec::new(), ctx.reserve(0)?);
        for piece in 0..self.pieces.len() {
            ctx.check_cancelled()?;
            lease.ensure(self.piece_bytes(piece))?;
            for batch in self.reader(piece, &mut bytes)? {
                each(batch.map_err(arrow_error)?)?;
            }
        }
        Ok(())
    }

    /// In how many pieces they lie.
    pub(crate) fn piece_count(&self) -> usize {
        self.pieces.len()
    }

    /// What reading a piece takes: its bytes, and its rows.
    pub(crate) fn piece_bytes(&self, piece: usize) -> u64 {
        let range = self.pieces.get(piece);
        range.map_or(0, |range| 2 * range.len + STREAM_BYTES)
    }

    /// The rows of a piece.
    pub(crate) fn read(&self, piece: usize, ctx: &TaskContext<'_>) -> Result<Vec<RecordBatch>> {
        let _lease = ctx.reserve(self.piece_bytes(piece))?;
        let mut bytes = Vec::new();
        let rows = self.reader(piece, &mut bytes)?;
        rows.map(|batch| batch.map_err(arrow_error)).collect()
    }

    fn reader<'b>(&self, piece: usize, bytes: &'b mut Vec<u8>) -> Result<StreamReader<&'b [u8]>> {
        let range = self.pieces[piece];
        bytes.resize(range.len as usize, 0);
        self.spool.read(range, 0, bytes)?;
        StreamReader::try_new(bytes.as_slice(), None).map_err(arrow_error)
    }
}

impl BlockData for StoredRows {
    fn nbytes(&self) -> u64 {
        (size_of::<Self>() + self.pieces.capacity() * size_of::<ScratchRange>()) as u64
    }
}

impl Drop for StoredRows {
    fn drop(&mut self) {
        self.pieces.iter().for_each(|&range| self.spool.free(range));
    }
}

/// Writes the rows of one partition.
pub(crate) struct RowWriter<'a> {
    ctx: &'a TaskContext<'a>,
    schema: SchemaRef,
    stream: Option<StreamWriter<Vec<u8>>>,
    stored: StoredRows,
    lease: Lease,
    /// Of all that is in the spool, what has the highest turn is read last.
    turn: u32,
}

impl<'a> RowWriter<'a> {
    pub(crate) fn new(
        spool: &Arc<Spool>,
        schema: &SchemaRef,
        turn: u32,
        ctx: &'a TaskContext<'a>,
    ) -> Result<Self> {
        Ok(RowWriter {
            ctx,
            schema: Arc::clone(schema),
            stream: None,
            stored: StoredRows {
                spool: Arc::clone(spool),
                pieces: Vec::new(),
                rows: 0,
            },
            lease: ctx.reserve(0)?,
            turn,
        })
    }

    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let written = self.stream.as_ref().map_or(0, |s| s.get_ref().capacity());
        // the buffer grows by doubling, and the message lies beside it
        let bytes = rows_bytes(batch)? + viewed_bytes(batch);
        let needed = 2 * written as u64 + 3 * bytes + STREAM_BYTES;
        self.lease.ensure(needed)?;
        // or all of the buffers would be written that views share with other rows
        let columns = batch.columns().iter().map(compact).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(batch.schema(), columns, &options);
        let batch = batch.map_err(arrow_error)?;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = StreamWriter::try_new(Vec::new(), &self.schema);
                none.insert(stream.map_err(arrow_error)?)
            }
        };
        stream.write(&batch).map_err(arrow_error)?;
        self.stored.rows += batch.num_rows() as u64;
        match stream.get_ref().len() >= PIECE_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        let Some(stream) = self.stream.take() else {
            return Ok(());
        };
        let bytes = stream.into_inner().map_err(arrow_error)?;
        let range = self.stored.spool.append(&bytes, self.turn, self.ctx)?;
        self.stored.pieces.push(range);
        drop(bytes);
        self.lease.shrink_to(0);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<StoredRows> {
        self.flush()?;
        self.stored.pieces.shrink_to_fit();
        Ok(self.stored)
    }
}

/// Keeps the rows of each partition in scratch pages.
pub(crate) struct Store {
    schema: SchemaRef,
    spool: Arc<Spool>,
}

impl Store {
    /// For rows with this schema, in pages of their own.
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        Store {
            schema: Arc::clone(schema),
            spool: Arc::default(),
        }
    }
}

struct Storing<'a>(RowWriter<'a>);

impl Sink for Store {
    fn name(&self) -> &str {
        "store"
    }

    fn start<'a>(&'a self, task: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        let writer = RowWriter::new(&self.spool, &self.schema, task, ctx)?;
        Ok(Box::new(Storing(writer)))
    }

    fn footprint(&self) -> Footprint {
        Footprint::estimated(1 << 10)
            .with_scratch(4 * PIECE_BYTES as u64 + STREAM_BYTES)
            .resident()
    }
}

impl Drain for Storing<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        // a batch takes three times as much while it is written: of a large one a part at a time
        let rows = match is_cut_well(&batch) {
            true => rows_of(&batch, PIECE_BYTES as u64)?,
            false => batch.num_rows().max(1),
        };
        for start in (0..batch.num_rows()).step_by(rows) {
            let len = rows.min(batch.num_rows() - start);
            self.0.push(&batch.slice(start, len))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        Ok(Block::new(self.0.finish()?))
    }
}

/// Whether a part of a batch is written without the rest: views and dictionaries are written whole.
fn is_cut_well(batch: &RecordBatch) -> bool {
    let own = |column: &ArrayRef| match column.data_type() {
        DataType::Utf8View | DataType::BinaryView | DataType::Dictionary(..) => false,
        data_type => !data_type.is_nested(),
    };
    batch.columns().iter().all(own)
}

/// What reading stored rows takes at once.
pub(crate) const READING_BYTES: u64 = 3 * PIECE_BYTES as u64 + STREAM_BYTES;

/// The stored rows of a task's input.
pub(crate) fn stored<'i>(
    inputs: &'i flagstone_graph::Inputs<'_>,
    at: usize,
) -> Result<&'i StoredRows> {
    let stored = inputs.get::<StoredRows>(at);
    stored.map_err(|_| Error::bug("an input is no stored rows"))
}
