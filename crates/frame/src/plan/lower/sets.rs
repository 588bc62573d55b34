//! Groups by several sets of keys (`GROUPING SETS`, `ROLLUP`, `CUBE`): a group for each set over the same
//! rows, with nulls for the keys that are not in it.

use std::sync::Arc;

use datafusion_common::{Column, ScalarValue};
use datafusion_expr::expr::GroupingSet;
use datafusion_expr::logical_plan::{Aggregate, Projection};
use datafusion_expr::utils::grouping_set_to_exprlist;
use datafusion_expr::{Cast, Expr, LogicalPlan, lit};
use flagstone_common::Result;

use super::{Way, lower_part, not_lowered};
use crate::error::plan_error;
use crate::ops::pipeline::Pipeline;

/// The groups of each set, as pipelines with the columns of all of them; `None` where there is one set.
pub(super) fn each_set(aggregate: &Aggregate, way: Way<'_>) -> Result<Option<Vec<Pipeline>>> {
    let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else {
        return Ok(None);
    };
    let keys = grouping_set_to_exprlist(&aggregate.group_expr).map_err(plan_error)?;
    let keys: Vec<Expr> = keys.into_iter().cloned().collect();
    let sets: Vec<Vec<Expr>> = match sets {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(keys) => (0..=keys.len()).rev().map(|n| keys[..n].to_vec()).collect(),
        GroupingSet::Cube(keys) if keys.len() <= 12 => (0..1usize << keys.len())
            .map(|set| {
                let kept = keys.iter().enumerate().filter(|(at, _)| set >> at & 1 == 0);
                kept.map(|(_, key)| key.clone()).collect()
            })
            .collect(),
        GroupingSet::Cube(_) => return Err(not_lowered("a cube of more than 12 keys")),
    };
    let pipelines = sets
        .into_iter()
        .map(|set| one_set(aggregate, &keys, set, way));
    pipelines.collect::<Result<_>>().map(Some)
}

fn one_set(aggregate: &Aggregate, keys: &[Expr], set: Vec<Expr>, way: Way<'_>) -> Result<Pipeline> {
    let results = aggregate.aggr_expr.clone();
    let groups = Aggregate::try_new(Arc::clone(&aggregate.input), set.clone(), results);
    let groups = LogicalPlan::Aggregate(groups.map_err(plan_error)?);
    // bit by bit, from the first key: whether it is left out
    let left_out = |id: u64, key: &Expr| id << 1 | u64::from(!set.contains(key));
    let id = keys.iter().fold(0, left_out);
    let own = |at: usize| Expr::Column(Column::from(groups.schema().qualified_field(at)));
    let mut exprs = Vec::new();
    for (at, (qualifier, field)) in aggregate.schema.iter().enumerate() {
        let expr = match keys.get(at) {
            Some(key) => match set.iter().position(|own| own == key) {
                Some(place) => own(place),
                None => {
                    let null = Box::new(lit(ScalarValue::Null));
                    Expr::Cast(Cast::new(null, field.data_type().clone()))
                }
            },
            None if at == keys.len() => {
                let id = Box::new(lit(id));
                Expr::Cast(Cast::new(id, field.data_type().clone()))
            }
            None => own(set.len() + at - keys.len() - 1),
        };
        exprs.push(expr.alias_qualified(qualifier.cloned(), field.name()));
    }
    let projection = Projection::try_new(exprs, Arc::new(groups)).map_err(plan_error)?;
    lower_part(&LogicalPlan::Projection(projection), way)
}
