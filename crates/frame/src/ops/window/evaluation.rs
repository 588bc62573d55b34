//! Rows of a range into the log, and out of it with their results.

use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_graph::Flow;

use super::cursor::Cursor;
use super::fold::Folding;
use super::log::Log;
use super::pick::Picker;
use super::place::Placing;
use super::shift::Shifting;
use super::value::Valuing;
use super::{Call, Function, WindowPlan};
use crate::error::{arrow_error, plan_error};
use crate::kernels::key::KeyCodec;
use crate::ops::operator::evaluate;
use crate::partition::{rows_bytes, rows_of};
use crate::source::Scan;

/// Pages of the log have about so many bytes.
const PAGE_BYTES: u64 = 128 << 10;

/// Rows are held while so much is free beside them.
const LEFT_BYTES: u64 = 16 << 20;

/// A function that steps through the rows of the log.
pub(super) trait Evaluate {
    /// A window partition begins at a row.
    fn start(&mut self, row: u64);

    /// The next row: whether its result is known. `end`: where the window partition ends, if that is
    /// known; else all rows that have come behind are of it.
    fn step(&mut self, log: &Log<'_>, row: u64, end: Option<u64>) -> Result<bool>;

    /// The results of all steps since they were asked for last.
    fn results(&mut self) -> Result<ArrayRef>;

    /// The first row that is read still, by the step of `row` and those behind.
    fn reads_from(&mut self, log: &Log<'_>, row: u64) -> Result<u64>;
}

/// How far a function is.
struct Track {
    call: Box<dyn Evaluate>,
    row: u64,
    /// The window partition that the row is in.
    start: u64,
    end: Option<u64>,
}

impl Track {
    /// Steps on to a row, as far as results are known.
    fn run(&mut self, log: &Log<'_>, limit: u64) -> Result<()> {
        while self.row < limit {
            if self.end.is_none() {
                self.end = log.end_of(self.start);
            }
            if self.end == Some(self.row) {
                self.start = self.row;
                self.end = log.end_of(self.start);
                self.call.start(self.row);
            }
            if !self.call.step(log, self.row, self.end)? {
                return Ok(());
            }
            self.row += 1;
        }
        Ok(())
    }
}

/// The evaluation of one range.
pub(super) struct Evaluation<'a> {
    plan: &'a WindowPlan,
    scan: &'a Scan,
    ctx: &'a TaskContext<'a>,
    log: Log<'a>,
    tracks: Vec<Track>,
    /// The first row that was not given yet.
    next: u64,
    keys: Keys,
    /// Of how many parts a page is that may be as large as the rows themselves.
    parts: u64,
    pages: Option<SchemaRef>,
    /// For what is made of a page's rows, and for results.
    deriving: Lease,
    results: Lease,
}

impl<'a> Evaluation<'a> {
    /// For rows with this schema. What has to be there is leased from `working`, and rows that are held
    /// from `ctx`.
    pub(super) fn new(
        plan: &'a WindowPlan,
        schema: &SchemaRef,
        scan: &'a Scan,
        ctx: &'a TaskContext<'a>,
        working: &'a TaskContext<'a>,
    ) -> Result<Self> {
        let groups = schema.fields().len() + plan.derived.len();
        let tracks = plan.calls.iter().map(|call| {
            let mut call = evaluator(call, groups, working)?;
            call.start(0);
            Ok(Track {
                call,
                row: 0,
                start: 0,
                end: None,
            })
        });
        Ok(Evaluation {
            plan,
            scan,
            ctx,
            log: Log::new(working),
            tracks: tracks.collect::<Result<_>>()?,
            next: 0,
            keys: Keys::new(plan, schema)?,
            parts: 1 + plan.derived.iter().filter(|of| of.is_wide()).count() as u64,
            pages: None,
            deriving: working.reserve(0)?,
            results: working.reserve(0)?,
        })
    }

