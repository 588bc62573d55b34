//! All rows, batch by batch, for a caller that takes its time: they wait in scratch pages, which are
//! written to the disk when others need the memory.
//!
//! A task that waited for its caller would hold memory that others need, for as long as the caller
//! likes. So the plan runs to its end first, and what is handed over is read by small runs of their own,
//! which hold no more than a piece.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ffi_stream::FFI_ArrowArrayStream;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Block, Deps, Execute, Footprint, Graph, Inputs, Layer};

use super::run;
use crate::frame::DataFrame;
use crate::ops::pipeline::Pipeline;
use crate::ops::stored::{Store, StoredRows};
use crate::partition::Partition;

/// The rows of a frame, batch by batch: what [`DataFrame::batches_with`] gives. An iterator, a reader of
/// Arrow's ([`into_reader`](Self::into_reader)), or a stream for other languages
/// ([`into_c_stream`](Self::into_c_stream)). Dropped, it gives back what was not read.
pub struct Batches<E> {
    execute: E,
    schema: SchemaRef,
    /// The rows of the partitions that are left, in order.
    parts: VecDeque<Block>,
    /// The next piece of the first of them.
    piece: usize,
    ready: VecDeque<RecordBatch>,
}

/// Runs the plan, and keeps its rows.
pub(crate) fn batches<E: Execute>(frame: &DataFrame, execute: E) -> Result<Batches<E>> {
    let attempt = |lowered: Pipeline| {
        let schema = Arc::clone(&lowered.schema);
        let store = Store::new(&schema);
        let mut graph = Graph::new();
        let rows = lowered.push(&mut graph, Arc::new(store))?;
        let blocks = execute.execute(&graph, &[rows])?;
        Ok((schema, blocks.into_iter().flatten().collect()))
    };
    let ((schema, parts), mut met) = run(frame, &execute, attempt, |_| Ok(None))?;
    met.commit()?;
    Ok(Batches {
        execute,
        schema,
        parts,
        piece: 0,
        ready: VecDeque::new(),
    })
}

impl<E: Execute> Batches<E> {
    /// The columns of the batches.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.batches_with(SerialExecutor)?.schema().fields().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The batches as a reader of Arrow's: what its writers, and other libraries, take.
    ///
    /// ```
    /// use arrow::csv::Writer;
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let mut text = Vec::new();
    /// let mut writer = Writer::new(&mut text);
    /// for batch in frame.batches_with(SerialExecutor)?.into_reader() {
    ///     writer.write(&batch?)?;
    /// }
    /// drop(writer);
    /// assert!(text.starts_with(b"a,b\n1,xa\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_reader(self) -> BatchReader<E> {
        BatchReader(self)
    }

    /// The batches as a stream of Arrow's C data interface, which Python, R and others read without a
    /// copy (`pyarrow.RecordBatchReader._import_from_c`). Who reads it to its end, or releases it, gives
    /// everything back.
    ///
    /// ```
    /// use arrow::ffi_stream::ArrowArrayStreamReader;
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let stream = frame.batches_with(SerialExecutor)?.into_c_stream();
    /// let rows = ArrowArrayStreamReader::try_new(stream)?.map(|batch| batch.map(|rows| rows.num_rows()));
    /// assert_eq!(rows.sum::<Result<usize, _>>()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_c_stream(self) -> FFI_ArrowArrayStream
    where
        E: Send + 'static,
    {
        FFI_ArrowArrayStream::new(Box::new(self.into_reader()))
    }

    /// Reads the next piece there is; `false` when there is none.
    fn fill(&mut self) -> Result<bool> {
        let Some(part) = self.parts.front() else {
            return Ok(false);
        };
        if self.piece >= stored(part)?.piece_count() {
            // nobody reads it again
            self.parts.pop_front();
            self.piece = 0;
            return Ok(true);
        }
        let mut graph = Graph::new();
        let reading = Reading {
            part: part.clone(),
            piece: self.piece,
            schema: Arc::clone(&self.schema),
        };
        let layer = graph.push(reading, &[]);
        let blocks = self.execute.execute(&graph, &[layer])?;
        self.piece += 1;
        for block in blocks.iter().flatten() {
            let rows = block.downcast_ref::<Partition>();
            let rows = rows.ok_or_else(|| Error::bug("a piece holds no rows"))?;
            self.ready.extend(rows.batches.iter().cloned());
        }
        Ok(true)
    }
}

impl<E: Execute> Iterator for Batches<E> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.parts.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// [`Batches`] as a reader of Arrow's: see [`Batches::into_reader`].
pub struct BatchReader<E>(Batches<E>);

impl<E: Execute> Iterator for BatchReader<E> {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.0.next()?;
        Some(batch.map_err(|error| ArrowError::ExternalError(Box::new(error))))
    }
}

impl<E: Execute> RecordBatchReader for BatchReader<E> {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}

fn stored(part: &Block) -> Result<&StoredRows> {
    let stored = part.downcast_ref::<StoredRows>();
    stored.ok_or_else(|| Error::bug("a partition is no stored rows"))
}

/// Reads one piece of stored rows.
struct Reading {
    part: Block,
    piece: usize,
    schema: SchemaRef,
}

impl Layer for Reading {
    fn name(&self) -> &str {
        "batches"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, _: u32) -> Footprint {
        let bytes = stored(&self.part).map_or(0, |rows| rows.piece_bytes(self.piece));
        Footprint::estimated(bytes).with_scratch(bytes)
    }

    fn run(&self, _: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let batches = stored(&self.part)?.read(self.piece, ctx)?;
        Ok(Block::new(Partition {
            schema: Arc::clone(&self.schema),
            batches,
        }))
    }
}
