//! One row for each different value of some columns.

use std::sync::Arc;

use datafusion_common::Column;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion_functions_aggregate::expr_fn::{first_value, last_value};
use flagstone_common::Result;

use super::logical::{check_names, column};
use crate::error::plan_error;

/// Which of several rows stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The first one.
    First,
    /// The last one.
    Last,
}

/// Groups by the columns, or by all where none is named, with the first or last value of the others.
pub(super) fn unique(input: LogicalPlan, subset: &[String], keep: Keep) -> Result<LogicalPlan> {
    let schema = Arc::clone(input.schema());
    let names: Vec<&str> = subset.iter().map(String::as_str).collect();
    check_names(&names, &schema)?;
    let is_key = |name: &String| names.is_empty() || names.contains(&name.as_str());
    if schema.fields().iter().all(|field| is_key(field.name())) {
        let distinct = LogicalPlanBuilder::from(input).distinct();
        return distinct
            .and_then(LogicalPlanBuilder::build)
            .map_err(plan_error);
    }
    let (mut keys, mut kept, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (qualifier, field)) in schema.iter().enumerate() {
        let own = column((qualifier, field));
        if is_key(field.name()) {
            keys.push(own.clone());
            all.push(own);
            continue;
        }
        // beside the keys, whose names are those of columns
        let name = format!("kept value {at} of {}", field.name());
        let value = match keep {
            Keep::First => first_value(own, Vec::new()),
            Keep::Last => last_value(own, Vec::new()),
        };
        kept.push(value.alias(&name));
        let value = Expr::Column(Column::new_unqualified(name));
        all.push(value.alias_qualified(qualifier.cloned(), field.name()));
    }
    let groups = LogicalPlanBuilder::from(input).aggregate(keys, kept);
    let rows = groups.and_then(|groups| groups.project(all)?.build());
    rows.map_err(plan_error)
}
