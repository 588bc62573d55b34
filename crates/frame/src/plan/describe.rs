//! What the columns of a plan hold: all figures in one row, by one pass, which becomes a row a column.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::{Column, ScalarValue};
use datafusion_expr::{Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion_functions::core::expr_fn::{get_field, named_struct};
use datafusion_functions_aggregate::expr_fn::{avg, count, max, min, stddev};
use datafusion_functions_nested::expr_fn::make_array;
use flagstone_common::{Error, Result};

use super::logical::column;
use crate::error::plan_error;
use crate::expr::quantile;

const ROWS: &str = "rows";

/// A figure of a column: what it is called, and the aggregation, where the column has it.
struct Figure {
    name: String,
    data_type: DataType,
    of: Option<Expr>,
}

/// A row for each column, with its figures.
pub(super) fn describe(input: LogicalPlan, quantiles: &[f64]) -> Result<LogicalPlan> {
    let schema = Arc::clone(input.schema());
    if let Some(wrong) = quantiles.iter().find(|part| !(0.0..=1.0).contains(*part)) {
        return Err(Error::invalid(format!(
            "{wrong} is no quantile: say a part between 0 and 1, as 0.5 for the median"
        )));
    }
    if schema.fields().is_empty() {
        return Err(Error::invalid("there is no column to describe"));
    }
    let (mut aggregations, mut objects, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (qualifier, field)) in schema.iter().enumerate() {
        let own = column((qualifier, field));
        let figures = figures(&own, field.data_type(), quantiles);
        let mut members = vec![
            lit("column"),
            lit(field.name().as_str()),
            lit("type"),
            lit(field.data_type().to_string()),
        ];
        names = vec!["column".to_owned(), "type".to_owned()];
        for figure in figures {
            let value = match figure.of {
                Some(aggregation) => {
                    let name = format!("{at} {}", figure.name);
                    aggregations.push(aggregation.alias(&name));
                    Expr::Column(Column::new_unqualified(name))
                }
                None => lit(ScalarValue::Null),
            };
            members.extend([lit(figure.name.as_str()), cast(value, figure.data_type)]);
            names.push(figure.name);
        }
        objects.push(named_struct(members));
    }
    let one = LogicalPlanBuilder::from(input)
        .aggregate(Vec::<Expr>::new(), aggregations)
        .and_then(|one| one.project([make_array(objects).alias(ROWS)]))
        .and_then(|one| one.unnest_column(ROWS))
        .map_err(plan_error)?;
    let row = || Expr::Column(Column::new_unqualified(ROWS));
    let members = names.into_iter();
    let members = members.map(|name| get_field(row(), name.as_str()).alias(name));
    let rows = one.project(members.collect::<Vec<_>>());
    rows.and_then(LogicalPlanBuilder::build).map_err(plan_error)
}

fn figures(own: &Expr, data_type: &DataType, quantiles: &[f64]) -> Vec<Figure> {
    let is_number = data_type.is_numeric();
    let has_order = !data_type.is_nested() && !data_type.is_binary() && !data_type.is_null();
    let figure = |name: &str, data_type: DataType, of: Option<Expr>| Figure {
        name: name.to_owned(),
        data_type,
        of,
    };
    let number = |name: &str, of: fn(Expr) -> Expr| {
        let wide = || cast(own.clone(), DataType::Float64);
        figure(name, DataType::Float64, is_number.then(|| of(wide())))
    };
    let text = |name: &str, of: fn(Expr) -> Expr| {
        figure(name, DataType::Utf8, has_order.then(|| of(own.clone())))
    };
    let nulls = count(lit(1i64)).filter(own.clone().is_null()).build().ok();
    let mut figures = vec![
        figure("count", DataType::Int64, Some(count(own.clone()))),
        figure("null_count", DataType::Int64, nulls),
        number("mean", avg),
        number("std", stddev),
        text("min", min),
    ];
    for &part in quantiles {
        let name = format!("{}%", part * 100.0);
        let of = is_number.then(|| quantile(cast(own.clone(), DataType::Float64), part));
        figures.push(figure(&name, DataType::Float64, of));
    }
    figures.push(text("max", max));
    figures
}
