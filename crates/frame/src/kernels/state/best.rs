//! The least and the greatest value.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveBuilder};
use arrow::datatypes::{DataType, ToByteSlice};
use flagstone_common::{Error, Result};

use super::count::valid;
use super::fields::damaged;
use super::slots::Slots;
use super::{Encoded, Fields, Rows, States, reserve};
use crate::kernels::key::{KeyCodec, canonical_column};
use crate::kernels::values::each_row;

/// Of values of fixed size.
pub(crate) struct Best<T: ArrowPrimitiveType> {
    best: Vec<T::Native>,
    seen: Vec<bool>,
    min: bool,
    data_type: DataType,
}

impl<T: ArrowPrimitiveType> Best<T> {
    pub(crate) fn new(data_type: &DataType, min: bool) -> Self {
        Best {
            best: Vec::new(),
            seen: Vec::new(),
            min,
            data_type: data_type.clone(),
        }
    }

    #[inline]
    fn add(&mut self, group: usize, value: T::Native) {
        let best = &mut self.best[group];
        let is_better = match self.min {
            true => value.is_lt(*best),
            false => value.is_gt(*best),
        };
        if is_better || !self.seen[group] {
            *best = value;
            self.seen[group] = true;
        }
    }
}

impl<T: ArrowPrimitiveType> States for Best<T> {
    fn width(&self) -> usize {
        size_of::<T::Native>() + 1
    }

    fn reserve(&mut self, groups: usize) {
        reserve(&mut self.best, groups);
        reserve(&mut self.seen, groups);
    }

    fn resize(&mut self, groups: usize) {
        self.best.resize(groups, T::Native::default());
        self.seen.resize(groups, false);
    }

    fn update(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()> {
        let column = args.first().ok_or_else(missing)?;
        let column = canonical_column(column)?;
        let values = column.as_primitive_opt::<T>().ok_or_else(missing)?.values();
        each_row(valid(args).as_ref(), 0..rows.groups.len(), |row| {
            self.add(rows.groups[row] as usize, values[row]);
        });
        Ok(())
    }

    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        match group.filter(|&group| self.seen[group]) {
            Some(group) => {
                out.write_all(&[1])?;
                out.write_all(self.best[group].to_byte_slice())
            }
            None => out.write_all(&[0]),
        }
    }

    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)> {
        if state.u8()? != 0 {
            state.bytes(size_of::<T::Native>())?;
        }
        Ok((0, 0))
    }

    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()> {
        if state.u8()? != 0 {
            let bytes = state.bytes(size_of::<T::Native>())?;
            let buffer = arrow::buffer::Buffer::from(bytes);
            let values = arrow::buffer::ScalarBuffer::<T::Native>::new(buffer, 0, 1);
            self.add(group, *values.first().ok_or_else(damaged)?);
        }
        Ok(())
    }

    fn finish(&self, groups: &[u32]) -> Result<ArrayRef> {
        let builder = PrimitiveBuilder::<T>::with_capacity(groups.len());
        let mut results = builder.with_data_type(self.data_type.clone());
        for &group in groups {
            let group = group as usize;
            results.append_option(self.seen[group].then(|| self.best[group]));
        }
        Ok(Arc::new(results.finish()))
    }
}

fn missing() -> Error {
    Error::bug("the values of a minimum or maximum have another type")
}

/// Of all other values that have an order, as bytes that compare as they do.
pub(crate) struct BestBytes {
    best: Slots,
    codec: KeyCodec,
    min: bool,
    encoded: Encoded,
}

impl BestBytes {
    pub(crate) fn new(data_type: &DataType, min: bool) -> Result<Self> {
        Ok(BestBytes {
            best: Slots::default(),
            codec: KeyCodec::new(std::slice::from_ref(data_type))?,
            min,
            encoded: Encoded::default(),
        })
    }

    fn add(&mut self, group: usize, value: &[u8]) -> Result<()> {
        let is_better = self.best.get(group).is_none_or(|best| match self.min {
            true => value < best,
            false => value > best,
        });
        match is_better {
            true => self.best.set(group, [value, &[]]),
            false => Ok(()),
        }
    }
}

impl States for BestBytes {
    fn width(&self) -> usize {
        Slots::WIDTH
    }

    fn reserve(&mut self, groups: usize) {
        self.best.reserve(groups);
    }

    fn resize(&mut self, groups: usize) {
        self.best.resize(groups);
    }

    fn grows(&self) -> bool {
        true
    }

    fn heap_bytes(&self) -> usize {
        self.best.heap_bytes()
    }

    fn growth(&self, _: usize, bytes: usize) -> usize {
        self.best.growth(bytes)
    }

    fn grow(&mut self, _: usize, bytes: usize) {
        self.best.grow(bytes);
    }

    fn prepare(&mut self, args: &[ArrayRef]) -> Result<(usize, usize)> {
        self.encoded = Encoded::of(args, &self.codec, None)?;
        Ok(self.encoded.size())
    }

    fn update(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()> {
        let encoded = std::mem::take(&mut self.encoded);
        let mut added = Ok(());
        each_row(valid(args).as_ref(), 0..rows.groups.len(), |row| {
            if added.is_ok() {
                let value = encoded.value(row);
                added = value.and_then(|value| self.add(rows.groups[row] as usize, value.data()));
            }
        });
        added
    }

    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        // a value has a byte at least: whether it is null
        self.best.write(group, out)
    }

    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)> {
        Slots::added_by(state)
    }

    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()> {
        match Slots::read(state)? {
            None => Ok(()),
            Some(value) => self.add(group, value),
        }
    }

    fn group_bytes(&self, group: usize) -> usize {
        self.best.len(group)
    }

    fn finish(&self, groups: &[u32]) -> Result<ArrayRef> {
        let null = self.codec.null()?;
        let best = groups.iter().map(|&group| self.best.get(group as usize));
        let rows = best.map(|best| best.unwrap_or(null.as_ref()));
        let column = self.codec.decode(rows)?.into_iter().next();
        column.ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    use super::super::stamp;
    use super::*;

    #[test]
    fn a_group_without_values_has_none() {
        let groups = [0, 0, 1];
        let rows = Rows {
            groups: &groups,
            runs: &[(3, stamp(0, 0))],
        };
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(-3), Some(2), None]));
        let mut least = Best::<Int64Type>::new(&DataType::Int64, true);
        least.resize(2);
        least.update(rows, &[numbers]).unwrap();
        let least = least.finish(&[1, 0]).unwrap();
        assert_eq!(*least, Int64Array::from(vec![None, Some(-3)]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), Some("bb"), None]));
        let mut greatest = BestBytes::new(&DataType::Utf8, false).unwrap();
        greatest.resize(2);
        let (values, bytes) = greatest.prepare(std::slice::from_ref(&texts)).unwrap();
        greatest.grow(values, bytes);
        greatest.update(rows, &[texts]).unwrap();
        let greatest = greatest.finish(&[1, 0]).unwrap();
        assert_eq!(*greatest, StringArray::from(vec![None, Some("bb")]));
    }
}
