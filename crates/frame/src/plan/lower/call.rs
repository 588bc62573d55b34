//! From a window function of a plan to what is evaluated, and the columns that it reads.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::{NullTreatment, WindowFunction, WindowFunctionParams};
use datafusion_expr::logical_plan::Window;
use datafusion_expr::{Expr, ExprSchemable, WindowFunctionDefinition, cast};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;
use flagstone_common::{Error, Result};

use super::frame::frame;
use super::not_lowered;
use super::window::function_of;
use crate::error::plan_error;
use crate::ops::window::{Call, Derived, Fold, Function, Which, folds};
use crate::plan::physical::physical;

/// How many values that are not null may be looked back or ahead for.
const SHIFT_MAX: u64 = 1 << 16;

/// What functions read.
pub(super) struct Columns<'w> {
    window: &'w Window,
    width: usize,
    derived: Vec<Derived>,
}

impl<'w> Columns<'w> {
    /// Those of rows that have so many columns.
    pub(super) fn new(window: &'w Window, width: usize) -> Self {
        Columns {
            window,
            width,
            derived: Vec::new(),
        }
    }

    /// The columns that are made for functions.
    pub(super) fn derived(self) -> Vec<Derived> {
        self.derived
    }

    pub(super) fn physical(&self, expr: &Expr) -> Result<Arc<dyn PhysicalExpr>> {
        physical(expr, self.window.input.schema())
    }

    pub(super) fn type_of(&self, expr: &Expr) -> Result<DataType> {
        expr.get_type(self.window.input.schema())
            .map_err(plan_error)
    }

    /// The column with an expression's values.
    pub(super) fn value(&mut self, expr: &Expr) -> Result<usize> {
        if let DataType::Dictionary(_, values) = self.type_of(expr)? {
            // a key that is there may mean a value that is null
            let plain = self.physical(&cast(expr.clone(), *values))?;
            return Ok(self.derive(Derived::Value(plain, None)));
        }
        let expr = self.physical(expr)?;
        Ok(match expr.downcast_ref::<Column>() {
            Some(column) => column.index(),
            None => self.derive(Derived::Value(expr, None)),
        })
    }

    pub(super) fn derive(&mut self, derived: Derived) -> usize {
        self.derived.push(derived);
        self.width + self.derived.len() - 1
    }
}

pub(super) fn call(expr: &Expr, field: &FieldRef, columns: &mut Columns<'_>) -> Result<Call> {
    let WindowFunction { fun, params } = function_of(expr)?;
    let WindowFunctionParams {
        args,
        order_by,
        window_frame,
        filter,
        null_treatment,
        distinct,
        ..
    } = params;
    let unknown = || not_lowered(&expr.to_string());
    if *distinct {
        return Err(unknown());
    }
    let function = match fun {
        WindowFunctionDefinition::AggregateUDF(function) => {
            let fold = match function.name() {
                "sum" => Fold::Sum,
                "avg" => Fold::Mean,
                "min" => Fold::Min,
                "max" => Fold::Max,
                "count" => Fold::Count,
                _ => return Err(unknown()),
            };
            let [argument] = args.as_slice() else {
                return Err(unknown());
            };
            let data_type = columns.type_of(argument)?;
            let Some(as_bytes) = folds(fold, &data_type) else {
                return Err(not_lowered(&format!("{expr} of type {data_type}")));
            };
            let column = match (filter, as_bytes) {
                (None, false) => columns.value(argument)?,
                _ => {
                    let condition = filter.as_deref().map(|filter| columns.physical(filter));
                    let value = columns.physical(argument)?;
                    let value = Derived::Value(value, condition.transpose()?);
                    columns.derive(match as_bytes {
                        true => Derived::Bytes(Box::new(value), data_type),
                        false => value,
                    })
                }
            };
            Function::Fold { column, fold }
        }
        WindowFunctionDefinition::WindowUDF(function) => {
            let ignore_nulls = *null_treatment == Some(NullTreatment::IgnoreNulls);
            let name = function.name();
            let may_ignore = matches!(name, "lag" | "lead" | "first_value" | "last_value");
            if filter.is_some() || (ignore_nulls && !may_ignore) {
                return Err(unknown());
            }
            named(expr, name, args, ignore_nulls, field, columns)?
        }
    };
    Ok(Call {
        function,
        frame: frame(window_frame, order_by, columns)?,
        data_type: field.data_type().clone(),
    })
}

fn named(
    expr: &Expr,
    name: &str,
    args: &[Expr],
    ignore_nulls: bool,
    field: &FieldRef,
    columns: &mut Columns<'_>,
) -> Result<Function> {
    let unknown = || not_lowered(&expr.to_string());
    let value = |which, columns: &mut Columns<'_>| {
        let argument = args.first().ok_or_else(unknown)?;
        Ok(Function::Value {
            column: columns.value(argument)?,
            which,
            ignore_nulls,
        })
    };
    match name {
        "row_number" => Ok(Function::RowNumber),
        "rank" => Ok(Function::Rank),
        "dense_rank" => Ok(Function::DenseRank),
        "percent_rank" => Ok(Function::PercentRank),
        "cume_dist" => Ok(Function::CumeDist),
        "ntile" => {
            let tiles = args.first().and_then(number);
            let tiles = tiles.and_then(|tiles| u64::try_from(tiles).ok());
            let tiles = tiles.filter(|&tiles| tiles > 0).ok_or_else(|| {
                Error::invalid(format!("{expr}: ntile takes a whole number from 1 on"))
            })?;
            Ok(Function::Ntile(tiles))
        }
        "first_value" => value(Which::First, columns),
        "last_value" => value(Which::Last, columns),
        "nth_value" => {
            let place = args.get(1).and_then(number).filter(|&place| place != 0);
            let place = place.ok_or_else(|| {
                Error::invalid(format!(
                    "{expr}: nth_value takes a whole number, counted from 1 or (where it is \
                     negative) from the end"
                ))
            })?;
            value(Which::Nth(place), columns)
        }
        "lag" | "lead" => {
            let argument = args.first().ok_or_else(unknown)?;
            let away = match args.get(1) {
                None | Some(Expr::Literal(ScalarValue::Null, _)) => 1,
                Some(away) => number(away).ok_or_else(|| {
                    Error::invalid(format!("{expr}: {name} takes a whole number of rows"))
                })?,
            };
            if ignore_nulls && away.unsigned_abs() > SHIFT_MAX {
                return Err(not_lowered(&format!(
                    "{expr} over more than {SHIFT_MAX} values"
                )));
            }
            let behind = if name == "lag" {
                Some(away)
            } else {
                away.checked_neg()
            };
            let default = args
                .get(2)
                .map(|default| constant(default, field.data_type()));
            Ok(Function::Shift {
                column: columns.value(argument)?,
                behind: behind.ok_or_else(unknown)?,
                default: default.transpose()?.flatten(),
                ignore_nulls,
            })
        }
        _ => Err(unknown()),
    }
}

/// A whole number that an expression is.
fn number(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    match value.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(number)) if !value.data_type().is_floating() => number,
        _ => None,
    }
}

/// The value of an expression without columns, as a column of one row; none for null.
fn constant(expr: &Expr, data_type: &DataType) -> Result<Option<ArrayRef>> {
    let Expr::Literal(value, _) = expr else {
        return Err(not_lowered(&format!("{expr}, which is no constant,")));
    };
    if value.is_null() {
        return Ok(None);
    }
    let value = value.cast_to(data_type).and_then(|value| value.to_array());
    value.map(Some).map_err(plan_error)
}
