//! From the join of a plan to the operator.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion_common::{JoinType, NullEquality};
use datafusion_expr::logical_plan::Join;
use datafusion_expr::{Expr, ExprSchemable};
use flagstone_common::Result;

use super::{lower, not_lowered};
use crate::error::plan_error;
use crate::ops::join::{JoinRule, Joined};
use crate::plan::physical::physical;

pub(super) fn join(join: &Join, strict: bool) -> Result<Joined> {
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
    };
    let (left, right) = (lower(&join.left, strict)?, lower(&join.right, strict)?);
    Ok(Joined::new(rule, left, right))
}
