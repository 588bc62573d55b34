//! From the optimised plan to layers. A node that has no out-of-core operator here is an error
//! that names it, never a silent fallback to memory.

mod call;
mod frame;
mod join;
mod sets;
mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::{Array, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion_common::{DFSchema, NullHandling};
use datafusion_expr::logical_plan::{FetchType, SkipType, TableScan};
use datafusion_expr::{Expr, LogicalPlan, SortExpr, logical_plan};
use flagstone_common::{Error, Result};

use super::aggregate;
use super::logical::FrameTable;
use super::native::{Native, NativeNode};
use super::physical::physical;
use super::wanted;
use crate::error::{arrow_error, plan_error};
use crate::json;
use crate::ops::breaker::{self, Breaker};
use crate::ops::group::Grouped;
use crate::ops::limit::{Limited, Wanted};
use crate::ops::native::{FilterBatches, MapBatches, Sample};
use crate::ops::operator::{Filter, Operator, Project, evaluate};
use crate::ops::pipeline::{Columns, Pipeline};
use crate::ops::sort::{SortKey, Sorted};
use crate::ops::union::United;
use crate::ops::unnest::{Keeps, Unnest, Unnested};
use crate::source::batches::BatchSource;
use crate::source::{PartitionSource, Scan};

/// Whether rows of a plan with a wider schema are those of the plan before, cast. A condition over a
/// column of another type may hold for other rows.
pub(crate) fn casts_to(before: Columns, after: Columns, narrow: &Schema, wide: &Schema) -> bool {
    let filtered = before.filtered || after.filtered;
    !filtered || adds_only(narrow.fields(), wide.fields())
}

/// Whether all fields are there still, of the same types but for further members.
fn adds_only(before: &Fields, wider: &Fields) -> bool {
    before.iter().all(|field| {
        wider.find(field.name()).is_some_and(|(_, wider)| {
            match (field.data_type(), wider.data_type()) {
                (DataType::Struct(a), DataType::Struct(b)) => adds_only(a, b),
                (a, b) => a == b,
            }
        })
    })
}

/// A pipeline that is being made, from the scan upwards.
struct Chain {
    pipeline: Pipeline,
    /// Whether rows still have the source's columns, so that what is read of them matters.
    at_scan: bool,
}

/// How a part of a plan is lowered.
#[derive(Clone, Copy)]
struct Way<'a> {
    /// A partition whose rows the schema does not hold fails.
    strict: bool,
    /// Nothing above sees in which order the rows come, nor how they are dealt to partitions.
    any_order: bool,
    /// How many joins share the memory that nobody needs.
    sharing: &'a Arc<AtomicU64>,
}

impl Way<'_> {
    fn ordered(self) -> Self {
        Way {
            any_order: false,
            ..self
        }
    }

    fn any_order(self, any_order: bool) -> Self {
        Way { any_order, ..self }
    }
}

/// Makes the pipeline of a plan; `strict`: a partition whose rows the schema does not hold fails.
pub(crate) fn lower(plan: &LogicalPlan, strict: bool) -> Result<Pipeline> {
    let way = Way {
        strict,
        any_order: false,
        sharing: &Arc::default(),
    };
    lower_part(plan, way)
}

/// Makes the pipeline of a part of a plan.
fn lower_part(plan: &LogicalPlan, way: Way<'_>) -> Result<Pipeline> {
    let Chain {
        mut pipeline,
        at_scan,
    } = chain(plan, way)?;
    if at_scan {
        // no projection above: every scanned column is a result
        want_columns(&mut pipeline);
    }
    pipeline.schema = Arc::new(plan.schema().as_arrow().clone());
    Ok(pipeline)
}

