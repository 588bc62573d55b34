//! The functions that expressions and SQL may name.
//!
//! Equal input gives equal rows every time: so a function that does not follow from its
//! arguments (the time, chance) is refused by name, in SQL and in expressions. And what SQL lets one
//! write around the arguments of a function, but a function of one row does not have (`distinct`,
//! `filter`, an order), is refused rather than left out.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, ScalarValue, TableReference, plan_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{
    AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, ScalarUDF, TableSource, Volatility,
    WindowUDF,
};
use datafusion_functions::core::planner::CoreFunctionPlanner;
use datafusion_functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion_functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion_functions_aggregate::planner::AggregateFunctionPlanner;
use datafusion_functions_nested::planner::{FieldAccessPlanner, NestedFunctionPlanner};
use datafusion_functions_window::planner::WindowFunctionPlanner;
use datafusion_sql::sqlparser::ast::{
    DateTimeField, Expr as Sql, ExtractSyntax, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, VisitMut, visit_expressions_mut,
};
use flagstone_common::{Error, Result};

use crate::error::plan_error;

/// Refuses functions that do not follow from their arguments.
pub(crate) fn check(expr: &Expr) -> Result<()> {
    let mut refused = None;
    let walked = expr.apply(|part| {
        if let Expr::ScalarFunction(call) = part
            && call.func.signature().volatility != Volatility::Immutable
        {
            refused = Some(volatile(call.func.name()));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(plan_error)?;
    refused.map_or(Ok(()), Err)
}

fn volatile(name: &str) -> Error {
    Error::invalid(format!(
        "{name} gives another value at every run, and the same input is to give the same rows: \
         write the value itself (a date, a time, a number), or make the column before"
    ))
}

/// What is wrong with a call of a function of one row, if it is one.
pub(crate) fn misused(call: &Function, functions: &Functions) -> Option<Error> {
    let name = call.name.to_string();
    let known = functions.scalar(&name)?;
    if known.signature().volatility != Volatility::Immutable {
        return Some(volatile(&name));
    }
    let Function {
        parameters,
        args,
        filter,
        null_treatment,
        within_group,
        ..
    } = call;
    let (distinct, clauses) = match args {
        FunctionArguments::List(list) => (list.duplicate_treatment.is_some(), &list.clauses[..]),
        _ => (false, &[][..]),
    };
    let parts = [
        (filter.is_some(), "FILTER"),
        (null_treatment.is_some(), "a treatment of nulls"),
        (!within_group.is_empty(), "WITHIN GROUP"),
        (*parameters != FunctionArguments::None, "parameters"),
        (distinct, "DISTINCT or ALL"),
        (!clauses.is_empty(), "an order, or another clause"),
    ];
    let part = parts
        .into_iter()
        .find_map(|(is, part)| is.then_some(part))?;
    Some(Error::invalid(format!(
        "{name} is a function of one row, and {part} means nothing in its call: leave it out of \
         {call}"
    )))
}

/// Writes `year(x)` as `extract(year from x)`.
pub(crate) fn with_parts_of_dates(sql: &mut impl VisitMut) {
    let _ = visit_expressions_mut(sql, |part| {
        if let Some(extract) = extract(part) {
            *part = extract;
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
}

fn extract(expr: &Sql) -> Option<Sql> {
    let Sql::Function(call) = expr else {
        return None;
    };
    let field = match call.name.to_string().to_ascii_lowercase().as_str() {
        "year" => DateTimeField::Year,
        "quarter" => DateTimeField::Quarter,
        "month" => DateTimeField::Month,
        "day" => DateTimeField::Day,
        "hour" => DateTimeField::Hour,
        "minute" => DateTimeField::Minute,
        "second" => DateTimeField::Second,
        _ => return None,
    };
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))] => Some(Sql::Extract {
            field,
            syntax: ExtractSyntax::From,
            expr: Box::new(of.clone()),
        }),
        _ => None,
    }
}

/// Has the formats of dates mean something: `to_date` with formats reads whole numbers too, and the
/// functions of times refuse what is no text.
pub(crate) fn with_formats(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let mut refused = None;
    let mended = expr.transform_up(|part| {
        let Expr::ScalarFunction(call) = &part else {
            return Ok(Transformed::no(part));
        };
        let (name, [first, formats @ ..]) = (call.func.name(), call.args.as_slice()) else {
            return Ok(Transformed::no(part));
        };
        if formats.is_empty() || !name.starts_with("to_") || name == "to_char" {
            return Ok(Transformed::no(part));
        }
        if name == "to_date" {
            let formats = formats.iter().map(text).collect::<Option<Vec<_>>>();
            return Ok(match formats {
                Some(formats) => {
                    let read = crate::kernels::date::to_date_udf(formats);
                    Transformed::yes(read.call(vec![first.clone()]))
                }
                None => {
                    refused = Some("a format of to_date is a text, such as '%Y-%m-%d'".to_owned());
                    Transformed::no(part)
                }
            });
        }
        let data_type = first.get_type(schema)?;
        if !(data_type.is_string() || data_type == DataType::Null) {
            refused = Some(format!(
                "{name} takes formats for text only, and {first} is {data_type}: cast it to text \
                 first (cast({first} as varchar))"
            ));
        }
        Ok(Transformed::no(part))
    });
    let mended = mended.map_err(plan_error)?;
    match refused {
        Some(message) => Err(Error::invalid(message)),
        None => Ok(mended.data),
    }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(Some(text))
            | ScalarValue::Utf8View(Some(text))
            | ScalarValue::LargeUtf8(Some(text)),
            _,
        ) => Some(text.clone()),
        _ => None,
    }
}

