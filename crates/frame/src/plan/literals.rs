//! Whole numbers in SQL that no integer of 64 bits holds.
//!
//! The planner would make floats of them, and `a = 9223372036854775809000` would hold for a number
//! that is not that one. They go through it as texts cast to decimals, and come out as exact decimal
//! literals; beside a float they are the float next to them, as any number is there.

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, i256};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::expr::{Between, InList};
use datafusion_expr::{BinaryExpr, Cast, Expr, ExprSchemable, lit};
use datafusion_sql::sqlparser::ast::{
    CastKind, DataType as SqlType, ExactNumberInfo, Expr as Sql, UnaryOperator, Value,
    visit_expressions_mut,
};
use flagstone_common::{Error, Result};

use crate::error::plan_error;

/// How many digits a decimal may have, as a literal of 128 and of 256 bits.
const DIGITS: [u8; 2] = [38, 76];

/// Writes numbers of more than 64 bits as texts that are cast.
pub(super) fn as_texts(mut expr: Sql) -> Result<Sql> {
    let found = visit_expressions_mut(&mut expr, |part| {
        let written = match part {
            Sql::Value(value) => match &value.value {
                Value::Number(number, false) => whole(number)
                    .filter(|digits| digits.parse::<u64>().is_err())
                    .map(|digits| cast(digits, false)),
                _ => None,
            },
            // what is positive and fits only without its sign
            Sql::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } => match &**expr {
                Sql::Value(value) => match &value.value {
                    Value::Number(number, false) => whole(number)
                        .filter(|digits| format!("-{digits}").parse::<i64>().is_err())
                        .map(|digits| cast(digits, true)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        match written {
            None => ControlFlow::Continue(()),
            Some(Ok(written)) => {
                *part = written;
                ControlFlow::Continue(())
            }
            Some(Err(error)) => ControlFlow::Break(error),
        }
    });
    match found {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(expr),
    }
}

/// The digits of a whole number, from the first that counts.
fn whole(number: &str) -> Option<String> {
    let is_whole = number.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let digits: String = number.chars().filter(|&c| c != '_').collect();
    let is_whole = is_whole && !digits.is_empty();
    is_whole.then(|| match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => digits.to_owned(),
    })
}

fn cast(digits: String, negative: bool) -> Result<Sql> {
    let Some(precision) = DIGITS.into_iter().find(|&max| digits.len() <= max.into()) else {
        return Err(Error::invalid(format!(
            "the number {}… has {} digits, and at most {} can be exact: write it as a float \
             ({}e{})",
            &digits[..12],
            digits.len(),
            DIGITS[1],
            &digits[..1],
            digits.len() - 1
        )));
    };
    let sign = if negative { "-" } else { "" };
    let text = Value::SingleQuotedString(format!("{sign}{digits}"));
    Ok(Sql::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Sql::Value(text.into())),
        data_type: SqlType::Decimal(ExactNumberInfo::PrecisionAndScale(precision.into(), 0)),
        array: false,
        format: None,
    })
}

/// Reads the texts again: beside floats as floats, elsewhere as decimals.
pub(super) fn as_numbers(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let is_float = |expr: &Expr| {
        let data_type = expr.get_type(schema);
        data_type.is_ok_and(|data_type| data_type.is_floating())
    };
    let beside = |expr: Expr| {
        let mended = match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (left_is, right_is) = (is_float(&left), is_float(&right));
                Expr::BinaryExpr(BinaryExpr {
                    left: as_float(left, right_is),
                    op,
                    right: as_float(right, left_is),
                })
            }
            Expr::Between(Between {
                expr,
                negated,
                low,
                high,
            }) => {
                let float = is_float(&expr) || is_float(&low) || is_float(&high);
                Expr::Between(Between {
                    expr: as_float(expr, float),
                    negated,
                    low: as_float(low, float),
                    high: as_float(high, float),
                })
            }
            Expr::InList(InList {
                expr,
                list,
                negated,
            }) => {
                let float = is_float(&expr) || list.iter().any(&is_float);
                let item = |item| *as_float(Box::new(item), float);
                Expr::InList(InList {
                    expr: as_float(expr, float),
                    list: list.into_iter().map(item).collect(),
                    negated,
                })
            }
            other => return Ok(Transformed::no(other)),
        };
        Ok(Transformed::yes(mended))
    };
    let as_decimal = |expr: Expr| {
        Ok(
            match text_of(&expr).and_then(|(text, t)| decimal(text, t)) {
                Some(value) => Transformed::yes(Expr::Literal(value, None)),
                None => Transformed::no(expr),
            },
        )
    };
    let expr = expr.transform_up(beside).map_err(plan_error)?.data;
    Ok(expr.transform_up(as_decimal).map_err(plan_error)?.data)
}

/// A text that was a number, with the type it is cast to.
fn text_of(expr: &Expr) -> Option<(&str, &DataType)> {
    let Expr::Cast(Cast { expr, field }) = expr else {
        return None;
    };
    let data_type = field.data_type();
    let (DataType::Decimal128(38, 0) | DataType::Decimal256(76, 0)) = data_type else {
        return None;
    };
    match &**expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some((text, data_type)),
        _ => None,
    }
}

fn as_float(expr: Box<Expr>, beside_float: bool) -> Box<Expr> {
    let text = text_of(&expr).filter(|_| beside_float);
    match text.and_then(|(text, _)| text.parse::<f64>().ok()) {
        Some(number) => Box::new(lit(number)),
        None => expr,
    }
}

fn decimal(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    match *data_type {
        DataType::Decimal128(precision, scale) => {
            let value = text.parse().ok()?;
            Some(ScalarValue::Decimal128(Some(value), precision, scale))
        }
        DataType::Decimal256(precision, scale) => {
            let value = i256::from_string(text)?;
            Some(ScalarValue::Decimal256(Some(value), precision, scale))
        }
        _ => None,
    }
}