fn chain(plan: &LogicalPlan, way: Way<'_>) -> Result<Chain> {
    match plan {
        LogicalPlan::TableScan(scan) => table_scan(scan, way),
        LogicalPlan::EmptyRelation(empty) => {
            let schema = Arc::new(empty.schema.as_arrow().clone());
            let batches = match empty.produce_one_row {
                true => vec![one_row(&schema)?],
                false => Vec::new(),
            };
            Ok(over(Arc::new(BatchSource { schema, batches })))
        }
        LogicalPlan::Values(values) => {
            let schema = Arc::new(values.schema.as_arrow().clone());
            let batches = vec![constants(values, &schema)?];
            Ok(over(Arc::new(BatchSource { schema, batches })))
        }
        LogicalPlan::SubqueryAlias(alias) => chain(&alias.input, way),
        LogicalPlan::Filter(filter) => {
            let mut chain = chain(&filter.input, way)?;
            chain.read([&filter.predicate]);
            let predicate = physical(&filter.predicate, filter.input.schema())?;
            chain.push(Filter(predicate));
            Ok(chain)
        }
        LogicalPlan::Projection(projection) => {
            let mut chain = chain(&projection.input, way)?;
            chain.read(&projection.expr);
            chain.at_scan = false;
            let input = projection.input.schema();
            let exprs = projection.expr.iter().map(|expr| physical(expr, input));
            let exprs = exprs.collect::<Result<Vec<_>>>()?;
            let schema = Arc::new(projection.schema.as_arrow().clone());
            chain.push(Project { exprs, schema });
            Ok(chain)
        }
        LogicalPlan::Aggregate(aggregate) => {
            if let Some(inputs) = sets::each_set(aggregate, way)? {
                let schema = Arc::new(aggregate.schema.as_arrow().clone());
                return Ok(over(Arc::new(United::new(inputs, schema))));
            }
            let exact = aggregate::is_exact(aggregate)?;
            let mut chain = chain(&aggregate.input, way.any_order(exact))?;
            chain.read(aggregate.group_expr.iter().chain(&aggregate.aggr_expr));
            let plan = aggregate::group(aggregate)?;
            Ok(broken(Grouped::new(plan, chain.pipeline)))
        }
        LogicalPlan::Limit(limit) => {
            let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (
                limit.get_skip_type().map_err(plan_error)?,
                limit.get_fetch_type().map_err(plan_error)?,
            ) else {
                return Err(not_lowered("a limit that is no number"));
            };
            let input = lower_part(&limit.input, way.ordered())?;
            let rows = Wanted::First {
                skip: skip as u64,
                fetch: fetch.map(|fetch| fetch as u64),
            };
            Ok(broken(Limited::new(input, rows)))
        }
        LogicalPlan::Sort(sort) => {
            let schema = sort.input.schema();
            let key = |key: &SortExpr| {
                Ok(SortKey {
                    expr: physical(&key.expr, schema)?,
                    descending: !key.asc,
                    nulls_first: key.nulls_first,
                })
            };
            let keys = sort.expr.iter().map(key).collect::<Result<_>>()?;
            // rows of equal keys stay in their order
            let any_order = way.any_order && sort.fetch.is_none();
            let input = lower_part(&sort.input, way.any_order(any_order))?;
            Ok(broken(Sorted::new(input, keys, sort.fetch)))
        }
        LogicalPlan::Union(union) => {
            let schema = Arc::new(union.schema.as_arrow().clone());
            let inputs = union.inputs.iter().map(|input| lower_part(input, way));
            let inputs = inputs.collect::<Result<Vec<_>>>()?;
            Ok(over(Arc::new(United::new(inputs, schema))))
        }
        LogicalPlan::Join(join) => {
            let pipeline = join::join(join, way)?;
            Ok(Chain::after(pipeline))
        }
        LogicalPlan::Unnest(node) => {
            let unnest = unnest(node)?;
            let mut chain = pass(&node.input, way)?;
            chain.push(unnest);
            Ok(chain)
        }
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any().downcast_ref::<NativeNode>();
            let node = node.ok_or_else(|| not_lowered(extension.node.name()))?;
            native(node, way)
        }
        LogicalPlan::Window(window) => Ok(Chain::after(window::window(window, way.ordered())?)),
        other => Err(not_lowered(&other.display().to_string())),
    }
}

/// A row of nulls, mostly without columns: what a query without a table goes over.
fn one_row(schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().iter();
    let columns = columns.map(|field| new_null_array(field.data_type(), 1));
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options);
    row.map_err(arrow_error)
}

/// The rows of `VALUES (1, 'a'), (2, 'b')`.
fn constants(values: &logical_plan::Values, schema: &SchemaRef) -> Result<RecordBatch> {
    let (none, empty) = (DFSchema::empty(), Arc::new(Schema::empty()));
    let row = one_row(&empty)?;
    let value = |expr: &Expr, field: &Arc<Field>| {
        let value = evaluate(&physical(expr, &none)?, &row)?;
        match value.data_type() == field.data_type() {
            true => Ok(value),
            false => cast(&value, field.data_type()).map_err(arrow_error),
        }
    };
    let column = |(at, field): (usize, &Arc<Field>)| {
        let cells = values.values.iter().map(|row| value(&row[at], field));
        let cells = cells.collect::<Result<Vec<_>>>()?;
        let cells: Vec<&dyn Array> = cells.iter().map(|cell| &**cell).collect();
        concat(&cells).map_err(arrow_error)
    };
    let columns = schema.fields().iter().enumerate().map(column);
    let columns = columns.collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(schema.clone(), columns).map_err(arrow_error)
}

