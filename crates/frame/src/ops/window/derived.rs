//! Columns that functions read of the log, made when rows are appended to it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, Decimal128Array, Float64Array, RecordBatch, Scalar,
};
use arrow::compute::cast;
use arrow::compute::kernels::{numeric, zip};
use arrow::datatypes::{DataType, Float64Type};
use arrow::row::{RowConverter, SortField};
use datafusion_physical_expr::PhysicalExpr;
use flagstone_common::{Error, Result};

use super::integers::integer;
use crate::error::arrow_error;
use crate::kernels::key::canonical;
use crate::ops::operator::evaluate;

/// What a column is made of.
pub(crate) enum Derived {
    /// The values of an expression, of the rows for which a condition holds.
    Value(Arc<dyn PhysicalExpr>, Option<Arc<dyn PhysicalExpr>>),
    /// Those values as bytes that compare as they do.
    Bytes(Box<Derived>, DataType),
    /// A key of an order, a distance away.
    Moved(Arc<dyn PhysicalExpr>, Distance),
}

/// How far from a row's key a frame reaches.
pub(crate) enum Distance {
    /// In units of the key: those of its integers.
    Units(i128),
    Float(f64),
    /// An interval, and whether it is added.
    Interval(ArrayRef, bool),
}

impl Distance {
    /// The one value of a column of integers, or what is an integer inside.
    pub(crate) fn units(offset: &ArrayRef) -> Result<i128> {
        match offset.len() == 1 && offset.is_valid(0) {
            true => integer(offset, 0),
            false => Err(Error::bug("a distance is no single number")),
        }
    }
}

impl Derived {
    /// Whether its values may be as large as rows are.
    pub(super) fn is_wide(&self) -> bool {
        !matches!(self, Derived::Moved(..))
    }

    /// The column for some rows.
    pub(super) fn column(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        match self {
            Derived::Value(expr, None) => evaluate(expr, batch),
            Derived::Value(expr, Some(condition)) => {
                let (values, holds) = (evaluate(expr, batch)?, evaluate(condition, batch)?);
                let holds = holds
                    .as_boolean_opt()
                    .ok_or_else(|| Error::bug("a filter's expression is not a condition"))?;
                let null = Scalar::new(arrow::array::new_null_array(values.data_type(), 1));
                zip::zip(holds, &values, &null).map_err(arrow_error)
            }
            Derived::Bytes(of, data_type) => {
                let values = of.column(batch)?;
                let rows = converter(data_type)?.convert_columns(std::slice::from_ref(&values));
                let rows = rows.map_err(arrow_error)?;
                let nulls = values.logical_nulls();
                let mut bytes = BinaryBuilder::with_capacity(values.len(), rows.size());
                for (at, row) in rows.iter().enumerate() {
                    match nulls.as_ref().is_none_or(|nulls| nulls.is_valid(at)) {
                        true => bytes.append_value(row.data()),
                        false => bytes.append_null(),
                    }
                }
                Ok(Arc::new(bytes.finish()))
            }
            Derived::Moved(expr, distance) => moved(evaluate(expr, batch)?, distance),
        }
    }
}

/// Encodes values as bytes that compare as they do.
pub(super) fn converter(data_type: &DataType) -> Result<RowConverter> {
    RowConverter::new(vec![SortField::new(data_type.clone())]).map_err(arrow_error)
}

fn moved(keys: ArrayRef, distance: &Distance) -> Result<ArrayRef> {
    let nulls = keys.logical_nulls();
    let is_valid = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    Ok(match distance {
        Distance::Units(units) => {
            let moved = (0..keys.len()).map(|row| match is_valid(row) {
                true => Ok(Some(integer(&keys, row)?.saturating_add(*units))),
                false => Ok(None),
            });
            let moved = moved.collect::<Result<Decimal128Array>>()?;
            Arc::new(moved)
        }
        Distance::Float(by) => {
            let keys = cast(&keys, &DataType::Float64).map_err(arrow_error)?;
            let moved = |key: f64| canonical(key + by);
            let moved: Float64Array = keys.as_primitive::<Float64Type>().unary(moved);
            Arc::new(moved)
        }
        Distance::Interval(interval, is_added) => {
            let interval = Scalar::new(Arc::clone(interval));
            let moved = match is_added {
                true => numeric::add(&keys, &interval),
                false => numeric::sub(&keys, &interval),
            };
            moved.map_err(arrow_error)?
        }
    })
}
