//! From the join of a plan to the operator.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion_common::{JoinType, NullEquality};
use datafusion_expr::logical_plan::Join;
use datafusion_expr::{Expr, ExprSchemable};
use flagstone_common::Result;

use super::{lower, not_lowered};
use crate::error::plan_error;
use crate::ops::join::{JoinRule, Joined, Probed};
use crate::ops::pipeline::Pipeline;
use crate::plan::physical::physical;
use crate::source::PartitionSource;

/// A side is kept in memory, once for all tasks, if it declares that its rows are no more than this. It
/// is a constant: the order of the rows follows from it.
const SMALL_BYTES_MAX: u64 = 8 << 20;

pub(super) fn join(join: &Join, strict: bool) -> Result<Arc<dyn PartitionSource>> {
    let (left, right) = (join.left.schema(), join.right.schema());
    let (mut keys, mut key_types) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for (left_key, right_key) in &join.on {
        let mut side = |at: usize, key: &Expr, schema| -> Result<()> {
            keys[at].push(physical(key, schema)?);
            key_types[at].push(key.get_type(schema).map_err(plan_error)?);
            Ok(())
        };
        side(0, left_key, left)?;
        side(1, right_key, right)?;
    }
    for ((left_key, right_key), (left_type, right_type)) in
        join.on.iter().zip(key_types[0].iter().zip(&key_types[1]))
    {
        if !left_type.equals_datatype(right_type) {
            return Err(not_lowered(&format!(
                "a join of {left_key} ({left_type}) with {right_key} ({right_type})"
            )));
        }
    }
    if join.null_aware && (join.on.len() != 1 || join.filter.is_some()) {
        return Err(not_lowered("NOT IN of a query that depends on the rows"));
    }
    let null_aware = join.null_aware && join.join_type == JoinType::LeftAnti;
    let filter = join.filter.as_ref().map(|filter| {
        let both = left.join(right).map_err(plan_error)?;
        physical(filter, &both)
    });
    let schemas = [left, right].map(|schema| Arc::new(schema.as_arrow().clone()));
    let fields = schemas.iter().flat_map(|schema| schema.fields().iter());
    let fields: Vec<Field> = fields
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    let rule = JoinRule {
        join_type: join.join_type,
        keys,
        key_types,
        filter: filter.transpose()?,
        schemas,
        both: Arc::new(Schema::new(fields)),
        schema: Arc::new(join.schema.as_arrow().clone()),
        nulls_equal: join.null_equality == NullEquality::NullEqualsNull,
        null_aware,
        is_mirrored: false,
    };
    let (left, right) = (lower(&join.left, strict)?, lower(&join.right, strict)?);
    let small = |side: &Pipeline| {
        let bytes = side.rows_bytes_max();
        bytes.filter(|bytes| *bytes <= SMALL_BYTES_MAX)
    };
    use JoinType::*;
    let (small_left, small_right) = match join.join_type {
        Inner => (small(&left), small(&right)),
        Left | LeftSemi | LeftAnti | LeftMark => (None, small(&right)),
        Right | RightSemi | RightAnti | RightMark => (small(&left), None),
        // what is left over of a small side is known to all tasks together only
        Full => (None, None),
    };
    Ok(match (small_left, small_right) {
        (_, Some(bytes)) => Arc::new(Probed::new(rule, left, (right, bytes))),
        (Some(bytes), None) => Arc::new(Probed::new(rule.mirrored(), right, (left, bytes))),
        (None, None) => Arc::new(Joined::new(rule, left, right)),
    })
}

#[cfg(test)]
mod tests;
