//! Rows that pass a table: those of the left side with their partners, in their own order.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array,
};
use arrow::compute::{cast, filter_record_batch, take};
use arrow::datatypes::DataType;
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_graph::Flow;

use super::index::{KeyReader, Keys, NONE};
use super::rule::{Alone, JoinRule, Side};
use super::table::Table;
use crate::error::{arrow_error, run_error};
use crate::kernels::sizes::add_bytes;
use crate::ops::operator::evaluate;
use crate::partition::rows_bytes;
use crate::source::BATCH_ROWS;

/// What looking for partners takes beside the rows that pass.
pub(super) const SCRATCH_BYTES: u64 = (4 << 20) + (512 << 10);
/// So many bytes of pairs become columns at a time, or one pair.
const PAIRS_BYTES: u64 = 1 << 20;

/// Looks for the partners of rows.
pub(super) struct Probe<'a> {
    rule: &'a JoinRule,
    table: &'a Table,
    reader: KeyReader,
    heads: Vec<u32>,
    pairs: Pairs,
    lease: Lease,
    /// For the columns of pairs.
    columns: Lease,
}

/// Rows that belong together, or may: places in the batch and in the table, [`NONE`] behind the last
/// partner of a row that is wanted without one.
#[derive(Default)]
struct Pairs {
    left: Vec<u32>,
    right: Vec<u32>,
    bytes: u64,
}

impl Pairs {
    fn push(&mut self, left: u32, right: u32, bytes: u64) {
        self.left.push(left);
        self.right.push(right);
        self.bytes += bytes;
    }

    fn clear(&mut self) {
        self.left.clear();
        self.right.clear();
        self.bytes = 0;
    }
}

/// A batch that passes, and what is known of its rows.
struct Passing<'b> {
    batch: &'b RecordBatch,
    sizes: Vec<u64>,
    /// Which rows have a partner, where a condition says so.
    matched: Vec<bool>,
}

impl<'a> Probe<'a> {
    pub(super) fn new(rule: &'a JoinRule, table: &'a Table, ctx: &TaskContext<'_>) -> Result<Self> {
        Ok(Probe {
            reader: KeyReader::new(rule, &rule.key_types[Side::Left as usize])?,
            rule,
            table,
            heads: Vec::new(),
            pairs: Pairs::default(),
            lease: ctx.reserve(0)?,
            columns: ctx.reserve(0)?,
        })
    }

    /// Gives what comes out of a batch of left rows.
    pub(super) fn push(
        &mut self,
        batch: &RecordBatch,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let rule = self.rule;
        let keys = self.look_up(batch)?;
        let heads = std::mem::take(&mut self.heads);
        let flow = match (&rule.filter, rule.gives_pairs()) {
            (None, false) => {
                let matched = heads.iter().map(|&head| head != NONE).collect();
                self.alone(batch, matched, &keys, each)
            }
            (None, true) => self.pairs(batch, &heads, each),
            (Some(_), _) => self.candidates(batch, &heads, &keys, each),
        };
        self.heads = heads;
        flow
    }

    /// Finds the first partner of each row, and gives the rows' keys.
    fn look_up(&mut self, batch: &RecordBatch) -> Result<Keys> {
        let (rule, rows) = (self.rule, batch.num_rows());
        // keys are mostly columns; what is computed is about as large as what it is computed from
        let exprs = &rule.keys[Side::Left as usize];
        self.lease.ensure(rows_bytes(batch)?)?;
        let keys = exprs.iter().map(|expr| evaluate(expr, batch));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let bytes = keys.iter().map(|key| key.to_data().get_slice_memory_size());
        let bytes = bytes.sum::<std::result::Result<usize, _>>();
        let bytes = bytes.map_err(arrow_error)? as u64;
        let of_keys = self.reader.bytes_of(rows as u64, bytes);
        // keys, places of partners, sizes, pairs; and the rows of a batch that stay
        let places = rows as u64 * 16 + BATCH_ROWS as u64 * 8;
        self.lease
            .ensure(rows_bytes(batch)? + bytes + of_keys + places)?;
        let keys = self.reader.read(&keys, rows, rule.nulls_equal)?;
        self.table.index.find(&keys, &mut self.heads);
        Ok(keys)
    }

