//! All values of a group: as a list or a text, or for what has to see all of them in order.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, ListArray, StringBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Float64Type};
use flagstone_common::{Error, ErrorKind, Result};

use super::chains::Chains;
use super::first::{key_of, write_before};
use super::{Encoded, Fields, Rows, States};
use crate::error::arrow_error;
use crate::kernels::key::KeyCodec;
use crate::kernels::values::each_row;

/// What the values of a group become.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// A list of all of them, of this field.
    List(FieldRef),
    /// All texts, with this between them.
    Text(String),
    /// The value at this part of the way from the least to the greatest, between two where it falls
    /// between them.
    Quantile(f64),
    /// The value that is there most often; the least of several.
    Mode,
}

/// The values of each group, in the order of the rows or in one that is asked for.
pub(crate) struct Collected {
    values: Chains,
    value: KeyCodec,
    order: Option<KeyCodec>,
    outcome: Outcome,
    skip_nulls: bool,
    encoded: Encoded,
    data_type: DataType,
}

impl Collected {
    pub(crate) fn new(
        data_type: &DataType,
        order: &[(DataType, SortOptions)],
        outcome: Outcome,
        skip_nulls: bool,
    ) -> Result<Self> {
        let order = match outcome {
            Outcome::List(_) | Outcome::Text(_) => KeyCodec::ordered(order)?,
            // they put the values in order themselves
            Outcome::Quantile(_) | Outcome::Mode => None,
        };
        let types = std::slice::from_ref(data_type);
        let value = match outcome {
            Outcome::List(_) | Outcome::Text(_) => KeyCodec::plain(types)?,
            Outcome::Quantile(_) | Outcome::Mode => KeyCodec::new(types)?,
        };
        Ok(Collected {
            values: Chains::default(),
            value,
            order,
            outcome,
            skip_nulls,
            encoded: Encoded::default(),
            data_type: data_type.clone(),
        })
    }

    /// The values of a group, in their order.
    fn of(&self, group: usize) -> Result<Vec<&[u8]>> {
        if self.order.is_none() {
            return Ok(self.values.iter(group).collect());
        }
        let keyed = self.values.iter(group).map(key_of);
        let mut keyed = keyed.collect::<Result<Vec<_>>>()?;
        keyed.sort_by_key(|(key, _)| *key);
        Ok(keyed.into_iter().map(|(_, value)| value).collect())
    }

    fn decode<'v>(&self, values: impl Iterator<Item = &'v [u8]>) -> Result<ArrayRef> {
        let column = self.value.decode(values)?.into_iter().next();
        column.ok_or_else(|| Error::bug("values have no column"))
    }

    /// All values of all groups, and where those of each end.
    fn all(&self, groups: &[u32]) -> Result<(ArrayRef, Vec<usize>)> {
        let (mut all, mut ends) = (Vec::new(), Vec::with_capacity(groups.len()));
        for &group in groups {
            all.extend(self.of(group as usize)?);
            ends.push(all.len());
        }
        Ok((self.decode(all.into_iter())?, ends))
    }

    fn lists(&self, field: &FieldRef, groups: &[u32]) -> Result<ArrayRef> {
        let (values, ends) = self.all(groups)?;
        let values = match values.data_type() == field.data_type() {
            true => values,
            false => cast(&values, field.data_type()).map_err(arrow_error)?,
        };
        if i32::try_from(values.len()).is_err() {
            let message = "a list has more than 2147483647 values: group by more keys";
            return Err(Error::new(ErrorKind::Failed, message));
        }
        let lens = groups.iter().map(|&group| self.values.len(group as usize));
        let nulls: NullBuffer = lens.map(|len| len > 0).collect();
        let starts = std::iter::once(0).chain(ends);
        let offsets = OffsetBuffer::new(starts.map(|end| end as i32).collect());
        let lists = ListArray::try_new(Arc::clone(field), offsets, values, Some(nulls));
        Ok(Arc::new(lists.map_err(arrow_error)?))
    }

    fn texts(&self, between: &str, groups: &[u32]) -> Result<ArrayRef> {
        let (values, ends) = self.all(groups)?;
        let values = cast(&values, &DataType::LargeUtf8).map_err(arrow_error)?;
        let values = values.as_string::<i64>();
        let (mut texts, mut text) = (StringBuilder::new(), String::new());
        let mut start = 0;
        for end in ends {
            text.clear();
            for at in start..end {
                if at > start {
                    text.push_str(between);
                }
                text.push_str(values.value(at));
            }
            match start == end {
                true => texts.append_null(),
                false => texts.append_value(&text),
            }
            start = end;
        }
        Ok(Arc::new(texts.finish()))
    }

    fn modes(&self, groups: &[u32]) -> Result<ArrayRef> {
        let null = self.value.null()?;
        let mut modes = Vec::with_capacity(groups.len());
        for &group in groups {
            let mut values = self.of(group as usize)?;
            values.sort_unstable();
            let runs = values.chunk_by(|a, b| a == b);
            // the first of those that are as long
            let mode = runs.reduce(|best, run| if run.len() > best.len() { run } else { best });
            modes.push(mode.map_or(null.as_ref(), |run| run[0]));
        }
        self.decode(modes.into_iter())
    }

    fn quantiles(&self, part: f64, groups: &[u32]) -> Result<ArrayRef> {
        let null = self.value.null()?;
        let (mut low, mut high) = (Vec::new(), Vec::new());
        let mut weights = Vec::with_capacity(groups.len());
        for &group in groups {
            let mut values = self.of(group as usize)?;
            values.sort_unstable();
            let place = part * values.len().saturating_sub(1) as f64;
            let at = |place: f64| values.get(place as usize).copied();
            low.push(at(place.floor()).unwrap_or(null.as_ref()));
            high.push(at(place.ceil()).unwrap_or(null.as_ref()));
            weights.push(place - place.floor());
        }
        let low = self.decode(low.into_iter())?;
        let high = self.decode(high.into_iter())?;
        if let DataType::Decimal128(digits, scale) = self.data_type
            && part == 0.5
        {
            let decimals = |column: &ArrayRef| column.as_primitive::<Decimal128Type>().clone();
            let middles: Decimal128Array = super::sum::middle(&decimals(&low), &decimals(&high));
            let middles = middles.with_precision_and_scale(digits, scale);
            return Ok(Arc::new(middles.map_err(arrow_error)?));
        }
        let floats = |column: &ArrayRef| {
            let floats = cast(column, &DataType::Float64).map_err(arrow_error);
            floats.map(|floats| floats.as_primitive::<Float64Type>().clone())
        };
        let (low, high) = (floats(&low)?, floats(&high)?);
        let between = |((low, high), weight): ((Option<f64>, Option<f64>), f64)| {
            Some(between(low?, high?, weight))
        };
        let values = low.iter().zip(&high).zip(weights).map(between);
        let values: ArrayRef = Arc::new(values.collect::<Float64Array>());
        match self.data_type.is_floating() {
            true => cast(&values, &self.data_type).map_err(arrow_error),
            false => Ok(values),
        }
    }
}

