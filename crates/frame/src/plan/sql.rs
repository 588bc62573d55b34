//! SQL over the records of one frame: a select list, a condition.
//!
//! Names are taken as they are written, without folding case. A member of a struct is named by its
//! dotted path, which is also its default name in the result.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Column, DFSchema, DataFusionError, TableReference, plan_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{AggregateUDF, Expr, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion_functions::core::planner::CoreFunctionPlanner;
use datafusion_functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion_functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast::{Expr as Sql, SelectItem, visit_expressions};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;
use datafusion_sql::sqlparser::tokenizer::Token;
use flagstone_graph::{Error, Result};

use crate::error::{lower_case, plan_error};

/// Looks at a select list before any file is read: whether it is SQL, and of rows alone.
///
/// # Errors
/// The first mistake.
pub fn check_select_list(list: &str) -> Result<()> {
    for item in parse(list, |parser| parser.parse_projection())? {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = &item {
            of_rows(expr)?;
        }
    }
    Ok(())
}

/// Looks at a condition before any file is read: whether it is SQL, and of rows alone.
///
/// # Errors
/// The first mistake.
pub fn check_condition(text: &str) -> Result<()> {
    of_rows(&parse(text, |parser| parser.parse_expr())?)
}

/// Refuses what is about many rows: aggregates, windows and subqueries.
fn of_rows(expr: &Sql) -> Result<()> {
    let functions = Functions::new();
    let found = visit_expressions(expr, |part| {
        let what = match part {
            Sql::Subquery(_) | Sql::InSubquery { .. } | Sql::Exists { .. } => "a subquery",
            Sql::Function(call) if call.over.is_some() => "a window function",
            Sql::Function(call) if functions.has_aggregate(&call.name.to_string()) => {
                "an aggregate of many rows"
            }
            _ => return ControlFlow::Continue(()),
        };
        ControlFlow::Break(format!(
            "{part} is {what}, but what is selected or asked for here follows from one row"
        ))
    });
    match found {
        ControlFlow::Break(message) => Err(Error::invalid(message)),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The expressions of `a, b.c AS x, count + 1`.
pub(crate) fn select_list(list: &str, schema: &DFSchema) -> Result<Vec<Expr>> {
    let items = parse(list, |parser| parser.parse_projection())?;
    let mut exprs = Vec::new();
    for item in items {
        match item {
            SelectItem::Wildcard(_) => {
                exprs.extend(schema.iter().map(|(qualifier, field)| {
                    Expr::Column(Column::new(qualifier.cloned(), field.name()))
                }));
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                exprs.push(to_expr(expr, schema)?.alias(alias.value));
            }
            SelectItem::UnnamedExpr(expr) => {
                let name = default_name(&expr);
                exprs.push(to_expr(expr, schema)?.alias(name));
            }
            other => {
                let message = format!("{other} cannot be selected: name the columns");
                return Err(Error::invalid(message));
            }
        }
    }
    let mut names = HashSet::new();
    for expr in &exprs {
        let name = expr.qualified_name().1;
        if !names.insert(name.clone()) {
            let message = format!("two columns would be called {name:?}: rename one with AS");
            return Err(Error::invalid(message));
        }
    }
    Ok(exprs)
}

/// The expression of a `where` text.
pub(crate) fn condition(text: &str, schema: &DFSchema) -> Result<Expr> {
    to_expr(parse(text, |parser| parser.parse_expr())?, schema)
}

fn parse<T>(
    text: &str,
    body: impl FnOnce(
        &mut Parser<'_>,
    ) -> std::result::Result<T, datafusion_sql::sqlparser::parser::ParserError>,
) -> Result<T> {
    let wrong = |error: &dyn std::fmt::Display| {
        let reason = error.to_string();
        let reason = lower_case(reason.trim_start_matches("sql parser error: "));
        Error::invalid(format!("the SQL text {text:?} is wrong: {reason}"))
    };
    let dialect = GenericDialect {};
    let mut parser = Parser::new(&dialect)
        .try_with_sql(text)
        .map_err(|e| wrong(&e))?;
    let parsed = body(&mut parser).map_err(|e| wrong(&e))?;
    match &parser.peek_token_ref().token {
        Token::EOF => Ok(parsed),
        token => Err(wrong(&format!("{token} was not expected"))),
    }
}

/// The dotted path for a column or member, the text for anything else.
fn default_name(expr: &Sql) -> String {
    match expr {
        Sql::Identifier(name) => name.value.clone(),
        Sql::CompoundIdentifier(names) => names
            .iter()
            .map(|name| name.value.as_str())
            .collect::<Vec<_>>()
            .join("."),
        other => other.to_string(),
    }
}

fn to_expr(expr: Sql, schema: &DFSchema) -> Result<Expr> {
    of_rows(&expr)?;
    let provider = Functions::new();
    let options = ParserOptions {
        enable_ident_normalization: false,
        map_string_types_to_utf8view: false,
        ..ParserOptions::new()
    };
    SqlToRel::new_with_options(&provider, options)
        .sql_to_expr(expr, schema, &mut PlannerContext::new())
        .map_err(plan_error)
}

/// The functions that SQL may name. There are no other tables.
struct Functions {
    options: ConfigOptions,
    scalars: Vec<Arc<ScalarUDF>>,
    aggregates: Vec<Arc<AggregateUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl Functions {
    fn new() -> Self {
        Functions {
            options: ConfigOptions::default(),
            scalars: datafusion_functions::all_default_functions(),
            aggregates: datafusion_functions_aggregate::all_default_aggregate_functions(),
            planners: vec![
                Arc::new(CoreFunctionPlanner::default()),
                Arc::new(DatetimeFunctionPlanner),
                Arc::new(UnicodeFunctionPlanner),
            ],
        }
    }

    fn has_aggregate(&self, name: &str) -> bool {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        let mut known = self.aggregates.iter();
        known.any(|f| is(f.name()) || f.aliases().iter().any(|alias| is(alias)))
    }
}

impl ContextProvider for Functions {
    fn get_table_source(
        &self,
        name: TableReference,
    ) -> std::result::Result<Arc<dyn TableSource>, DataFusionError> {
        plan_err!("there is no table {name} here")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let known =
            |f: &&Arc<ScalarUDF>| f.name() == name || f.aliases().iter().any(|alias| alias == name);
        self.scalars.iter().find(known).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let known = |f: &&Arc<AggregateUDF>| {
            f.name() == name || f.aliases().iter().any(|alias| alias == name)
        };
        self.aggregates.iter().find(known).cloned()
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.scalars.iter().map(|f| f.name().to_owned()).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.aggregates
            .iter()
            .map(|f| f.name().to_owned())
            .collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
