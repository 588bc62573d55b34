//! Row groups that no wanted row can be in, by their statistics.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::Schema;
use datafusion_common::ScalarValue;
use datafusion_expr::expr::BinaryExpr;
use datafusion_expr::{Expr, Operator};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::ParquetMetaData;

use super::leaves::leaf_ranges;

/// Whether a row of the row group may meet the condition, by its statistics.
pub(super) fn may_hold(
    filter: &Expr,
    schema: &Schema,
    parquet: &ParquetMetaData,
    row_group: usize,
) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
        return true;
    };
    let both = |expr: &Expr| may_hold(expr, schema, parquet, row_group);
    let (column, op, value) = match (&**left, op, &**right) {
        (_, Operator::And, _) => return both(left) && both(right),
        (_, Operator::Or, _) => return both(left) || both(right),
        (Expr::Column(column), op, Expr::Literal(value, _)) => (column, *op, value),
        (Expr::Literal(value, _), op, Expr::Column(column)) => match op.swap() {
            Some(op) => (column, op, value),
            None => return true,
        },
        _ => return true,
    };
    let Some((least, most)) = bounds(&column.name, schema, parquet, row_group) else {
        return true;
    };
    if value.is_null() || least.data_type() != value.data_type() {
        return true;
    }
    // what cannot be compared may hold; a NaN is above every number and in no statistics
    let below = |a: &ScalarValue, b: &ScalarValue| a.partial_cmp(b).is_none_or(|o| o.is_lt());
    let at_most = |a: &ScalarValue, b: &ScalarValue| a.partial_cmp(b).is_none_or(|o| o.is_le());
    let floats = value.data_type().is_floating();
    match op {
        Operator::Eq => at_most(&least, value) && (floats || at_most(value, &most)),
        Operator::Lt => below(&least, value),
        Operator::LtEq => at_most(&least, value),
        Operator::Gt => floats || below(value, &most),
        Operator::GtEq => floats || at_most(value, &most),
        _ => true,
    }
}

/// The least and the largest value of a column in a row group, when the file says.
fn bounds(
    column: &str,
    schema: &Schema,
    parquet: &ParquetMetaData,
    row_group: usize,
) -> Option<(ScalarValue, ScalarValue)> {
    let descriptor = parquet.file_metadata().schema_descr();
    let (place, _) = schema.fields().find(column)?;
    let leaf = leaf_ranges(schema.fields())[place].start;
    // their order is not defined, and writers do not agree on it
    if descriptor.column(leaf).physical_type() == PhysicalType::INT96 {
        return None;
    }
    let statistics = StatisticsConverter::try_new(column, schema, descriptor).ok()?;
    let group = [parquet.row_group(row_group)];
    let first = |array: ArrayRef| {
        (array.len() == 1 && array.is_valid(0))
            .then(|| ScalarValue::try_from_array(&array, 0).ok())
            .flatten()
    };
    let least = first(statistics.row_group_mins(group).ok()?)?;
    let most = first(statistics.row_group_maxes(group).ok()?)?;
    Some((least, most))
}
