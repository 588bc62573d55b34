//! SQL queries over frames and files.
//!
//! Tables are frames that have a name, or files: `FROM 'events/*.parquet'`. Names of columns are taken as
//! they are written; those of functions in any case.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Column, DataFusionError, TableReference, plan_datafusion_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource,
    WindowUDF,
};
use datafusion_sql::parser::Statement as Parsed;
use datafusion_sql::planner::{ParserOptions, SqlToRel};
use datafusion_sql::resolve::resolve_table_references;
use datafusion_sql::sqlparser::ast::{Expr as Sql, Statement, visit_expressions};
use flagstone_common::{Error, Result};

use super::functions::{Functions, misused, with_parts_of_dates};
use super::{sql, unheard};
use crate::error::plan_error;
use crate::schema::names;

/// The names of the tables that a query reads, each once.
pub(crate) fn tables(text: &str) -> Result<Vec<String>> {
    let statement = Parsed::Statement(Box::new(parse(text)?));
    let (tables, _) = resolve_table_references(&statement, false).map_err(plan_error)?;
    let names: BTreeSet<String> = tables.iter().map(name_of).collect();
    Ok(names.into_iter().collect())
}

/// What a table is called: a file's name may have dots.
fn name_of(table: &TableReference) -> String {
    let parts = [table.catalog(), table.schema(), Some(table.table())];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    parts.join(".")
}

fn parse(text: &str) -> Result<Statement> {
    let statement = sql::parse_statement(text)?;
    match statement {
        Statement::Query(_) => Ok(statement),
        other => {
            let words = other.to_string();
            let first = words.split_whitespace().next().unwrap_or_default();
            Err(Error::invalid(format!(
                "{first} is no query: write SELECT ..., and name the output beside it"
            )))
        }
    }
}

/// The plan of a query over tables whose plans are known.
pub(crate) fn plan(text: &str, tables: HashMap<String, LogicalPlan>) -> Result<LogicalPlan> {
    let mut statement = parse(text)?;
    let functions = Functions::new();
    unheard::check(&statement)?;
    check_calls(&statement, &functions)?;
    with_parts_of_dates(&mut statement);
    let tables = tables.into_iter().map(|(name, plan)| {
        let schema = Arc::new(plan.schema().as_arrow().clone());
        let view: Arc<dyn TableSource> = Arc::new(View { plan, schema });
        (name, view)
    });
    let tables = Tables {
        tables: tables.collect(),
        functions,
    };
    let options = ParserOptions {
        enable_ident_normalization: false,
        map_string_types_to_utf8view: false,
        // 0.1 is what it says: 0.06 + 0.01 is 0.07
        parse_float_as_decimal: true,
        ..ParserOptions::new()
    };
    let plan = SqlToRel::new_with_options(&tables, options).sql_statement_to_plan(statement);
    unique(plan.map_err(plan_error)?)
}

/// Refuses functions that do not follow from their arguments, and what means nothing in calls.
fn check_calls(statement: &Statement, functions: &Functions) -> Result<()> {
    let found = visit_expressions(statement, |part| {
        let wrong = match part {
            Sql::Function(call) if call.over.is_none() => misused(call, functions),
            _ => None,
        };
        wrong.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    });
    match found {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The plan with names that are all different: the second `id` is `id_2`.
fn unique(plan: LogicalPlan) -> Result<LogicalPlan> {
    let names: Vec<String> = plan
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    let (unique, made) = names::unique(names);
    if made.is_empty() {
        return Ok(plan);
    }
    let columns = plan.schema().iter().zip(unique);
    let exprs = columns.map(|((qualifier, field), name)| {
        let own = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        match *field.name() == name {
            true => own,
            false => own.alias(name),
        }
    });
    let exprs: Vec<Expr> = exprs.collect();
    LogicalPlanBuilder::from(plan)
        .project(exprs)
        .and_then(LogicalPlanBuilder::build)
        .map_err(plan_error)
}

/// A table whose rows another plan gives.
struct View {
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl TableSource for View {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }
}

struct Tables {
    tables: HashMap<String, Arc<dyn TableSource>>,
    functions: Functions,
}

type Planned<T> = std::result::Result<T, DataFusionError>;

impl ContextProvider for Tables {
    fn get_table_source(&self, name: TableReference) -> Planned<Arc<dyn TableSource>> {
        let name = name_of(&name);
        self.tables.get(&name).cloned().ok_or_else(|| {
            let mut known: Vec<&str> = self.tables.keys().map(String::as_str).collect();
            known.sort_unstable();
            let known = match known.is_empty() {
                true => String::new(),
                false => format!("; there are {}", known.join(", ")),
            };
            plan_datafusion_err!(
                "there is no table {name}{known}; a file is named in quotes: FROM 'x.parquet'"
            )
        })
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.functions.get_expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.scalar(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregate(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.functions.window(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.functions.options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.functions.udf_names()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.functions.udaf_names()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.functions.udwf_names()
    }
}