/// What lies at a part of the way from one number to another.
fn between(low: f64, high: f64, weight: f64) -> f64 {
    match weight {
        // an infinity less itself is no number
        0.0 => low,
        0.5 => low / 2.0 + high / 2.0,
        _ => low + (high - low) * weight,
    }
}

impl States for Collected {
    fn width(&self) -> usize {
        Chains::WIDTH
    }

    fn reserve(&mut self, groups: usize) {
        self.values.reserve(groups);
    }

    fn resize(&mut self, groups: usize) {
        self.values.resize(groups);
    }

    fn grows(&self) -> bool {
        true
    }

    fn heap_bytes(&self) -> usize {
        self.values.heap_bytes()
    }

    fn growth(&self, values: usize, bytes: usize) -> usize {
        self.values.growth(values, bytes)
    }

    fn grow(&mut self, values: usize, bytes: usize) {
        self.values.grow(values, bytes);
    }

    fn prepare(&mut self, args: &[ArrayRef]) -> Result<(usize, usize)> {
        self.encoded = Encoded::of(args, &self.value, self.order.as_ref())?;
        Ok(self.encoded.size())
    }

    fn update(&mut self, rows: Rows<'_>, args: &[ArrayRef]) -> Result<()> {
        let encoded = std::mem::take(&mut self.encoded);
        let nulls = match self.skip_nulls {
            true => args.first().and_then(|arg| arg.logical_nulls()),
            false => None,
        };
        let (mut added, mut before) = (Ok(()), Vec::new());
        each_row(nulls.as_ref(), 0..rows.groups.len(), |row| {
            if added.is_err() {
                return;
            }
            added = encoded.value(row).and_then(|value| {
                let group = rows.groups[row] as usize;
                let Some(key) = encoded.key(row) else {
                    return self.values.push(group, value.data());
                };
                write_before(&mut before, key.data());
                self.values.push_parts(group, &before, value.data())
            });
        });
        added
    }

    fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        self.values.write(group, out)
    }

    fn write_part(&self, group: usize, from: u32, out: &mut dyn Write) -> io::Result<Option<u32>> {
        self.values.write_part(group, from, out)
    }

    fn added_by(&self, state: &mut Fields<'_>) -> Result<(usize, usize)> {
        Chains::added_by(state)
    }

    fn merge(&mut self, group: usize, state: &mut Fields<'_>) -> Result<()> {
        Chains::read(state, |text| self.values.push(group, text))
    }

    fn group_bytes(&self, group: usize) -> usize {
        self.values.bytes(group)
    }

    fn finish(&self, groups: &[u32]) -> Result<ArrayRef> {
        match &self.outcome {
            Outcome::List(field) => self.lists(field, groups),
            Outcome::Text(between) => self.texts(between, groups),
            Outcome::Quantile(part) => self.quantiles(*part, groups),
            Outcome::Mode => self.modes(groups),
        }
    }
}
