//! Which members of which columns a plan reads, so that a source parses nothing else.

use datafusion_common::ScalarValue;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::Expr;
use datafusion_expr::expr::ScalarFunction;

use crate::json::Wanted;

/// Adds what `expr` reads.
pub(crate) fn add(wanted: &mut Wanted, expr: &Expr) {
    let visited = expr.apply(|expr| {
        if let Some(path) = path(expr) {
            wanted.add(&path);
            return Ok(TreeNodeRecursion::Jump);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    // the closure never fails; if it did, everything is wanted
    if visited.is_err() {
        *wanted = Wanted::All;
    }
}

/// The path of a column or of a member taken out of it.
fn path(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Column(column) => Some(vec![column.name.clone()]),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "get_field" => {
            let (of, names) = args.split_first()?;
            let mut path = path(of)?;
            for name in names {
                match name {
                    Expr::Literal(ScalarValue::Utf8(Some(name)), _)
                    | Expr::Literal(ScalarValue::Utf8View(Some(name)), _)
                    | Expr::Literal(ScalarValue::LargeUtf8(Some(name)), _) => {
                        path.push(name.clone());
                    }
                    _ => return None,
                }
            }
            Some(path)
        }
        _ => None,
    }
}
