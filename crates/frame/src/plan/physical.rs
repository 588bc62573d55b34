//! Expressions as they are evaluated: DataFusion's, with arithmetic that fails rather than to wrap,
//! and chains of conditions that are shallow.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, ScalarValue};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{Expr, LogicalPlan, Operator};
use datafusion_physical_expr::expressions::{BinaryExpr, Literal, NegativeExpr};
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr, create_physical_expr};
use flagstone_common::Result;

use crate::error::{plan_error, run_error};
use crate::kernels::member;

type Planned<T> = std::result::Result<T, DataFusionError>;

/// An expression over rows with this schema.
pub(crate) fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    super::windows::refuse(expr)?;
    let context = PhysicalPlanningContext::default();
    create_physical_expr(expr, schema, &ExecutionProps::new(), &context)
        .and_then(|expr| mended(expr, schema.as_arrow()))
        .map_err(plan_error)
}

fn mended(expr: Arc<dyn PhysicalExpr>, schema: &Schema) -> Planned<Arc<dyn PhysicalExpr>> {
    if let Some(op) = logical(&expr) {
        // the spine of a chain, from left to right, without recursion
        let (mut operands, mut left) = (Vec::new(), vec![expr]);
        while let Some(expr) = left.pop() {
            match expr.downcast_ref::<BinaryExpr>() {
                Some(binary) if *binary.op() == op => {
                    left.push(binary.right().clone());
                    left.push(binary.left().clone());
                }
                _ => operands.push(mended(expr, schema)?),
            }
        }
        return Ok(halves(&operands, op));
    }
    let old = expr.children();
    let children = old.iter().map(|child| mended((*child).clone(), schema));
    let children = children.collect::<Planned<Vec<_>>>()?;
    let is_same =
        |(old, new): (&&Arc<dyn PhysicalExpr>, &Arc<dyn PhysicalExpr>)| Arc::ptr_eq(old, new);
    let same = old.iter().zip(&children).all(is_same);
    let expr = match same {
        true => expr,
        false => expr.with_new_children(children)?,
    };
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>()
        && is_arithmetic(binary.op())
    {
        let (left, right) = (binary.left().clone(), binary.right().clone());
        let checked = BinaryExpr::new(left, *binary.op(), right).with_fail_on_overflow(true);
        return Ok(Arc::new(checked));
    }
    if let Some(negative) = expr.downcast_ref::<NegativeExpr>() {
        let argument = negative.arg().clone();
        let data_type = argument.data_type(schema)?;
        // 0 - x is -x, but for the sign of a float's zero
        if data_type.is_signed_integer() {
            let zero = Arc::new(Literal::new(ScalarValue::new_zero(&data_type)?));
            let checked = BinaryExpr::new(zero, Operator::Minus, argument);
            return Ok(Arc::new(checked.with_fail_on_overflow(true)));
        }
    }
    if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>()
        && call.fun().name() == member::NAME
    {
        let field = expr.return_field(schema)?;
        let options = Arc::new(call.config_options().clone());
        let (function, args) = (Arc::clone(&member::MEMBER), call.args().to_vec());
        let masked = ScalarFunctionExpr::new(call.name(), function, args, field, options);
        return Ok(Arc::new(masked));
    }
    Ok(expr)
}

fn logical(expr: &Arc<dyn PhysicalExpr>) -> Option<Operator> {
    let op = *expr.downcast_ref::<BinaryExpr>()?.op();
    matches!(op, Operator::And | Operator::Or).then_some(op)
}

fn is_arithmetic(op: &Operator) -> bool {
    matches!(
        op,
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo
    )
}

fn halves(operands: &[Arc<dyn PhysicalExpr>], op: Operator) -> Arc<dyn PhysicalExpr> {
    match operands {
        [one] => one.clone(),
        operands => {
            let (left, right) = operands.split_at(operands.len() / 2);
            Arc::new(BinaryExpr::new(halves(left, op), op, halves(right, op)))
        }
    }
}

/// Refuses constants that overflow: the optimiser would compute them, wrapped, before anybody looks.
/// Types are coerced already.
pub(crate) fn check_constants(plan: &LogicalPlan) -> Result<()> {
    let mut wrong = None;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                // some functions can be evaluated only when the optimiser has seen them
                let is_call = |part: &Expr| Ok(matches!(part, Expr::ScalarFunction(_)));
                let has_columns = !part.column_refs().is_empty();
                if !is_computed(part) || has_columns || part.exists(is_call)? {
                    return Ok(TreeNodeRecursion::Continue);
                }
                match constant(part) {
                    Err(error) => {
                        wrong = Some(error);
                        Ok(TreeNodeRecursion::Stop)
                    }
                    Ok(()) => Ok(TreeNodeRecursion::Jump),
                }
            })
        })
    });
    walked.map_err(plan_error)?;
    wrong.map_or(Ok(()), Err)
}

fn is_computed(expr: &Expr) -> bool {
    match expr {
        Expr::Negative(_) => true,
        Expr::BinaryExpr(binary) => is_arithmetic(&binary.op),
        _ => false,
    }
}

/// Evaluates an expression without columns on one row without columns.
fn constant(expr: &Expr) -> Result<()> {
    let physical = physical(expr, &DFSchema::empty())?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let schema = Arc::new(Schema::empty());
    let row = RecordBatch::try_new_with_options(schema, Vec::new(), &options);
    let row = row.map_err(crate::error::arrow_error)?;
    match physical.evaluate(&row) {
        Ok(_) => Ok(()),
        Err(error) => Err(run_error(&*physical, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;
    use datafusion_expr::{col, lit};

    #[test]
    fn integers_are_checked_and_chains_are_shallow() {
        let field = arrow::datatypes::Field::new("a", DataType::Int64, true);
        let schema = DFSchema::try_from(Schema::new(vec![field])).unwrap();
        let chain = (0..2000).map(|i| col("a").not_eq(lit(i as i64)));
        let chain = chain.reduce(Expr::and).unwrap();
        let depth = super::super::stack::planned(|| {
            fn depth(expr: &Arc<dyn PhysicalExpr>) -> usize {
                1 + expr.children().into_iter().map(depth).max().unwrap_or(0)
            }
            let physical = physical(&chain, &schema)?;
            // the deep one is dropped here
            drop(chain);
            Ok(depth(&physical))
        });
        assert!(depth.unwrap() < 20);
        let minimum = Expr::Negative(Box::new(lit(i64::MIN)));
        for expr in [
            minimum,
            lit(i64::MAX) + lit(1i64),
            lit(i32::MIN) - lit(1i32),
            lit(i64::MAX) * lit(2i64),
            lit(i64::MIN) / lit(-1i64),
            lit(1i64) % lit(0i64),
        ] {
            assert!(constant(&expr).is_err(), "{expr}");
        }
        assert!(constant(&(lit(i64::MAX) - lit(1i64))).is_ok());
    }
}
