//! States of aggregations, one per group, in columns.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal128Array, Float64Array, Int64Array,
    PrimitiveArray, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use flagstone_common::{Error, ErrorKind, Result};

use super::values::{each_valid, each_value, from_int};
use crate::error::arrow_error;

/// What a state holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Slot {
    SumFloat,
    SumInt,
    Count,
    Min(DataType),
    Max(DataType),
}

impl Slot {
    pub(crate) fn sum_of(data_type: &DataType) -> Slot {
        if data_type.is_integer() {
            Slot::SumInt
        } else {
            Slot::SumFloat
        }
    }
}

/// The states of all groups for one slot.
pub(crate) enum State {
    /// `part` sums the batch numbered `batch`, `total` the batches before; batch 0: nothing yet.
    SumFloat {
        total: Vec<f64>,
        part: Vec<f64>,
        batch: Vec<u32>,
    },
    /// Twice as wide as what is added: whatever the order, only the result may pass 64 bits.
    SumInt {
        total: Vec<i128>,
        seen: Vec<bool>,
    },
    Count(Vec<i64>),
    BestFloat {
        best: Vec<f64>,
        seen: Vec<bool>,
        min: bool,
    },
    /// Everything that is an integer inside: also dates, times and booleans.
    BestInt {
        best: Vec<i64>,
        seen: Vec<bool>,
        min: bool,
        data_type: DataType,
    },
    BestText {
        best: Vec<Option<Box<str>>>,
        min: bool,
        bytes: usize,
        data_type: DataType,
    },
}

impl State {
    pub(crate) fn new(slot: &Slot) -> State {
        let best = |data_type: &DataType, min| match data_type {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => State::BestFloat {
                best: Vec::new(),
                seen: Vec::new(),
                min,
            },
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => State::BestText {
                best: Vec::new(),
                min,
                bytes: 0,
                data_type: data_type.clone(),
            },
            other => State::BestInt {
                best: Vec::new(),
                seen: Vec::new(),
                min,
                data_type: other.clone(),
            },
        };
        match slot {
            Slot::SumFloat => State::SumFloat {
                total: Vec::new(),
                part: Vec::new(),
                batch: Vec::new(),
            },
            Slot::SumInt => State::SumInt {
                total: Vec::new(),
                seen: Vec::new(),
            },
            Slot::Count => State::Count(Vec::new()),
            Slot::Min(data_type) => best(data_type, true),
            Slot::Max(data_type) => best(data_type, false),
        }
    }

    /// Whether there is a state for the least or largest value of this type.
    pub(crate) fn orders(data_type: &DataType) -> bool {
        use DataType::*;
        matches!(
            data_type,
            Float16
                | Float32
                | Float64
                | Utf8
                | LargeUtf8
                | Utf8View
                | Boolean
                | Int8
                | Int16
                | Int32
                | Int64
                | UInt8
                | UInt16
                | UInt32
                | Date32
                | Date64
                | Timestamp(..)
                | Time32(_)
                | Time64(_)
                | Duration(_)
        )
    }

    pub(crate) fn resize(&mut self, groups: usize) {
        match self {
            State::SumFloat { total, part, batch } => {
                total.resize(groups, 0.0);
                part.resize(groups, 0.0);
                batch.resize(groups, 0);
            }
            State::SumInt { total, seen } => {
                total.resize(groups, 0);
                seen.resize(groups, false);
            }
            State::Count(counts) => counts.resize(groups, 0),
            State::BestFloat { best, seen, .. } => {
                best.resize(groups, 0.0);
                seen.resize(groups, false);
            }
            State::BestInt { best, seen, .. } => {
                best.resize(groups, 0);
                seen.resize(groups, false);
            }
            State::BestText { best, .. } => best.resize(groups, None),
        }
    }

