//! Sums and means of whole numbers and decimals: exact, whatever the order.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, AsArray, Decimal128Array, PrimitiveArray, PrimitiveBuilder,
};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, DecimalType, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Int64Type, TimeUnit,
    UInt64Type,
};
use flagstone_common::{Error, ErrorKind, Result};

use super::count::valid;
use super::{Fields, Rows, States, reserve};
use crate::error::arrow_error;
use crate::kernels::values::each_row;

/// Sums of whole numbers, twice as wide as what is added: only the result may pass its type.
pub(crate) struct Whole {
    sums: Vec<i128>,
    /// How many were added.
    counts: Vec<i64>,
    from: DataType,
    to: DataType,
    mean: bool,
}

impl Whole {
    /// Of values of a type, with results of a type; `None` where they cannot be summed so.
    pub(crate) fn new(from: &DataType, to: &DataType, mean: bool) -> Option<Self> {
        use DataType::*;
        let fits = match (from, to) {
            (Int64, Int64) | (UInt64, UInt64) => !mean,
            (Duration(a), Duration(b)) => a == b,
            (Decimal32(..), Decimal32(..))
            | (Decimal64(..), Decimal64(..))
            | (Decimal128(..), Decimal128(..)) => true,
            _ => false,
        };
        fits.then(|| Whole {
            sums: Vec::new(),
            counts: Vec::new(),
            from: from.clone(),
            to: to.clone(),
            mean,
        })
    }

    fn add<T: ArrowPrimitiveType>(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()>
    where
        T::Native: Into<i128>,
    {
        let column = args.first().and_then(|arg| arg.as_primitive_opt::<T>());
        let column = column.ok_or_else(|| Error::bug("what is summed has another type"))?;
        let (values, mut overflow) = (column.values(), false);
        each_row(valid(args).as_ref(), 0..rows.groups.len(), |row| {
            let group = rows.groups[row] as usize;
            let (sum, over) = self.sums[group].overflowing_add(values[row].into());
            overflow |= over;
            self.sums[group] = sum;
            self.counts[group] += 1;
        });
        match overflow {
            true => Err(too_large()),
            false => Ok(()),
        }
    }

    /// The result of a group that has seen something.
    fn result(&self, group: usize) -> Result<i128> {
        let sum = self.sums[group];
        if !self.mean {
            return Ok(sum);
        }
        let scale = |data_type: &DataType| match data_type {
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale) => i32::from(*scale),
            _ => 0,
        };
        let digits = u32::try_from(scale(&self.to) - scale(&self.from)).unwrap_or(0);
        let scaled = 10i128
            .checked_pow(digits)
            .and_then(|of| sum.checked_mul(of));
        Ok(scaled.ok_or_else(too_large)? / i128::from(self.counts[group]))
    }

    fn results<T: ArrowPrimitiveType>(&self, groups: &[u32]) -> Result<PrimitiveArray<T>>
    where
        T::Native: TryFrom<i128>,
    {
        let mut results = PrimitiveBuilder::<T>::with_capacity(groups.len());
        for &group in groups {
            match self.counts[group as usize] {
                0 => results.append_null(),
                _ => {
                    let result = self.result(group as usize)?;
                    let result = T::Native::try_from(result).map_err(|_| too_large());
                    results.append_value(result?);
                }
            }
        }
        Ok(results.finish())
    }

    fn decimals<T: DecimalType>(&self, groups: &[u32], digits: u8, scale: i8) -> Result<ArrayRef>
    where
        T::Native: TryFrom<i128>,
    {
        let results = self.results::<T>(groups)?;
        results
            .validate_decimal_precision(digits)
            .map_err(|_| too_large())?;
        let results = results.with_precision_and_scale(digits, scale);
        Ok(Arc::new(results.map_err(arrow_error)?))
    }
}

impl States for Whole {
    fn width(&self) -> usize {
        24
    }

    fn reserve(&mut self, groups: usize) {
        reserve(&mut self.sums, groups);
        reserve(&mut self.counts, groups);
    }

    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups, 0);
        self.counts.resize(groups, 0);
    }

    fn update(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()> {
        use DataType::*;
        match &self.from {
            UInt64 => self.add::<UInt64Type>(rows, args),
            Decimal32(..) => self.add::<Decimal32Type>(rows, args),
            Decimal64(..) => self.add::<Decimal64Type>(rows, args),
            Decimal128(..) => self.add::<Decimal128Type>(rows, args),
            Duration(TimeUnit::Second) => self.add::<DurationSecondType>(rows, args),
            Duration(TimeUnit::Millisecond) => self.add::<DurationMillisecondType>(rows, args),
            Duration(TimeUnit::Microsecond) => self.add::<DurationMicrosecondType>(rows, args),
            Duration(TimeUnit::Nanosecond) => self.add::<DurationNanosecondType>(rows, args),
            _ => self.add::<Int64Type>(rows, args),
        }
    }

    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        let (sum, count) = group.map_or((0, 0), |group| (self.sums[group], self.counts[group]));
        out.write_all(&sum.to_le_bytes())?;
        out.write_all(&count.to_le_bytes())
    }

    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)> {
        state.bytes(24)?;
        Ok((0, 0))
    }

    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()> {
        let sum = self.sums[group].checked_add(state.i128()?);
        self.sums[group] = sum.ok_or_else(too_large)?;
        self.counts[group] += state.i64()?;
        Ok(())
    }

    fn finish(&self, groups: &[u32]) -> Result<ArrayRef> {
        use DataType::*;
        Ok(match &self.to {
            UInt64 => Arc::new(self.results::<UInt64Type>(groups)?),
            Decimal32(digits, scale) => self.decimals::<Decimal32Type>(groups, *digits, *scale)?,
            Decimal64(digits, scale) => self.decimals::<Decimal64Type>(groups, *digits, *scale)?,
            Decimal128(digits, scale) => {
                self.decimals::<Decimal128Type>(groups, *digits, *scale)?
            }
            Duration(TimeUnit::Second) => Arc::new(self.results::<DurationSecondType>(groups)?),
            Duration(TimeUnit::Millisecond) => {
                Arc::new(self.results::<DurationMillisecondType>(groups)?)
            }
            Duration(TimeUnit::Microsecond) => {
                Arc::new(self.results::<DurationMicrosecondType>(groups)?)
            }
            Duration(TimeUnit::Nanosecond) => {
                Arc::new(self.results::<DurationNanosecondType>(groups)?)
            }
            _ => Arc::new(self.results::<Int64Type>(groups)?),
        })
    }
}

fn too_large() -> Error {
    let message = "a sum passes what its type holds: a sum of integers passes 64 bits, or one of \
                   decimals its digits; sum them as floats: sum(cast(x as double))";
    Error::new(ErrorKind::Failed, message)
}

/// The halves of sums of two, for medians of decimals.
pub(super) fn middle(low: &Decimal128Array, high: &Decimal128Array) -> Decimal128Array {
    let middle = |(low, high): (Option<i128>, Option<i128>)| {
        let (low, high) = (low?, high?);
        Some(low / 2 + high / 2 + (low % 2 + high % 2) / 2)
    };
    let middles = low.iter().zip(high).map(middle);
    middles.collect::<Decimal128Array>()
}
