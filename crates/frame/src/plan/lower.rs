//! From the optimised plan to layers. A node that has no out-of-core operator here is an error
//! that names it, never a silent fallback to memory.

mod call;
mod frame;
mod join;
mod window;

use std::sync::Arc;

use arrow::datatypes::{DataType, Fields, Schema};
use datafusion_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion_expr::logical_plan::{Aggregate, FetchType, SkipType, TableScan};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, SortExpr};
use flagstone_common::{Error, Result};

use super::logical::FrameTable;
use super::physical::physical;
use super::wanted;
use crate::error::plan_error;
use crate::json::Wanted;
use crate::kernels::state::State;
use crate::ops::aggregate::{Aggregation, Function, GroupPlan, Grouped};
use crate::ops::limit::Limited;
use crate::ops::operator::{Filter, Operator, Project};
use crate::ops::pipeline::{Columns, Pipeline};
use crate::ops::sort::{SortKey, Sorted};
use crate::ops::union::United;
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

/// Makes the pipeline of a plan; `strict`: a partition whose rows the schema does not hold fails.
pub(crate) fn lower(plan: &LogicalPlan, strict: bool) -> Result<Pipeline> {
    let Chain {
        mut pipeline,
        at_scan,
    } = chain(plan, strict)?;
    if at_scan {
        // no projection above: every scanned column is a result
        want_columns(&mut pipeline);
    }
    pipeline.schema = Arc::new(plan.schema().as_arrow().clone());
    Ok(pipeline)
}

fn chain(plan: &LogicalPlan, strict: bool) -> Result<Chain> {
    match plan {
        LogicalPlan::TableScan(scan) => table_scan(scan, strict),
        LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row => {
            let schema = Arc::new(empty.schema.as_arrow().clone());
            let batches = Vec::new();
            Ok(over(Arc::new(BatchSource { schema, batches })))
        }
        LogicalPlan::SubqueryAlias(alias) => chain(&alias.input, strict),
        LogicalPlan::Filter(filter) => {
            let mut chain = chain(&filter.input, strict)?;
            chain.read([&filter.predicate]);
            let predicate = physical(&filter.predicate, filter.input.schema())?;
            chain.push(Filter(predicate));
            Ok(chain)
        }
        LogicalPlan::Projection(projection) => {
            let mut chain = chain(&projection.input, strict)?;
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
            let mut chain = chain(&aggregate.input, strict)?;
            chain.read(aggregate.group_expr.iter().chain(&aggregate.aggr_expr));
            Ok(over(Arc::new(Grouped::new(
                group(aggregate)?,
                chain.pipeline,
            ))))
        }
        LogicalPlan::Limit(limit) => {
            let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (
                limit.get_skip_type().map_err(plan_error)?,
                limit.get_fetch_type().map_err(plan_error)?,
            ) else {
                return Err(not_lowered("a limit that is no number"));
            };
            let input = lower(&limit.input, strict)?;
            Ok(over(Arc::new(Limited::new(input, skip, fetch))))
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
            let input = lower(&sort.input, strict)?;
            Ok(over(Arc::new(Sorted::new(input, keys, sort.fetch))))
        }
        LogicalPlan::Union(union) => {
            let schema = Arc::new(union.schema.as_arrow().clone());
            let inputs = union.inputs.iter().map(|input| lower(input, strict));
            let inputs = inputs.collect::<Result<Vec<_>>>()?;
            Ok(over(Arc::new(United::new(inputs, schema))))
        }
        LogicalPlan::Window(window) => Ok(Chain {
            pipeline: window::window(window, strict)?,
            at_scan: false,
        }),
        LogicalPlan::Join(join) => Ok(over(Arc::new(join::join(join, strict)?))),
        other => Err(not_lowered(&other.display().to_string())),
    }
}

/// A chain that starts anew, over an operator that is a source.
fn over(source: Arc<dyn PartitionSource>) -> Chain {
    Chain {
        pipeline: Pipeline::over(source),
        at_scan: false,
    }
}

impl Chain {
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

fn not_lowered(what: &str) -> Error {
    Error::invalid(format!(
        "{what} has no out-of-core operator yet, so the plan is refused: compute it in another way"
    ))
}

fn table_scan(scan: &TableScan, strict: bool) -> Result<Chain> {
    // how many rows are wanted (`fetch`) is known to the limit above, too
    let Some(table) = scan.source.downcast_ref::<FrameTable>() else {
        return Err(not_lowered("a table that is no frame"));
    };
    let source = table.source.clone();
    let all = || (0..source.schema().fields().len()).collect();
    let columns = scan.projection.clone().unwrap_or_else(all);
    let mut wanted = match table.is_open {
        true => Wanted::All,
        false => Wanted::Fields(Vec::new()),
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
        strict,
    };
    Ok(Chain {
        pipeline,
        at_scan: true,
    })
}

fn want_columns(pipeline: &mut Pipeline) {
    let (schema, scan) = (pipeline.source.schema(), &mut pipeline.scan);
    if scan.columns.len() == schema.fields().len() {
        scan.wanted = Wanted::All;
        return;
    }
    for &column in &scan.columns {
        scan.wanted.add(&[schema.field(column).name().clone()]);
    }
}

fn group(aggregate: &Aggregate) -> Result<GroupPlan> {
    let input = aggregate.input.schema();
    let physical_of = |expr: &Expr| physical(expr, input);
    let type_of = |expr: &Expr| expr.get_type(input).map_err(plan_error);
    let keys = aggregate
        .group_expr
        .iter()
        .map(physical_of)
        .collect::<Result<_>>()?;
    let key_types = aggregate
        .group_expr
        .iter()
        .map(type_of)
        .collect::<Result<_>>()?;
    let mut aggregations = Vec::new();
    for expr in &aggregate.aggr_expr {
        let mut inner = expr;
        // count(*) has a name of its own below the one that the user gave it
        while let Expr::Alias(alias) = inner {
            inner = &alias.expr;
        }
        let Expr::AggregateFunction(AggregateFunction { func, params }) = inner else {
            return Err(not_lowered(&expr.to_string()));
        };
        let AggregateFunctionParams {
            args,
            distinct,
            filter,
            order_by,
            ..
        } = params;
        let function = match func.name() {
            "sum" => Function::Sum,
            "avg" => Function::Mean,
            "min" => Function::Min,
            "max" => Function::Max,
            "count" => Function::Count,
            _ => return Err(not_lowered(&expr.to_string())),
        };
        let [argument] = args.as_slice() else {
            return Err(not_lowered(&expr.to_string()));
        };
        if *distinct || filter.is_some() || !order_by.is_empty() {
            return Err(not_lowered(&expr.to_string()));
        }
        let argument_type = type_of(argument)?;
        let best = matches!(function, Function::Min | Function::Max);
        let sums = matches!(function, Function::Sum | Function::Mean);
        if (best && !State::orders(&argument_type))
            || (sums && !(argument_type.is_integer() || argument_type.is_floating()))
        {
            return Err(not_lowered(&format!("{expr} of type {argument_type}")));
        }
        let argument = physical(argument, input)?;
        aggregations.push(Aggregation {
            function,
            argument,
            argument_type,
        });
    }
    let schema = Arc::new(aggregate.schema.as_arrow().clone());
    Ok(GroupPlan {
        keys,
        key_types,
        aggregations,
        schema,
    })
}
