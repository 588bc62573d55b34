//! From the windows of a plan to the operator.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion_expr::expr::WindowFunction;
use datafusion_expr::logical_plan::Window;
use datafusion_expr::{Expr, LogicalPlan, SortExpr};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;
use flagstone_common::{Error, Result};

use super::call::{Columns, call};
use super::{Way, lower_part, not_lowered};
use crate::ops::breaker;
use crate::ops::operator::{Filter, Project};
use crate::ops::pipeline::Pipeline;
use crate::ops::sort::SortKey;
use crate::ops::window::{Numbered, WindowPlan, Windowed};
use crate::plan::physical::physical;

/// The rows of the input with a result an expression.
pub(super) fn window(window: &Window, way: Way<'_>) -> Result<Pipeline> {
    let (rows, places) = results(window, way)?;
    let schema = Arc::new(window.schema.as_arrow().clone());
    Ok(projected(rows, &places, schema))
}

/// Rows with their place as the last column, and where each column of the window is.
fn results(window: &Window, way: Way<'_>) -> Result<(Pipeline, Vec<usize>)> {
    let (mut rows, mut is_sorted) = numbered(&window.input, way)?;
    let width = window.input.schema().fields().len();
    let fields = window.schema.as_arrow().fields();
    let results = window.window_expr.iter().zip(&fields[width..]);
    let mut left: Vec<(usize, Of<'_>)> = (width..).zip(results).collect();
    let mut places: Vec<usize> = (0..fields.len()).collect();
    let mut next = width;
    while let Some((_, (first, _))) = left.first() {
        // the functions of one window are computed together
        let keys = keys_of(first)?;
        let (mut these, mut others) = (Vec::new(), Vec::new());
        for (column, of) in left {
            match keys_of(of.0)? == keys {
                true => {
                    places[column] = next;
                    next += 1;
                    these.push(of);
                }
                false => others.push((column, of)),
            }
        }
        left = others;
        let windowed = windowed(window, rows, &these, is_sorted)?;
        rows = breaker::over(windowed);
        is_sorted = true;
    }
    Ok((rows, places))
}

/// The rows of a plan, with their place as the last column: that below all windows, if it has some.
/// Whether they were sorted since.
fn numbered(plan: &LogicalPlan, way: Way<'_>) -> Result<(Pipeline, bool)> {
    if !is_over_window(plan) {
        let mut rows = lower_part(plan, way)?;
        let numbered = Numbered::over(&rows.schema);
        rows.schema = Arc::clone(&numbered.schema);
        rows.operators.push(Arc::new(numbered));
        return Ok((rows, false));
    }
    let rows = match plan {
        LogicalPlan::Window(window) => {
            let (rows, mut places) = results(window, way)?;
            let place = places.len();
            match places.is_sorted() {
                true => rows,
                false => {
                    places.push(place);
                    let schema = window.schema.as_arrow();
                    let schema = Numbered::over(&Arc::new(schema.clone())).schema;
                    projected(rows, &places, schema)
                }
            }
        }
        LogicalPlan::Projection(projection) => {
            let (mut rows, _) = numbered(&projection.input, way)?;
            let input = projection.input.schema();
            let exprs = projection.expr.iter().map(|expr| physical(expr, input));
            let mut exprs = exprs.collect::<Result<Vec<_>>>()?;
            let place = input.fields().len();
            exprs.push(Arc::new(Column::new("place", place)));
            let schema = Arc::new(projection.schema.as_arrow().clone());
            let schema = Numbered::over(&schema).schema;
            rows.schema = Arc::clone(&schema);
            rows.operators.push(Arc::new(Project { exprs, schema }));
            rows
        }
        LogicalPlan::Filter(filter) => {
            let (mut rows, _) = numbered(&filter.input, way)?;
            let predicate = physical(&filter.predicate, filter.input.schema())?;
            rows.operators.push(Arc::new(Filter(predicate)));
            rows
        }
        LogicalPlan::SubqueryAlias(alias) => numbered(&alias.input, way)?.0,
        _ => return Err(Error::bug("a plan is over no window")),
    };
    Ok((rows, true))
}

/// Whether rows are those of a window, and in its order.
fn is_over_window(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Window(_) => true,
        LogicalPlan::Projection(projection) => is_over_window(&projection.input),
        LogicalPlan::Filter(filter) => is_over_window(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => is_over_window(&alias.input),
        _ => false,
    }
}

/// Some of the columns.
fn projected(mut rows: Pipeline, places: &[usize], schema: SchemaRef) -> Pipeline {
    let columns = places.iter().zip(schema.fields());
    let exprs = columns.map(|(&place, field)| -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(field.name(), place))
    });
    let project = Project {
        exprs: exprs.collect(),
        schema: Arc::clone(&schema),
    };
    rows.operators.push(Arc::new(project));
    rows.schema = schema;
    rows
}

/// An expression and its result.
type Of<'e> = (&'e Expr, &'e FieldRef);

type Keys<'e> = (&'e [Expr], &'e [SortExpr]);

fn keys_of(expr: &Expr) -> Result<Keys<'_>> {
    let params = &function_of(expr)?.params;
    Ok((&params.partition_by, &params.order_by))
}

pub(super) fn function_of(expr: &Expr) -> Result<&WindowFunction> {
    match expr {
        Expr::Alias(alias) => function_of(&alias.expr),
        Expr::WindowFunction(function) => Ok(function),
        other => Err(not_lowered(&other.to_string())),
    }
}

fn windowed(
    window: &Window,
    input: Pipeline,
    exprs: &[Of<'_>],
    is_sorted: bool,
) -> Result<Windowed> {
    let Some((first, _)) = exprs.first() else {
        return Err(Error::bug("a window without functions"));
    };
    let (partition_by, order_by) = keys_of(first)?;
    let schema = window.input.schema();
    let partition_by = partition_by.iter().map(|expr| physical(expr, schema));
    let partition_by = partition_by.collect::<Result<Vec<_>>>()?;
    let order_keys = order_by.iter().map(|key| {
        Ok(SortKey {
            expr: physical(&key.expr, schema)?,
            descending: !key.asc,
            nulls_first: key.nulls_first,
        })
    });
    let order_keys = order_keys.collect::<Result<Vec<_>>>()?;
    let first_keys = partition_by.iter().map(|expr| SortKey {
        expr: Arc::clone(expr),
        descending: false,
        nulls_first: true,
    });
    let mut keys: Vec<SortKey> = first_keys.chain(order_keys.iter().cloned()).collect();
    let width = input.schema.fields().len();
    if is_sorted || keys.is_empty() {
        keys.push(SortKey {
            expr: Arc::new(Column::new("place", width - 1)),
            descending: false,
            nulls_first: true,
        });
    }
    let mut columns = Columns::new(window, width);
    let calls = exprs
        .iter()
        .map(|(expr, field)| call(expr, field, &mut columns));
    let calls = calls.collect::<Result<Vec<_>>>()?;
    let (own, place) = input.schema.fields().split_at(width - 1);
    let results = exprs.iter().map(|(_, field)| *field);
    let fields = own.iter().chain(results).chain(place).cloned();
    let plan = WindowPlan {
        partition_by,
        order_by: order_keys,
        derived: columns.derived(),
        calls,
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
    };
    Ok(Windowed::new(input, keys, plan))
}
