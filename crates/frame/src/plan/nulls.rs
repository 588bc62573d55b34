//! Lists with nulls in them, said in another way.
//!
//! `a IN (1, NULL)` holds for 1 and is unknown for all else. The optimiser joins lists of one column as
//! sets, and takes `a IN (1, NULL) AND a NOT IN (1)` for `a IN (NULL)`: unknown where it is false, which
//! a `NOT` around it shows. So the null leaves the list: `a IN (1) OR NULL`.

use datafusion_common::ScalarValue;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::expr::InList;
use datafusion_expr::{Expr, LogicalPlan, lit};
use flagstone_common::Result;

use crate::error::plan_error;

/// The plan without nulls in lists.
pub(super) fn apart(plan: LogicalPlan) -> Result<LogicalPlan> {
    let apart = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| expr.transform_up(|part| Ok(list_apart(part))))
    });
    apart.map(|plan| plan.data).map_err(plan_error)
}

fn list_apart(expr: Expr) -> Transformed<Expr> {
    let is_null = |item: &Expr| match item {
        Expr::Literal(value, _) => value.is_null(),
        Expr::Cast(cast) => matches!(&*cast.expr, Expr::Literal(value, _) if value.is_null()),
        _ => false,
    };
    let Expr::InList(list) = expr else {
        return Transformed::no(expr);
    };
    if !list.list.iter().any(is_null) {
        return Transformed::no(Expr::InList(list));
    }
    let InList {
        expr,
        list,
        negated,
    } = list;
    let list: Vec<Expr> = list.into_iter().filter(|item| !is_null(item)).collect();
    let unknown = lit(ScalarValue::Boolean(None));
    if list.is_empty() {
        return Transformed::yes(unknown);
    }
    let rest = Expr::InList(InList {
        expr,
        list,
        negated,
    });
    Transformed::yes(match negated {
        true => rest.and(unknown),
        false => rest.or(unknown),
    })
}
