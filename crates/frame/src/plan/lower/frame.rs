//! From the frame of a window function to where it begins and ends.

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::{SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits};
use flagstone_common::{Error, Result};

use super::call::Columns;
use super::not_lowered;
use crate::error::plan_error;
use crate::ops::window::{Derived, Distance, Edge, Frame};

pub(super) fn frame(
    frame: &WindowFrame,
    order_by: &[SortExpr],
    columns: &mut Columns<'_>,
) -> Result<Frame> {
    let mut edge = |bound: &WindowFrameBound, is_end: bool| match bound {
        WindowFrameBound::CurrentRow => Ok(match frame.units {
            WindowFrameUnits::Rows => Edge::Rows(0),
            WindowFrameUnits::Range | WindowFrameUnits::Groups => Edge::Groups(0),
        }),
        WindowFrameBound::Preceding(value) if value.is_null() && !is_end => Ok(Edge::Unbounded),
        WindowFrameBound::Following(value) if value.is_null() && is_end => Ok(Edge::Unbounded),
        WindowFrameBound::Preceding(value) => away(frame, value, false, order_by, columns),
        WindowFrameBound::Following(value) => away(frame, value, true, order_by, columns),
    };
    Ok(Frame {
        start: edge(&frame.start_bound, false)?,
        end: edge(&frame.end_bound, true)?,
    })
}

/// An edge that is a distance away.
fn away(
    frame: &WindowFrame,
    value: &ScalarValue,
    is_behind: bool,
    order_by: &[SortExpr],
    columns: &mut Columns<'_>,
) -> Result<Edge> {
    let wrong = || {
        Error::invalid(format!(
            "the frame {frame} of a window has an offset that is none"
        ))
    };
    if frame.units != WindowFrameUnits::Range {
        let Ok(ScalarValue::UInt64(Some(offset))) = value.cast_to(&DataType::UInt64) else {
            return Err(wrong());
        };
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let offset = if is_behind { offset } else { -offset };
        return Ok(match frame.units {
            WindowFrameUnits::Rows => Edge::Rows(offset),
            _ => Edge::Groups(offset),
        });
    }
    let [key] = order_by else {
        return Err(wrong());
    };
    let data_type = columns.type_of(&key.expr)?;
    let expr = columns.physical(&key.expr)?;
    // in descending order rows that follow have smaller keys
    let is_added = is_behind == key.asc;
    let refused = || {
        not_lowered(&format!(
            "the frame {frame} over {} of type {data_type}",
            key.expr
        ))
    };
    let sign = if is_added { 1 } else { -1 };
    let (key_column, distance) = match &data_type {
        DataType::Float32 | DataType::Float64 => {
            let Ok(ScalarValue::Float64(Some(offset))) = value.cast_to(&DataType::Float64) else {
                return Err(wrong());
            };
            if offset.is_nan() || offset < 0.0 {
                return Err(wrong());
            }
            let keys = Derived::Moved(expr.clone(), Distance::Float(0.0));
            (
                columns.derive(keys),
                Distance::Float(f64::from(sign) * offset),
            )
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            let offset = value.to_array().map_err(plan_error)?;
            if !matches!(offset.data_type(), DataType::Interval(_)) {
                return Err(wrong());
            }
            (
                columns.value(&key.expr)?,
                Distance::Interval(offset, is_added),
            )
        }
        integer if integer.is_integer() || matches!(integer, DataType::Decimal128(..)) => {
            let offset = value.cast_to(integer).and_then(|value| value.to_array());
            let offset = offset.map_err(plan_error)?;
            let units = Distance::units(&offset)?;
            if units < 0 {
                return Err(wrong());
            }
            let units = Distance::Units(i128::from(sign) * units);
            (columns.value(&key.expr)?, units)
        }
        _ => return Err(refused()),
    };
    Ok(Edge::Range {
        key: key_column,
        moved: columns.derive(Derived::Moved(expr, distance)),
        descending: !key.asc,
        nulls_first: key.nulls_first,
    })
}
