//! Where rows come from.
//!
//! A [`PartitionSource`] streams the batches of one partition at a time inside a task: nothing
//! between the source and the end of the task is ever a whole partition. Anything that can do that
//! becomes a [`DataFrame`](crate::DataFrame): files here, a typed bag in the facade.

pub(crate) mod bad;
pub(crate) mod batches;
pub(crate) mod csv;
pub(crate) mod detect;
pub(crate) mod json;
pub(crate) mod open;
pub(crate) mod parquet;
pub(crate) mod records;
pub(crate) mod streamed;
pub(crate) mod text;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion_expr::Expr;
use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Deps, Flow, Graph, Inputs, IoBytes, LayerId};

use crate::error::arrow_error;
use crate::json::Wanted;

/// Sources give batches of at most this many rows. It is a constant because sums are rounded batch
/// by batch: it must follow from nothing that differs between two runs.
pub const BATCH_ROWS: usize = 8192;

/// A source gives a batch early when the text of its rows reaches this many bytes.
pub(crate) const BATCH_TEXT_BYTES: usize = 4 << 20;

/// What a plan wants of a source.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The wanted columns, as indices into the source's schema, ascending.
    pub columns: Vec<usize>,
    /// Conditions that every wanted row meets. A source may leave out rows that do not; the plan
    /// checks them all the same.
    pub filters: Vec<Expr>,
    pub(crate) wanted: Wanted,
}

impl Scan {
    /// All columns and rows.
    pub(crate) fn all(schema: &SchemaRef) -> Self {
        Scan {
            columns: (0..schema.fields().len()).collect(),
            filters: Vec::new(),
            wanted: Wanted::All,
        }
    }

    /// The wanted columns of a batch with all of the source's.
    pub(crate) fn of(&self, batch: RecordBatch) -> Result<RecordBatch> {
        match self.columns.len() == batch.num_columns() {
            true => Ok(batch),
            false => batch.project(&self.columns).map_err(arrow_error),
        }
    }
}

/// Streams rows, partition by partition.
pub trait PartitionSource: Send + Sync {
    /// The layer's name in keys: `"read-json"`.
    fn name(&self) -> &str;

    /// All columns.
    fn schema(&self) -> SchemaRef;

    /// What the source says beside its columns, to be said by files that are written of it.
    fn metadata(&self) -> HashMap<String, String> {
        HashMap::new()
    }

    /// How many partitions there are. Their borders follow from the data and how it is stored.
    fn partition_count(&self) -> u32;

    /// Gives every batch of a partition, in order, with the columns of `scan`. Leases what it
    /// allocates from `ctx`. `inputs` are the blocks that [`deps`](Self::deps) asked for. When `each`
    /// says that it has [enough](flagstone_graph::Stop::Enough), what was read until then is all that
    /// is told of the partition, and it ends well.
    ///
    /// # Errors
    /// Those of `each`, and whatever reading meets.
    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()>;

    /// Joins a graph: lowers the layers that the rows are computed from, and gives the source that
    /// reads them there. `None` when they are computed from none.
    ///
    /// # Errors
    /// Those of lowering.
    fn bind(&self, _graph: &mut Graph) -> Result<Option<Bound>> {
        Ok(None)
    }

    /// What a partition of a bound source reads of its layers, which stand in the slots from `first` on.
    fn deps(&self, _partition: u32, _first: usize, _deps: &mut Deps<'_>) {}

    /// What streaming a partition needs at once, batches included.
    fn scratch_bytes(&self, partition: u32, scan: &Scan) -> u64;

    /// About how many rows there are, where that is known or can be guessed before they are read. Joins are
    /// ordered by it.
    fn rows_about(&self) -> Option<u64> {
        None
    }

    /// About how many different values a column has, where that is known.
    fn distinct_about(&self, _column: usize) -> Option<u64> {
        None
    }

    /// What all rows take at most as columns in memory, where that is known before any is read. It
    /// follows from the data and how it is stored. A join keeps a side in memory that is known to be
    /// small.
    fn rows_bytes_max(&self, _scan: &Scan) -> Option<u64> {
        None
    }

    /// What `scratch_bytes` assumes.
    fn assumption(&self) -> Option<String> {
        None
    }

    /// What is unusually large in the source, for a refusal of memory.
    fn largest(&self) -> Option<String> {
        None
    }

    /// Bytes read from storage for a partition.
    fn io_bytes(&self, _partition: u32) -> IoBytes {
        IoBytes::default()
    }

    /// The schema of the batches that `scan` gives.
    fn scan_schema(&self, scan: &Scan) -> SchemaRef {
        let schema = self.schema();
        let fields = scan
            .columns
            .iter()
            .map(|&column| schema.fields()[column].clone());
        Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
    }

    /// After a run: what was read, and whether the schema held.
    fn outcome(&self) -> Outcome {
        Outcome::default()
    }

    /// What was found about the files that nobody had said, to be told: their delimiter, names that
    /// were made unique.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// After a partition was streamed: what in it the schema does not hold, with its place. Its
    /// rows are then not whole.
    fn deviation(&self, _partition: u32) -> Option<String> {
        None
    }

    /// The directory for bad records, when they are quarantined.
    fn quarantine(&self) -> Option<&Path> {
        None
    }

    /// Bad records go to `directory` until the run is done, instead of [`quarantine`] itself.
    ///
    /// [`quarantine`]: Self::quarantine
    fn stage_quarantine(&self, _directory: Option<PathBuf>) {}
}

/// A source whose rows are computed from layers of a graph.
pub struct Bound {
    /// The source; its partitions read blocks of `inputs`.
    pub source: Arc<dyn PartitionSource>,
    /// The layers.
    pub inputs: Vec<LayerId>,
}

/// What came of reading a source.
#[derive(Default)]
pub struct Outcome {
    /// Rows that were read.
    pub rows: u64,
    /// Records that could not be read and were left out by the policy.
    pub bad_records: u64,
    /// Where the first of them was (`file:line:byte`), and what is wrong with it.
    pub first_bad: Option<String>,
    /// Columns whose type changed after the sample, or that the sample showed to be text only
    /// because no other type holds all their values.
    pub widened: Vec<Widening>,
    /// The source with the schema that holds everything, when the one at hand did not.
    pub next: Option<Arc<dyn PartitionSource>>,
    /// The partitions that have to be read again with `next`, when the rows of all others become
    /// what it would give by a cast alone (keys that are missing are null). `None`: all of them.
    pub differ: Option<Vec<u32>>,
}

/// A column that turned out wider than its first values had shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widening {
    /// The dotted path of the column.
    pub column: String,
    /// What it was taken for; `null` for a key that was not known.
    pub from: String,
    /// What it is.
    pub to: String,
    /// The file with the first record that made it so.
    pub file: String,
    /// That record's line in the file, from 1, where it is known.
    pub line: Option<u64>,
    /// That record's first byte in the file's text.
    pub offset: u64,
}

impl std::fmt::Display for Widening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} became {} at {}",
            self.column, self.from, self.to, self.file
        )?;
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => write!(f, " byte {}", self.offset),
        }
    }
}