    /// Marks the rows of the table that have a partner in a batch.
    pub(super) fn mark(&mut self, batch: &RecordBatch) -> Flow {
        self.look_up(batch)?;
        let heads = std::mem::take(&mut self.heads);
        let table = self.table;
        let chains = heads.iter().enumerate();
        let has_filter = self.rule.filter.is_some();
        let passing = match has_filter {
            true => self.passing(batch, false),
            false => Passing {
                batch,
                sizes: Vec::new(),
                matched: Vec::new(),
            },
        };
        self.pairs.clear();
        for (left, &head) in chains {
            let mut row = head;
            // without a condition all rows of a key are marked together
            while row != NONE && (has_filter || !table.is_marked(row)) {
                if !has_filter {
                    table.mark(row);
                } else if !table.is_marked(row) {
                    let mark = &mut |probe: &mut Self, passing: &Passing<'_>| {
                        probe.mark_pairs(passing.batch)
                    };
                    self.add(&passing, left, row, mark)?;
                }
                row = table.index.next(row);
            }
        }
        self.mark_pairs(batch)?;
        self.heads = heads;
        Ok(())
    }

    /// Marks the rows of the table in pairs for which the condition holds.
    fn mark_pairs(&mut self, batch: &RecordBatch) -> Flow {
        self.columns.ensure(2 * self.pairs.bytes)?;
        let holds = self.holds(batch)?;
        let pairs = self.pairs.right.iter().zip(holds);
        let held = pairs.filter(|(_, holds)| *holds);
        held.for_each(|(&row, _)| self.table.mark(row));
        Ok(())
    }

    /// Rows that come out by themselves.
    fn alone(
        &self,
        batch: &RecordBatch,
        matched: Vec<bool>,
        keys: &Keys,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let matched = BooleanArray::from(matched);
        let mask = match self.rule.alone(Side::Left) {
            Alone::Marked => {
                let mut columns = batch.columns().to_vec();
                columns.push(Arc::new(matched));
                return each(self.batch(columns, batch.num_rows())?);
            }
            Alone::Matched => matched,
            _ => {
                // a null may equal anything, if there is anything
                let unknown = self.rule.null_aware && self.table.rows.num_rows() > 0;
                let is_out = |row: usize| !matched.value(row) && (!unknown || keys.matches(row));
                (0..batch.num_rows()).map(|row| Some(is_out(row))).collect()
            }
        };
        match mask.true_count() {
            0 => Ok(()),
            all if all == batch.num_rows() => {
                each(self.batch(batch.columns().to_vec(), batch.num_rows())?)
            }
            _ => {
                let kept = filter_record_batch(batch, &mask).map_err(arrow_error)?;
                let rows = kept.num_rows();
                each(self.batch(kept.columns().to_vec(), rows)?)
            }
        }
    }

    fn passing<'b>(&self, batch: &'b RecordBatch, matched: bool) -> Passing<'b> {
        let rows = batch.num_rows();
        let mut sizes = vec![0; rows];
        let columns = batch.columns().iter();
        columns.for_each(|column| add_bytes(column, &mut sizes));
        let matched = vec![false; if matched { rows } else { 0 }];
        Passing {
            batch,
            sizes,
            matched,
        }
    }

    /// All pairs, and rows without a partner where they are wanted.
    fn pairs(
        &mut self,
        batch: &RecordBatch,
        heads: &[u32],
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let passing = self.passing(batch, false);
        let keeps = self.rule.alone(Side::Left).takes(false);
        self.pairs.clear();
        for (left, &head) in heads.iter().enumerate() {
            let mut right = head;
            if right == NONE && keeps {
                self.add(&passing, left, NONE, &mut |probe, passing| {
                    probe.give(passing, each)
                })?;
            }
            while right != NONE {
                self.add(&passing, left, right, &mut |probe, passing| {
                    probe.give(passing, each)
                })?;
                right = self.table.index.next(right);
            }
        }
        self.give(&passing, each)
    }

    /// What a pair takes as columns.
    #[inline]
    fn pair_bytes(&self, passing: &Passing<'_>, left: usize, right: u32) -> u64 {
        let own = match right {
            NONE => 0,
            right => self.table.row_bytes(right),
        };
        passing.sizes[left] + own
    }

    /// Adds a pair; those before it are taken by `full` when there are enough.
    #[inline]
    fn add(
        &mut self,
        passing: &Passing<'_>,
        left: usize,
        right: u32,
        full: &mut dyn FnMut(&mut Self, &Passing<'_>) -> Flow,
    ) -> Flow {
        let bytes = self.pair_bytes(passing, left, right);
        let pairs = &self.pairs;
        if pairs.left.len() == self.table.rows_max
            || (pairs.bytes + bytes > PAIRS_BYTES && !pairs.left.is_empty())
        {
            full(self, passing)?;
            self.pairs.clear();
        }
        self.pairs.push(left as u32, right, bytes);
        Ok(())
    }

    /// Pairs that belong together if the condition holds, and what follows from them.
    fn candidates(
        &mut self,
        batch: &RecordBatch,
        heads: &[u32],
        keys: &Keys,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let gives_pairs = self.rule.gives_pairs();
        let ends = gives_pairs && self.rule.alone(Side::Left).takes(false);
        let mut passing = self.passing(batch, true);
        self.pairs.clear();
        for (left, &head) in heads.iter().enumerate() {
            let mut right = head;
            while right != NONE && (gives_pairs || !passing.matched[left]) {
                self.add_candidate(&mut passing, left, right, each)?;
                right = self.table.index.next(right);
            }
            if ends {
                self.add_candidate(&mut passing, left, NONE, each)?;
            }
        }
        self.decide(&mut passing, each)?;
        match gives_pairs {
            true => Ok(()),
            false => self.alone(batch, passing.matched, keys, each),
        }
    }

    fn add_candidate(
        &mut self,
        passing: &mut Passing<'_>,
        left: usize,
        right: u32,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        let is_full =
            self.pairs.left.len() == self.table.rows_max || self.pairs.bytes > PAIRS_BYTES;
        if is_full {
            self.decide(passing, each)?;
            self.pairs.clear();
        }
        let bytes = self.pair_bytes(passing, left, right);
        self.pairs.push(left as u32, right, bytes);
        Ok(())
    }

    /// Keeps the pairs for which the condition holds, and gives them where pairs come out.
    fn decide(
        &mut self,
        passing: &mut Passing<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        self.columns.ensure(2 * self.pairs.bytes)?;
        let mut holds = self.holds(passing.batch)?.into_iter();
        let all = std::mem::take(&mut self.pairs);
        let mut kept = Pairs::default();
        for (&left, &right) in all.left.iter().zip(&all.right) {
            let matched = &mut passing.matched[left as usize];
            let comes = match right {
                NONE => !*matched,
                _ => {
                    let holds = holds.next().unwrap_or(false);
                    *matched |= holds;
                    holds
                }
            };
            if comes {
                kept.push(left, right, 0);
            }
        }
        kept.bytes = all.bytes;
        self.pairs = kept;
        match self.rule.gives_pairs() {
            true => self.give(passing, each),
            false => Ok(()),
        }
    }

    /// Whether the condition holds for each pair.
    fn holds(&self, batch: &RecordBatch) -> Result<Vec<bool>> {
        let pairs = self.pairs.left.iter().zip(&self.pairs.right);
        let pairs = pairs.filter(|(_, right)| **right != NONE);
        let (left, right): (Vec<u32>, Vec<u32>) = pairs.map(|(l, r)| (*l, *r)).unzip();
        let count = left.len();
        let Some(filter) = self.rule.filter.as_ref().filter(|_| count > 0) else {
            return Ok(Vec::new());
        };
        let places = [UInt32Array::from(left), UInt32Array::from(right)];
        let mut columns = Vec::new();
        for side in self.rule.columns_order() {
            let rows = [batch, &self.table.rows][side as usize];
            let own = filter.columns[side as usize].iter();
            let schema = &self.rule.schemas[side as usize];
            let taken = own.map(|&at| {
                let taken = take(rows.column(at), &places[side as usize], None);
                shaped(taken.map_err(arrow_error)?, schema.field(at).data_type())
            });
            columns.extend(taken.collect::<Result<Vec<_>>>()?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let both = RecordBatch::try_new_with_options(filter.schema.clone(), columns, &options);
        let both = both.map_err(arrow_error)?;
        let mask = filter.expr.evaluate(&both);
        let mask = mask.and_then(|value| value.into_array(count));
        let mask = mask.map_err(|error| run_error(&*filter.expr, error))?;
        let Some(mask) = mask.as_boolean_opt() else {
            return Err(Error::bug("the condition of a join is no condition"));
        };
        Ok(mask.iter().map(|holds| holds == Some(true)).collect())
    }

    /// Gives the pairs as rows.
    fn give(&mut self, passing: &Passing<'_>, each: &mut dyn FnMut(RecordBatch) -> Flow) -> Flow {
        let count = self.pairs.left.len();
        if count == 0 {
            return Ok(());
        }
        self.columns.ensure(2 * self.pairs.bytes)?;
        let mut columns = Vec::new();
        for side in self.rule.columns_order() {
            columns.extend(match side {
                Side::Left => self.left_columns(passing.batch)?,
                Side::Right => self.right_columns()?,
            });
        }
        each(self.batch(columns, count)?)
    }

    fn left_columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let places = &self.pairs.left;
        let is_all = places.len() == batch.num_rows()
            && places
                .iter()
                .enumerate()
                .all(|(at, &left)| at == left as usize);
        if is_all {
            return Ok(batch.columns().to_vec());
        }
        taken(batch, &UInt32Array::from(places.clone()))
    }

    fn right_columns(&self) -> Result<Vec<ArrayRef>> {
        let (rows, places) = (&self.table.rows, &self.pairs.right);
        if !self.rule.alone(Side::Left).takes(false) {
            return self.of_table(&UInt32Array::from(places.clone()));
        }
        if rows.num_rows() == 0 {
            let fields = self.rule.schemas[Side::Right as usize].fields().iter();
            let nulls = fields.map(|field| new_null_array(field.data_type(), places.len()));
            return Ok(nulls.collect());
        }
        let places = places.iter().map(|&place| (place != NONE).then_some(place));
        self.of_table(&places.collect())
    }

    /// Rows of the table, with the types of their side.
    fn of_table(&self, places: &UInt32Array) -> Result<Vec<ArrayRef>> {
        let columns = taken(&self.table.rows, places)?.into_iter();
        let fields = self.rule.schemas[Side::Right as usize].fields().iter();
        let columns = columns.zip(fields);
        (columns.map(|(column, field)| shaped(column, field.data_type()))).collect()
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = self.rule.schema.clone();
        RecordBatch::try_new_with_options(schema, columns, &options).map_err(arrow_error)
    }
}

/// A column with the type that is wanted: in a table the values of dictionaries stand for themselves.
pub(super) fn shaped(column: ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    match column.data_type() == wanted {
        true => Ok(column),
        false => cast(&column, wanted).map_err(arrow_error),
    }
}

fn taken(rows: &RecordBatch, places: &UInt32Array) -> Result<Vec<ArrayRef>> {
    let columns = rows.columns().iter();
    let columns = columns.map(|column| take(column, places, None));
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>();
    columns.map_err(arrow_error)
}
