//! The rows of a side in memory, as columns, for all tasks that look for partners among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_empty_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Schema};
use flagstone_common::{ErrorKind, Lease, Result, TaskContext};
use flagstone_graph::{Block, BlockData, Deps, Footprint, Inputs, Layer, ended};

use super::index::{Index, KeyReader};
use super::rule::{Alone, JoinRule, Side};
use crate::error::arrow_error;
use crate::kernels::key::{key_type, plain_column};
use crate::kernels::sizes::{add_bytes, fixed_bytes};
use crate::ops::operator::evaluate;
use crate::ops::stored::{READING_BYTES, StoredRows, stored};
use crate::partition::{batch_bytes, compact};
use crate::source::BATCH_ROWS;

/// Larger tables would need places of more than 32 bits.
const TABLE_BYTES_MAX: u64 = 1 << 30;

/// Whether a table is made.
pub(super) enum Room {
    /// Always: its rows are declared to take no more than this.
    Declared(u64),
    /// Where it fits in its share of the memory that no task needs, of as many as there are in the plan.
    Share(Arc<AtomicU64>),
}

/// Makes a table of stored rows.
pub(super) struct TableLayer {
    pub(super) rule: Arc<JoinRule>,
    /// How many partitions the rows have.
    pub(super) count: u32,
    pub(super) room: Room,
}

/// The right side of a join by its keys.
pub(super) struct Table {
    pub(super) rows: RecordBatch,
    pub(super) index: Index,
    /// What each row takes, where that is not the same for all.
    sizes: Vec<u64>,
    /// What each row takes where that is the same for all.
    row_bytes: u64,
    /// So many rows of it can be given at a time.
    pub(super) rows_max: usize,
    /// A bit for each row, where rows of the other side say which come out.
    marks: Box<[AtomicU64]>,
}

/// A table, if it was made.
pub(super) struct MaybeTable(pub(super) Option<Table>);

impl Table {
    /// What a row takes as columns.
    #[inline]
    pub(super) fn row_bytes(&self, row: u32) -> u64 {
        match self.sizes.is_empty() {
            true => self.row_bytes,
            false => self.sizes[row as usize],
        }
    }

    // Relaxed: who asks for all marks runs when all who make them are done

    #[inline]
    pub(super) fn is_marked(&self, row: u32) -> bool {
        let word = self.marks.get(row as usize / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (row % 64) & 1 == 1)
    }

    #[inline]
    pub(super) fn mark(&self, row: u32) {
        if let Some(word) = self.marks.get(row as usize / 64) {
            word.fetch_or(1 << (row % 64), Ordering::Relaxed);
        }
    }

    /// Whether the key of a row is null.
    pub(super) fn has_nulls(&self) -> bool {
        self.index.has_nulls()
    }
}

impl BlockData for MaybeTable {
    fn nbytes(&self) -> u64 {
        self.0.as_ref().map_or(64, |table| {
            let words = (table.sizes.capacity() + table.marks.len()) as u64;
            batch_bytes(&table.rows) + table.index.nbytes() + 8 * words
        })
    }
}

impl Layer for TableLayer {
    fn name(&self) -> &str {
        "table"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.range(0, 0..self.count);
    }

    fn footprint(&self, _: u32) -> Footprint {
        let bytes = match &self.room {
            Room::Declared(bytes) => *bytes,
            Room::Share(_) => 0,
        };
        // rows, places and words of keys; and the rows before they are put together
        Footprint::estimated(self.table_bytes(bytes) + (64 << 10))
            .with_scratch(2 * bytes + READING_BYTES)
            .resident()
    }

    fn assumption(&self) -> Option<String> {
        Some("rows of texts take no more than three times as much with their keys".into())
    }

    fn run(&self, _: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let pieces = (0..inputs.len()).map(|at| stored(&inputs, at));
        let pieces = pieces.collect::<Result<Vec<_>>>()?;
        let Room::Share(sharing) = &self.room else {
            return Ok(Block::new(MaybeTable(Some(self.made(&pieces, ctx)?))));
        };
        let sharing = sharing.load(Ordering::Relaxed).max(1);
        let bytes: u64 = pieces.iter().map(|rows| rows.bytes()).sum();
        let rows: u64 = pieces.iter().map(|rows| rows.rows()).sum();
        let keys = 16 * rows + Index::bytes_of(rows);
        let fits = 3 * bytes + keys <= ctx.headroom_bytes() / sharing && bytes <= TABLE_BYTES_MAX;
        let table = fits.then(|| self.made(&pieces, ctx)).transpose();
        let table = match table {
            Err(error) if error.kind() == ErrorKind::NeedsMemory => None,
            table => table?,
        };
        Ok(Block::new(MaybeTable(table)))
    }
}

