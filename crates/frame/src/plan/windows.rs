//! Window functions where columns are made or rows chosen: they are computed below.

use std::collections::HashMap;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DataFusionError};
use datafusion_expr::expr_rewriter::normalize_col;
use datafusion_expr::utils::find_window_exprs;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

type Planned<T> = Result<T, DataFusionError>;

/// The rows with a column for each window function of some expressions.
pub(super) fn with_windows(input: LogicalPlan, exprs: &[Expr]) -> Planned<LogicalPlan> {
    let windows = find_window_exprs(exprs);
    match windows.is_empty() {
        true => Ok(input),
        false => LogicalPlanBuilder::window_plan(input, windows),
    }
}

/// Refuses a window function where rows are not all there yet.
pub(super) fn refuse(expr: &Expr) -> flagstone_common::Result<()> {
    match find_window_exprs([expr]).first() {
        None => Ok(()),
        Some(window) => Err(flagstone_common::Error::invalid(format!(
            "{window} is a window function, and what is asked for here is known before rows have \
             windows: choose rows by it with QUALIFY, or in a query around this one"
        ))),
    }
}

/// The rows for which a condition holds, which may be one about a window.
pub(super) fn filter(input: LogicalPlan, condition: Expr) -> Planned<LogicalPlan> {
    if find_window_exprs([&condition]).is_empty() {
        return LogicalPlanBuilder::from(input).filter(condition)?.build();
    }
    // or what is computed would be called by other names than what is looked for
    let condition = normalize_col(condition, &input)?;
    let windows = find_window_exprs([&condition]);
    let own: Vec<Expr> = input
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    let width = own.len();
    let plan = LogicalPlanBuilder::window_plan(input, windows)?;
    let names = plan.schema().columns().into_iter().skip(width);
    let columns: HashMap<String, Column> =
        names.map(|column| (column.name.clone(), column)).collect();
    let condition = condition.transform_down(|part| {
        let column = match &part {
            Expr::WindowFunction(_) => columns.get(&part.schema_name().to_string()),
            _ => None,
        };
        Ok(match column {
            Some(column) => Transformed::yes(Expr::Column(column.clone())),
            None => Transformed::no(part),
        })
    })?;
    LogicalPlanBuilder::from(plan)
        .filter(condition.data)?
        .project(own)?
        .build()
}
