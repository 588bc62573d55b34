//! What a query may say and the planner does not hear: refused, so that nothing is left out silently.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{Query, Select, Statement, TableFactor, Visit, Visitor};
use flagstone_common::{Error, Result};

/// Refuses the parts of a query that would be passed over.
pub(super) fn check(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Unheard) {
        ControlFlow::Break(part) => Err(Error::invalid(format!(
            "{part} is not known in a query here, and would be passed over: leave it out"
        ))),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Unheard;

/// The first of these that is there.
fn first(parts: &[(bool, &'static str)]) -> ControlFlow<&'static str> {
    match parts.iter().find(|(is_there, _)| *is_there) {
        Some((_, part)) => ControlFlow::Break(part),
        None => ControlFlow::Continue(()),
    }
}

impl Visitor for Unheard {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        first(&[
            (!query.locks.is_empty(), "FOR UPDATE"),
            (query.for_clause.is_some(), "FOR"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "|>"),
        ])
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        first(&[
            (select.into.is_some(), "SELECT INTO"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (
                select.value_table_mode.is_some(),
                "SELECT AS STRUCT or VALUE",
            ),
        ])
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Self::Break> {
        let TableFactor::Table {
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
            ..
        } = table
        else {
            return match table {
                TableFactor::Derived { sample, .. } => first(&[(sample.is_some(), "TABLESAMPLE")]),
                _ => ControlFlow::Continue(()),
            };
        };
        first(&[
            (sample.is_some(), "TABLESAMPLE"),
            (
                !with_hints.is_empty() || !index_hints.is_empty(),
                "a hint of a table",
            ),
            (version.is_some(), "the version of a table"),
            (*with_ordinality, "WITH ORDINALITY"),
            (!partitions.is_empty(), "PARTITION of a table"),
            (json_path.is_some(), "a path into a table"),
        ])
    }
}
