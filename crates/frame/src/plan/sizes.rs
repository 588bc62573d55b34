//! About how many rows a plan gives, from what sources say of theirs: to choose between orders of joins,
//! never to promise anything.

use datafusion_common::{Column, ScalarValue};
use datafusion_expr::expr::{Between, InList, Like};
use datafusion_expr::logical_plan::FetchType;
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{BinaryExpr, Expr, JoinType, LogicalPlan, Operator};

use super::logical::FrameTable;

/// Where nothing is known.
const UNKNOWN_ROWS: f64 = 1e6;

/// About how many rows a plan gives.
pub(super) fn rows(plan: &LogicalPlan) -> f64 {
    let child = || plan.inputs().first().map_or(1.0, |input| rows(input));
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.source.downcast_ref::<FrameTable>();
            let known = table.and_then(|table| table.source.rows_about());
            known.map_or(UNKNOWN_ROWS, |rows| rows as f64)
        }
        LogicalPlan::Filter(filter) => {
            let all = split_conjunction(&filter.predicate);
            let held = all.into_iter().map(|part| holds(part, &filter.input));
            rows(&filter.input) * held.product::<f64>()
        }
        LogicalPlan::Aggregate(aggregate) => {
            let input = rows(&aggregate.input);
            let keys = aggregate.group_expr.iter();
            let values = keys.map(|key| match key {
                Expr::Column(column) => distinct(&aggregate.input, column),
                _ => None,
            });
            let groups: f64 = values.map(|values| values.unwrap_or(input / 4.0)).product();
            groups.min(input).max(1.0)
        }
        LogicalPlan::Limit(limit) => match limit.get_fetch_type() {
            Ok(FetchType::Literal(Some(fetch))) => child().min(fetch as f64),
            _ => child(),
        },
        LogicalPlan::Union(union) => union.inputs.iter().map(|input| rows(input)).sum(),
        LogicalPlan::Values(values) => values.values.len() as f64,
        LogicalPlan::EmptyRelation(_) => 1.0,
        LogicalPlan::Unnest(_) => 3.0 * child(),
        LogicalPlan::Join(join) => {
            let (left, right) = (rows(&join.left), rows(&join.right));
            let keys = join.on.iter();
            let keys = keys.map(|(a, b)| (values(&join.left, a), values(&join.right, b)));
            let both = joined(left, right, keys.collect());
            match join.join_type {
                JoinType::Inner => both,
                JoinType::Left => both.max(left),
                JoinType::Right => both.max(right),
                JoinType::Full => both.max(left + right),
                JoinType::RightSemi | JoinType::RightAnti => right / 2.0,
                JoinType::RightMark => right,
                JoinType::LeftSemi | JoinType::LeftAnti => left / 2.0,
                JoinType::LeftMark => left,
            }
        }
        _ => child(),
    }
}

/// About how many rows of `left` and `right` belong together, from how many values each key has. Keys of
/// one join mostly follow from one another: the second counts by its root, and so on; and several have no more
/// values together than there are rows, of which the sides have different numbers.
pub(super) fn joined(left: f64, right: f64, keys: Vec<(f64, f64)>) -> f64 {
    let mut values: Vec<f64> = keys.into_iter().map(|(a, b)| a.max(b).max(1.0)).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    let (mut divisor, mut power) = (1.0, 1.0);
    for value in &values {
        divisor *= value.powf(power);
        power /= 2.0;
    }
    let most = values.first().copied().unwrap_or(1.0);
    let divisor = f64::min(divisor, (left * right).sqrt().max(most));
    (left * right / divisor).max(1.0)
}

/// About how many values a key has: a column's, if that is known, else as many as there are rows.
pub(super) fn values(plan: &LogicalPlan, key: &Expr) -> f64 {
    let known = match key {
        Expr::Column(column) => distinct(plan, column),
        Expr::Cast(cast) => return values(plan, &cast.expr),
        _ => None,
    };
    known.unwrap_or_else(|| rows(plan))
}

/// About how many different values a column of a plan has.
fn distinct(plan: &LogicalPlan, column: &Column) -> Option<f64> {
    let at = plan.schema().maybe_index_of_column(column)?;
    let below = match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.source.downcast_ref::<FrameTable>()?;
            let place = scan.projection.as_ref().map_or(Some(&at), |p| p.get(at))?;
            let known = table.source.distinct_about(*place);
            return known.map(|known| known as f64).or_else(|| Some(rows(plan)));
        }
        LogicalPlan::Projection(projection) => {
            let mut expr = projection.expr.get(at)?;
            while let Expr::Alias(alias) = expr {
                expr = &alias.expr;
            }
            let Expr::Column(column) = expr else {
                return None;
            };
            distinct(&projection.input, column)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let below = alias.input.schema().qualified_field(at);
            distinct(&alias.input, &Column::from(below))
        }
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.get(at)? {
            Expr::Column(column) => distinct(&aggregate.input, column),
            _ => None,
        },
        LogicalPlan::Filter(filter) => distinct(&filter.input, column),
        LogicalPlan::Join(join) => {
            distinct(&join.left, column).or_else(|| distinct(&join.right, column))
        }
        _ => None,
    };
    below.map(|below| below.min(rows(plan)))
}

/// Of how many rows, about, a condition holds.
fn holds(condition: &Expr, plan: &LogicalPlan) -> f64 {
    let one_of = |expr: &Expr| match expr {
        Expr::Column(column) => distinct(plan, column).map_or(0.1, |values| 1.0 / values.max(1.0)),
        _ => 0.1,
    };
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => holds(left, plan) * holds(right, plan),
            Operator::Or => {
                let (left, right) = (holds(left, plan), holds(right, plan));
                left + right - left * right
            }
            Operator::Eq => match (&**left, &**right) {
                (Expr::Literal(..), other) | (other, Expr::Literal(..)) => one_of(other),
                _ => 0.1,
            },
            Operator::NotEq => 0.9,
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => 0.35,
            _ => 0.3,
        },
        Expr::Not(inner) => 1.0 - holds(inner, plan),
        Expr::IsNull(_) => 0.05,
        Expr::IsNotNull(_) => 0.95,
        Expr::Between(Between { negated: false, .. }) => 0.2,
        Expr::Like(Like { negated: false, .. }) => 0.1,
        Expr::InList(InList {
            expr,
            list,
            negated,
        }) => {
            let some = (one_of(expr) * list.len() as f64).min(0.5);
            if *negated { 1.0 - some } else { some }
        }
        Expr::Literal(ScalarValue::Boolean(Some(true)), _) => 1.0,
        Expr::Literal(..) => 0.0,
        _ => 0.5,
    }
}