/// An operation of our own.
fn native(node: &NativeNode, way: Way<'_>) -> Result<Chain> {
    match &node.native {
        Native::Tail(rows) => {
            let input = lower_part(&node.input, way.ordered())?;
            let rows = Wanted::Last(*rows as u64);
            Ok(broken(Limited::new(input, rows)))
        }
        Native::Sample { fraction, seed } => {
            let mut chain = chain(&node.input, way.ordered())?;
            let (fraction, seed) = (*fraction, *seed);
            chain.push(Sample { fraction, seed });
            Ok(chain)
        }
        Native::Filter(function) => {
            let mut chain = pass(&node.input, way.ordered())?;
            chain.push(FilterBatches(Arc::clone(function)));
            Ok(chain)
        }
        Native::Map(function, schema) => {
            let mut chain = pass(&node.input, way.ordered())?;
            chain.push(MapBatches {
                function: Arc::clone(function),
                schema: Arc::clone(schema),
            });
            Ok(chain)
        }
    }
}

/// A chain whose rows all columns of are read by what follows.
fn pass(plan: &LogicalPlan, way: Way<'_>) -> Result<Chain> {
    lower_part(plan, way).map(Chain::after)
}

/// What lists become rows of.
fn unnest(node: &logical_plan::Unnest) -> Result<Unnest> {
    let lists = &node.list_type_columns;
    if let Some((_, list)) = lists.iter().find(|(_, list)| list.depth != 1) {
        return Err(not_lowered(&format!("unnesting {list} at once")));
    }
    let mut members: HashMap<usize, usize> = HashMap::new();
    let column = |&input: &usize| {
        if lists.iter().any(|(list, _)| *list == input) {
            return Unnested::Values(input);
        }
        if node.struct_type_columns.contains(&input) {
            let next = members.entry(input).or_default();
            *next += 1;
            return Unnested::Member(input, *next - 1);
        }
        Unnested::Repeated(input)
    };
    Ok(Unnest {
        columns: node.dependency_indices.iter().map(column).collect(),
        schema: Arc::new(node.schema.as_arrow().clone()),
        keeps_empty: match node.options.null_handling {
            NullHandling::Drop => Keeps::Nothing,
            NullHandling::Preserve => Keeps::Nulls,
            NullHandling::PreserveAndExpandEmpty => Keeps::NullsAndEmpty,
        },
    })
}

/// A chain that starts anew, over rows that were made.
fn over(source: Arc<dyn PartitionSource>) -> Chain {
    Chain::after(Pipeline::over(source))
}

/// A chain that starts anew, over an operator that sees all rows first.
fn broken(breaker: impl Breaker) -> Chain {
    Chain::after(breaker::over(breaker))
}

impl Chain {
    /// Goes on with rows that are the source's no more.
    fn after(pipeline: Pipeline) -> Self {
        Chain {
            pipeline,
            at_scan: false,
        }
    }

    fn push(&mut self, operator: impl Operator + 'static) {
        self.pipeline.operators.push(Arc::new(operator));
    }

    fn read<'a>(&mut self, exprs: impl IntoIterator<Item = &'a Expr>) {
        if self.at_scan {
            let wanted = &mut self.pipeline.scan.wanted;
            exprs.into_iter().for_each(|expr| wanted::add(wanted, expr));
        }
    }
}

pub(super) fn not_lowered(what: &str) -> Error {
    Error::invalid(format!(
        "{what} has no out-of-core operator yet, so the plan is refused: compute it in another way"
    ))
}

fn table_scan(scan: &TableScan, way: Way<'_>) -> Result<Chain> {
    // how many rows are wanted (`fetch`) is known to the limit above, too
    let Some(table) = scan.source.downcast_ref::<FrameTable>() else {
        return Err(not_lowered("a table that is no frame"));
    };
    let source = table.source.clone();
    let all = || (0..source.schema().fields().len()).collect();
    let columns = scan.projection.clone().unwrap_or_else(all);
    let mut wanted = match table.is_open {
        true => json::Wanted::All,
        false => json::Wanted::Fields(Vec::new()),
    };
    scan.filters
        .iter()
        .for_each(|filter| wanted::add(&mut wanted, filter));
    let scan = Scan {
        columns,
        filters: scan.filters.clone(),
        wanted,
    };
    let pipeline = Pipeline {
        schema: source.scan_schema(&scan),
        source,
        scan,
        operators: Vec::new(),
        is_scan: true,
        strict: way.strict,
        small_bytes: 0,
    };
    Ok(Chain {
        pipeline,
        at_scan: true,
    })
}

fn want_columns(pipeline: &mut Pipeline) {
    let (schema, scan) = (pipeline.source.schema(), &mut pipeline.scan);
    if scan.columns.len() == schema.fields().len() {
        scan.wanted = json::Wanted::All;
        return;
    }
    for &column in &scan.columns {
        scan.wanted.add(&[schema.field(column).name().clone()]);
    }
}
