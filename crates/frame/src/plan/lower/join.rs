//! From the join of a plan to the operator.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion_common::{DFSchema, DFSchemaRef, JoinType, NullEquality};
use datafusion_expr::logical_plan::Join;
use datafusion_expr::{Expr, ExprSchemable};
use flagstone_common::Result;

use super::{Way, lower_part, not_lowered};
use crate::error::plan_error;
use crate::ops::breaker;
use crate::ops::join::{Adaptive, Condition, JoinRule, Joined, Probed, Side};
use crate::ops::pipeline::Pipeline;
use crate::plan::physical::physical;
use crate::plan::sizes;

/// A side is kept in memory, once for all tasks, if it declares that its rows are no more than this, with
/// those of the joins that the other side passes before. It is a constant: the order of the rows follows
/// from it.
const SMALL_BYTES_MAX: u64 = 8 << 20;

/// The rows of the join.
pub(super) fn join(join: &Join, way: Way<'_>) -> Result<Pipeline> {
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
    let filter = join.filter.as_ref();
    let filter = filter.map(|filter| condition(filter, [left, right]));
    let schemas = [left, right].map(|schema| Arc::new(schema.as_arrow().clone()));
    let rule = JoinRule {
        join_type: join.join_type,
        keys,
        key_types,
        filter: filter.transpose()?,
        schemas,
        schema: Arc::new(join.schema.as_arrow().clone()),
        nulls_equal: join.null_equality == NullEquality::NullEqualsNull,
        null_aware,
        is_mirrored: false,
    };
    let (left, right) = sides(join, way)?;
    let small = |side: &Pipeline, other: &Pipeline| {
        let bytes = side.rows_bytes_max();
        bytes.filter(|bytes| bytes.saturating_add(other.small_bytes) <= SMALL_BYTES_MAX)
    };
    use JoinType::*;
    let may_be_left = matches!(
        join.join_type,
        Inner | Right | RightSemi | RightAnti | RightMark
    );
    let may_be_right = matches!(
        join.join_type,
        Inner | Left | LeftSemi | LeftAnti | LeftMark
    );
    // what is left over of a small side is known to all tasks together only, so that of a full join none is
    let small_left = small(&left, &right).filter(|_| may_be_left);
    let small_right = small(&right, &left).filter(|_| may_be_right);
    // rows that pass a small side go on to pass those that are above
    let (joined, small_bytes) = match (small_left, small_right) {
        (_, Some(bytes)) => {
            let all = left.small_bytes + bytes;
            (breaker::over(Probed::new(rule, left, (right, bytes))), all)
        }
        (Some(bytes), None) => {
            let all = right.small_bytes + bytes;
            let rule = rule.mirrored();
            (breaker::over(Probed::new(rule, right, (left, bytes))), all)
        }
        (None, None) => match table_side(join).filter(|_| way.any_order) {
            None => (breaker::over(Joined::new(rule, left, right)), 0),
            Some(Side::Left) => {
                let all = right.small_bytes;
                let rule = rule.mirrored();
                let joined = Adaptive::new(rule, right, left, way.sharing);
                (breaker::over(joined), all)
            }
            Some(Side::Right) => {
                let all = left.small_bytes;
                let joined = Adaptive::new(rule, left, right, way.sharing);
                (breaker::over(joined), all)
            }
        },
    };
    Ok(Pipeline {
        small_bytes,
        ..joined
    })
}

/// Which side becomes a table where it fits, of those that can: the smaller one where there is a choice.
fn table_side(join: &Join) -> Option<Side> {
    use JoinType::*;
    let (left, right) = (sizes::rows(&join.left), sizes::rows(&join.right));
    // rows that come out by themselves pass rather than being marked, which takes one step more
    let is_left = match join.join_type {
        _ if join.on.is_empty() => return None,
        Inner => left < right,
        LeftSemi | LeftAnti | LeftMark => !join.null_aware && 2.0 * left < right,
        RightSemi | RightAnti | RightMark => left < 2.0 * right,
        Left => false,
        Right => true,
        Full => return None,
    };
    Some(if is_left { Side::Left } else { Side::Right })
}

/// The rows of both sides. In which order those come does not matter that are only looked for.
fn sides(join: &Join, way: Way<'_>) -> Result<(Pipeline, Pipeline)> {
    use JoinType::*;
    let looked_for = |is: bool| way.any_order(way.any_order || is);
    let left = looked_for(matches!(join.join_type, RightSemi | RightAnti | RightMark));
    let right = looked_for(matches!(join.join_type, LeftSemi | LeftAnti | LeftMark));
    Ok((
        lower_part(&join.left, left)?,
        lower_part(&join.right, right)?,
    ))
}

/// A condition, and the columns that it is about.
fn condition(filter: &Expr, sides: [&DFSchemaRef; 2]) -> Result<Condition> {
    let mut columns = [BTreeSet::new(), BTreeSet::new()];
    for column in filter.column_refs() {
        let mut places = sides.iter().zip(&mut columns);
        places.any(|(schema, columns)| {
            let place = schema.maybe_index_of_column(column);
            place.map(|place| columns.insert(place)).is_some()
        });
    }
    let columns = columns.map(|columns| columns.into_iter().collect::<Vec<usize>>());
    let fields = sides.iter().zip(&columns).flat_map(|(schema, columns)| {
        columns.iter().map(|&place| {
            let (qualifier, field) = schema.qualified_field(place);
            let field = field.as_ref().clone().with_nullable(true);
            (qualifier.cloned(), Arc::new(field))
        })
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), HashMap::new());
    let schema = schema.map_err(plan_error)?;
    Ok(Condition {
        expr: physical(filter, &schema)?,
        columns,
        schema: Arc::new(schema.as_arrow().clone()),
    })
}

#[cfg(test)]
mod tests;