    /// The next rows of the order.
    pub(super) fn push(
        &mut self,
        batch: RecordBatch,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Flow {
        // pages share the batch's buffers, which live as long as one of them
        let lease = self.hold(rows_bytes(&batch)?).map(Rc::new);
        let len = rows_of(&batch, PAGE_BYTES / self.parts)?;
        for start in (0..batch.num_rows()).step_by(len) {
            let rows = batch.slice(start, len.min(batch.num_rows() - start));
            self.append(rows, lease.clone())?;
            self.advance(each)?;
        }
        Ok(())
    }

    /// A lease for rows that stay in memory, if there is more than enough: what the operators behind
    /// take of the task's memory is to be left.
    fn hold(&self, bytes: u64) -> Option<Lease> {
        let mut lease = self.ctx.reserve(bytes + LEFT_BYTES).ok()?;
        lease.shrink_to(bytes);
        Some(lease)
    }

    /// There are no more rows.
    pub(super) fn finish(&mut self, each: &mut dyn FnMut(RecordBatch) -> Flow) -> Flow {
        self.log.complete();
        self.advance(each)?;
        match self.next == self.log.end() {
            true => Ok(()),
            false => Err(Error::bug("a row of a window has no result").into()),
        }
    }

    fn append(&mut self, rows: RecordBatch, lease: Option<Rc<Lease>>) -> Result<()> {
        let own = rows_bytes(&rows)?;
        // keys and derived columns are about as large as what they are made of
        let needed = (2 + self.plan.derived.len() as u64) * own + 128 * rows.num_rows() as u64;
        self.deriving.ensure(needed)?;
        let groups = self.keys.meet(self.plan, &rows, &mut self.log)?;
        let mut columns = rows.columns().to_vec();
        for derived in &self.plan.derived {
            columns.push(derived.column(&rows)?);
        }
        columns.push(Arc::new(groups));
        let schema = match &self.pages {
            Some(schema) => Arc::clone(schema),
            None => {
                let fields = columns.iter().enumerate().map(|(at, column)| {
                    Field::new(at.to_string(), column.data_type().clone(), true)
                });
                let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
                Arc::clone(self.pages.insert(schema))
            }
        };
        let page = RecordBatch::try_new(schema, columns).map_err(arrow_error)?;
        let leases = lease.and_then(|lease| {
            let made = rows_bytes(&page).ok()?.saturating_sub(own);
            let made = self.hold(made + 256)?;
            Some(vec![lease, Rc::new(made)])
        });
        self.log.append(page, leases)
    }

    /// Gives the pages whose results are known.
    fn advance(&mut self, each: &mut dyn FnMut(RecordBatch) -> Flow) -> Flow {
        while let Some((start, rows)) = self.log.page_of(self.next) {
            let needed = (64 * rows * self.tracks.len()) as u64;
            self.results.ensure(needed)?;
            let limit = start + rows as u64;
            for track in &mut self.tracks {
                track.run(&self.log, limit)?;
            }
            if self.tracks.iter().any(|track| track.row < limit) {
                return Ok(());
            }
            let results = self.tracks.iter_mut().map(|track| track.call.results());
            let results = results.collect::<Result<Vec<_>>>()?;
            let mut front = Cursor::default();
            let (page, _) = front.at(&self.log, start)?;
            let width = self.plan.schema.fields().len() - results.len();
            let (own, place) = page.columns()[..width].split_at(width - 1);
            let columns = own.iter().cloned().chain(results);
            let columns = columns.chain(place.iter().cloned()).collect();
            let given = RecordBatch::try_new(Arc::clone(&self.plan.schema), columns);
            let given = given.map_err(arrow_error)?;
            each(self.scan.of(given)?)?;
            drop(front);
            self.next = limit;
            self.forget()?;
        }
        Ok(())
    }

    fn forget(&mut self) -> Result<()> {
        let (mut row, mut start) = (self.next, u64::MAX);
        for track in &mut self.tracks {
            row = row.min(track.call.reads_from(&self.log, track.row)?);
            start = start.min(track.start);
        }
        self.log.forget(row, start);
        Ok(())
    }
}

/// Where keys change from one row to the next.
struct Keys {
    partition: Option<KeyCodec>,
    order: Option<KeyCodec>,
    last_partition: Vec<u8>,
    last_order: Vec<u8>,
    /// How many rows there were, and how many keys of an order.
    rows: u64,
    group: u64,
}

impl Keys {
    fn new(plan: &WindowPlan, schema: &SchemaRef) -> Result<Self> {
        let codec =
            |exprs: &mut dyn Iterator<Item = &Arc<dyn datafusion_physical_expr::PhysicalExpr>>| {
                let types = exprs.map(|expr| expr.data_type(schema).map_err(plan_error));
                let types = types.collect::<Result<Vec<_>>>()?;
                let some = (!types.is_empty()).then(|| KeyCodec::new(&types));
                some.transpose()
            };
        Ok(Keys {
            partition: codec(&mut plan.partition_by.iter())?,
            order: codec(&mut plan.order_by.iter().map(|key| &key.expr))?,
            last_partition: Vec::new(),
            last_order: Vec::new(),
            rows: 0,
            group: 0,
        })
    }