/// The functions that SQL may name. There are no other tables.
pub(crate) struct Functions {
    options: ConfigOptions,
    scalars: Vec<Arc<ScalarUDF>>,
    aggregates: Vec<Arc<AggregateUDF>>,
    windows: Vec<Arc<WindowUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl Functions {
    pub(crate) fn new() -> Self {
        let mut aggregates = datafusion_functions_aggregate::all_default_aggregate_functions();
        aggregates.push(Arc::clone(&crate::expr::MODE));
        let mut scalars = datafusion_functions::all_default_functions();
        scalars.extend(datafusion_functions_nested::all_default_nested_functions());
        Functions {
            options: ConfigOptions::default(),
            scalars,
            aggregates,
            windows: datafusion_functions_window::all_default_window_functions(),
            planners: vec![
                Arc::new(NestedFunctionPlanner),
                Arc::new(FieldAccessPlanner),
                Arc::new(CoreFunctionPlanner::default()),
                Arc::new(DatetimeFunctionPlanner),
                Arc::new(UnicodeFunctionPlanner),
                Arc::new(AggregateFunctionPlanner),
                Arc::new(WindowFunctionPlanner),
            ],
        }
    }

    /// The function of one row that has this name.
    pub(crate) fn scalar(&self, name: &str) -> Option<&Arc<ScalarUDF>> {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        let mut known = self.scalars.iter();
        known.find(|f| is(f.name()) || f.aliases().iter().any(|alias| is(alias)))
    }

    /// The function of many rows that has this name.
    pub(crate) fn aggregate(&self, name: &str) -> Option<&Arc<AggregateUDF>> {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        let mut known = self.aggregates.iter();
        known.find(|f| is(f.name()) || f.aliases().iter().any(|alias| is(alias)))
    }

    /// The function of the rows around a row that has this name.
    pub(crate) fn window(&self, name: &str) -> Option<&Arc<WindowUDF>> {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        let mut known = self.windows.iter();
        known.find(|f| is(f.name()) || f.aliases().iter().any(|alias| is(alias)))
    }

    pub(crate) fn has_aggregate(&self, name: &str) -> bool {
        self.aggregate(name).is_some()
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

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.window(name).cloned()
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
        self.windows.iter().map(|f| f.name().to_owned()).collect()
    }
}