    /// The bytes allocated now.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            State::SumFloat { total, .. } => total.capacity() * 20,
            State::SumInt { total, .. } => total.capacity() * 17,
            State::Count(counts) => counts.capacity() * 8,
            State::BestFloat { best, .. } => best.capacity() * 9,
            State::BestInt { best, .. } => best.capacity() * 9,
            State::BestText { best, bytes, .. } => best.capacity() * 16 + bytes,
        }
    }

    /// Adds rows; `number` is the batch's, from 1.
    pub(crate) fn update(&mut self, groups: &[u32], values: &ArrayRef, number: u32) -> Result<()> {
        if let State::Count(counts) = self {
            each_valid(groups, values, |_, group| counts[group] += 1);
            return Ok(());
        }
        self.merge(groups, values, number)
    }

    /// Adds the states of another table.
    pub(crate) fn merge(&mut self, groups: &[u32], values: &ArrayRef, number: u32) -> Result<()> {
        match self {
            State::SumFloat { total, part, batch } => {
                each_value::<Float64Type>(groups, values, |group, value| {
                    if batch[group] == number {
                        part[group] += value;
                    } else {
                        total[group] += part[group];
                        part[group] = value;
                        batch[group] = number;
                    }
                })?;
            }
            State::SumInt { total, seen } => {
                let mut overflow = false;
                let mut add = |group: usize, value: i128| {
                    let (sum, over) = total[group].overflowing_add(value);
                    overflow |= over;
                    total[group] = sum;
                    seen[group] = true;
                };
                match values.data_type() {
                    DataType::UInt64 => {
                        each_value::<UInt64Type>(groups, values, |group, value| {
                            add(group, i128::from(value));
                        })?
                    }
                    // sums of another table
                    DataType::Decimal128(..) => {
                        let sums = values.as_primitive::<Decimal128Type>();
                        each_valid(groups, values, |row, group| add(group, sums.value(row)));
                    }
                    _ => each_value::<Int64Type>(groups, values, |group, value: i64| {
                        add(group, i128::from(value));
                    })?,
                }
                if overflow {
                    return Err(too_large());
                }
            }
            State::Count(counts) => {
                each_value::<Int64Type>(groups, values, |group, value: i64| {
                    counts[group] += value
                })?;
            }
            State::BestFloat { best, seen, min } => {
                let wanted = if *min {
                    std::cmp::Ordering::Less
                } else {
                    std::cmp::Ordering::Greater
                };
                each_value::<Float64Type>(groups, values, |group, value: f64| {
                    let value = super::key::canonical(value);
                    if !seen[group] || value.total_cmp(&best[group]) == wanted {
                        best[group] = value;
                        seen[group] = true;
                    }
                })?;
            }
            State::BestInt {
                best, seen, min, ..
            } => {
                let wanted = if *min {
                    std::cmp::Ordering::Less
                } else {
                    std::cmp::Ordering::Greater
                };
                each_value::<Int64Type>(groups, values, |group, value: i64| {
                    if !seen[group] || value.cmp(&best[group]) == wanted {
                        best[group] = value;
                        seen[group] = true;
                    }
                })?;
            }
            State::BestText {
                best, min, bytes, ..
            } => {
                let wanted = if *min {
                    std::cmp::Ordering::Less
                } else {
                    std::cmp::Ordering::Greater
                };
                let values = cast(values, &DataType::Utf8).map_err(arrow_error)?;
                let texts = values.as_string::<i32>();
                each_valid(groups, &values, |row, group| {
                    let text = texts.value(row);
                    let better = best[group]
                        .as_deref()
                        .is_none_or(|best| text.cmp(best) == wanted);
                    if better {
                        *bytes += text.len();
                        *bytes -= best[group].as_ref().map_or(0, |best| best.len());
                        best[group] = Some(text.into());
                    }
                });
            }
        }
        Ok(())
    }

    /// The states of these groups as a column.
    pub(crate) fn finish(self, groups: &[u32]) -> Result<ArrayRef> {
        let at = |group: &u32| *group as usize;
        Ok(match self {
            State::SumFloat { total, part, batch } => Arc::new(
                groups
                    .iter()
                    .map(at)
                    .map(|group| (batch[group] > 0).then(|| total[group] + part[group]))
                    .collect::<Float64Array>(),
            ),
            State::SumInt { total, seen } => Arc::new(
                groups
                    .iter()
                    .map(at)
                    .map(|group| seen[group].then(|| total[group]))
                    .collect::<Decimal128Array>(),
            ),
            State::Count(counts) => Arc::new(
                groups
                    .iter()
                    .map(|group| counts[at(group)])
                    .collect::<Int64Array>(),
            ),
            State::BestFloat { best, seen, .. } => Arc::new(
                groups
                    .iter()
                    .map(at)
                    .map(|group| seen[group].then(|| best[group]))
                    .collect::<Float64Array>(),
            ),
            State::BestInt {
                best,
                seen,
                data_type,
                ..
            } => {
                let column: Int64Array = groups
                    .iter()
                    .map(at)
                    .map(|group| seen[group].then(|| best[group]))
                    .collect();
                from_int(&(Arc::new(column) as ArrayRef), &data_type)?
            }
            State::BestText {
                best, data_type, ..
            } => {
                let column: StringArray = groups
                    .iter()
                    .map(at)
                    .map(|group| best[group].as_deref())
                    .collect();
                cast(&column, &data_type).map_err(arrow_error)?
            }
        })
    }
}

/// The sums of integers as the type of the result.
pub(crate) fn sums(sums: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let sums = sums.as_primitive::<Decimal128Type>();
    let whole: Option<ArrayRef> = match data_type {
        DataType::UInt64 => converted::<UInt64Type>(sums),
        _ => converted::<Int64Type>(sums),
    };
    whole.ok_or_else(too_large)
}

fn converted<T: ArrowPrimitiveType>(sums: &Decimal128Array) -> Option<ArrayRef>
where
    T::Native: TryFrom<i128>,
{
    let whole: std::result::Result<PrimitiveArray<T>, ()> =
        sums.try_unary(|sum| T::Native::try_from(sum).map_err(|_| ()));
    whole.ok().map(|array| Arc::new(array) as ArrayRef)
}

fn too_large() -> Error {
    let message = "a sum of integers passes 64 bits; sum them as floats: sum(cast(x as double))";
    Error::new(ErrorKind::Failed, message)
}

/// The means, from sums and counts.
pub(crate) fn mean(sums: &ArrayRef, counts: &ArrayRef) -> Result<ArrayRef> {
    let sums = sums.as_primitive::<Float64Type>();
    let counts = counts.as_primitive::<Int64Type>();
    let mean = |(sum, count): (Option<f64>, Option<i64>)| Some(sum? / count? as f64);
    Ok(Arc::new(
        sums.iter().zip(counts).map(mean).collect::<Float64Array>(),
    ))
}