    /// The numbers of the keys of some rows; window partitions that begin are told to the log.
    fn meet(
        &mut self,
        plan: &WindowPlan,
        rows: &RecordBatch,
        log: &mut Log<'_>,
    ) -> Result<UInt64Array> {
        let encode = |codec: &Option<KeyCodec>, columns: Vec<ArrayRef>| {
            let encoded = codec.as_ref().map(|codec| codec.encode(&columns));
            encoded.transpose()
        };
        let columns = plan.partition_by.iter().map(|expr| evaluate(expr, rows));
        let partitions = encode(&self.partition, columns.collect::<Result<_>>()?)?;
        let columns = plan.order_by.iter().map(|key| evaluate(&key.expr, rows));
        let orders = encode(&self.order, columns.collect::<Result<_>>()?)?;
        let (mut groups, len) = (Vec::with_capacity(rows.num_rows()), rows.num_rows());
        for row in 0..len {
            let partition = partitions
                .as_ref()
                .map_or(&[][..], |all| all.row(row).data());
            let is_first = self.rows == 0;
            if is_first || partition != self.last_partition {
                self.last_partition.clear();
                self.last_partition.extend_from_slice(partition);
                self.group += 1;
                if !is_first {
                    log.begin(self.rows);
                }
                self.last_order.clear();
                if let Some(all) = &orders {
                    self.last_order.extend_from_slice(all.row(row).data());
                }
            } else if let Some(all) = &orders
                && all.row(row).data() != self.last_order
            {
                self.last_order.clear();
                self.last_order.extend_from_slice(all.row(row).data());
                self.group += 1;
            }
            groups.push(self.group);
            self.rows += 1;
        }
        Ok(groups.into())
    }
}

fn evaluator(call: &Call, groups: usize, ctx: &TaskContext<'_>) -> Result<Box<dyn Evaluate>> {
    let picker = |column| {
        let lease = ctx.reserve(0)?;
        Ok::<_, Error>(Picker::new(column, &call.data_type, lease))
    };
    Ok(match &call.function {
        Function::Shift {
            column,
            behind,
            default,
            ignore_nulls,
        } => {
            let default = default.clone();
            let picker = picker(*column)?;
            Box::new(Shifting::new(
                *column,
                *behind,
                default,
                *ignore_nulls,
                picker,
            ))
        }
        Function::Value {
            column,
            which,
            ignore_nulls,
        } => {
            let (frame, picker) = ((call.frame, groups), picker(*column)?);
            Box::new(Valuing::new(*column, *which, *ignore_nulls, frame, picker))
        }
        Function::Fold { column, fold } => {
            let (of, data_type) = ((*fold, *column), &call.data_type);
            let lease = ctx.reserve(0)?;
            Box::new(Folding::new(of, call.frame, groups, data_type, lease))
        }
        function => Box::new(Placing::new(function.clone(), groups)),
    })
}