impl TableLayer {
    /// What a table takes of rows that take so much.
    fn table_bytes(&self, bytes: u64) -> u64 {
        let fields = self.rule.schemas[Side::Right as usize].fields().iter();
        let fixed = fields.map(|field| fixed_bytes(field.data_type()));
        match fixed.sum::<Option<u64>>() {
            // a byte of each says whether it is null, which may take nothing
            Some(row_bytes) if row_bytes > 0 => {
                let width = self.rule.schemas[Side::Right as usize].fields().len() as u64;
                let rows = bytes / (row_bytes - width).max(1);
                let keys = self.rule.key_types[Side::Right as usize].len() as u64;
                bytes + Index::bytes_of(rows) + rows * (8 * keys + 1)
            }
            _ => 3 * bytes,
        }
    }

    fn made(&self, pieces: &[&StoredRows], ctx: &TaskContext<'_>) -> Result<Table> {
        let (schema, mut lease) = (&self.rule.schemas[Side::Right as usize], ctx.reserve(0)?);
        let (mut batches, mut count) = (Vec::new(), 0);
        for rows in pieces {
            ended(rows.for_each(ctx, &mut |batch| {
                lease.try_grow(batch_bytes(&batch))?;
                count += batch.num_rows();
                batches.push(batch);
                Ok(())
            }))?;
        }
        // once more when they are put together, and texts yet once more
        let views = schema
            .fields()
            .iter()
            .any(|field| is_view(field.data_type()));
        let gathered = lease.bytes();
        lease.try_grow(gathered * if views { 2 } else { 1 })?;
        let column = |at: usize| put_together(&batches, at, schema.field(at).data_type());
        let columns = (0..schema.fields().len()).map(column);
        let columns = columns.collect::<Result<Vec<_>>>()?;
        drop(batches);
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let fields = schema.fields().iter().map(|field| {
            let plain = key_type(field.data_type());
            field.as_ref().clone().with_data_type(plain)
        });
        let plain = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let rows = RecordBatch::try_new_with_options(plain, columns, &options);
        let rows = rows.map_err(arrow_error)?;
        lease.ensure(batch_bytes(&rows))?;
        lease.shrink_to(batch_bytes(&rows));
        self.indexed(rows, &mut lease)
    }

    fn indexed(&self, rows: RecordBatch, lease: &mut Lease) -> Result<Table> {
        let (rule, at) = (&self.rule, Side::Right as usize);
        let (count, own) = (rows.num_rows() as u64, lease.bytes());
        let keys = rule.keys[at].iter().map(|expr| evaluate(expr, &rows));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let reader = KeyReader::new(rule, &rule.key_types[at])?;
        let of_keys: u64 = keys
            .iter()
            .map(|key| key.get_array_memory_size() as u64)
            .sum();
        lease.try_grow(reader.bytes_of(count, of_keys) + Index::bytes_of(count) + count / 8)?;
        let keys = reader.read(&keys, rows.num_rows(), rule.nulls_equal)?;
        let index = Index::new(keys);
        let fields = rows.schema();
        let fixed = fields
            .fields()
            .iter()
            .map(|field| fixed_bytes(field.data_type()));
        let fixed: Option<u64> = fixed.sum();
        let mut sizes = Vec::new();
        if fixed.is_none() {
            lease.try_grow(8 * count)?;
            sizes.resize(rows.num_rows(), 0);
            let columns = rows.columns().iter();
            columns.for_each(|column| add_bytes(column, &mut sizes));
        }
        let marked = rule.alone(Side::Right) != Alone::None;
        let words = if marked {
            rows.num_rows().div_ceil(64)
        } else {
            0
        };
        lease.ensure(own + index.nbytes() + 8 * (sizes.capacity() + words) as u64)?;
        Ok(Table {
            marks: (0..words).map(|_| AtomicU64::new(0)).collect(),
            row_bytes: fixed.unwrap_or(0),
            rows_max: rule.codec(Side::Right)?.rows_max().min(BATCH_ROWS),
            rows,
            index,
            sizes,
        })
    }
}

fn is_view(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8View | DataType::BinaryView)
}

/// A column of some batches as one.
fn put_together(batches: &[RecordBatch], at: usize, data_type: &DataType) -> Result<ArrayRef> {
    let columns = batches.iter().map(|batch| plain_column(batch.column(at)));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let columns: Vec<&dyn Array> = columns.iter().map(|column| &**column).collect();
    if columns.is_empty() {
        return Ok(new_empty_array(&key_type(data_type)));
    }
    concat(&columns)
        .map(|column| compact(&column))
        .map_err(arrow_error)
}
