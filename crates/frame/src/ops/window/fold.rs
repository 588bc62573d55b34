//! Functions that make one value of all rows of a frame.

use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, UInt32Array, new_null_array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use flagstone_common::{Error, ErrorKind, Lease, Result};

use super::Frame;
use super::cursor::Cursor;
use super::derived::converter;
use super::edge::{Edge, Finder, Found};
use super::evaluation::Evaluate;
use super::integers::{self, integer};
use super::log::Log;
use super::tree::Tree;
use crate::error::arrow_error;
use crate::kernels::key::canonical;

/// Means of decimals have four digits more than what they are of, if there is room for these.
const DECIMAL_SCALE_MAX: i8 = 34;
const DECIMAL_MEAN_UNITS: i128 = 10_000;

/// What is made of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    Count,
    Sum,
    Mean,
    Min,
    Max,
}

/// How values of a type are folded: as numbers, or (the least and largest of them) as bytes; `None`
/// where they are not.
pub(crate) fn folds(fold: Fold, data_type: &DataType) -> Option<bool> {
    let is_number = data_type.is_integer()
        || matches!(
            data_type,
            DataType::Float32 | DataType::Float64 | DataType::Decimal128(..)
        );
    match fold {
        Fold::Count => Some(false),
        Fold::Sum => is_number.then_some(false),
        Fold::Mean => {
            let has_room = matches!(data_type, DataType::Decimal128(_, ..=DECIMAL_SCALE_MAX));
            (has_room || *data_type == DataType::Float64).then_some(false)
        }
        Fold::Min | Fold::Max => match is_number || integers::width(data_type).is_some() {
            true => Some(false),
            false => converter(data_type).is_ok().then_some(true),
        },
    }
}

/// A value that is folded.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Int(i128),
    Float(f64),
    Bytes(Rc<[u8]>),
}

/// What some rows are together.
#[derive(Debug, Clone, Default)]
pub(super) struct Partial {
    /// How many of them are not null.
    pub(super) count: u64,
    pub(super) value: Option<Value>,
}

impl Partial {
    /// One row.
    pub(super) fn of(value: Value) -> Self {
        Partial {
            count: 1,
            value: Some(value),
        }
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> u64 {
        let own = match &self.value {
            Some(Value::Bytes(bytes)) => bytes.len() + 16,
            _ => 0,
        };
        (size_of::<Self>() + own) as u64
    }

    /// Adds rows that come behind.
    pub(super) fn add(&mut self, other: &Partial, fold: Fold) -> Result<()> {
        self.count += other.count;
        let Some(value) = &other.value else {
            return Ok(());
        };
        let Some(own) = &mut self.value else {
            self.value = Some(value.clone());
            return Ok(());
        };
        let order = match (&mut *own, value) {
            (Value::Int(own), Value::Int(value)) => {
                if matches!(fold, Fold::Sum | Fold::Mean) {
                    *own = own.checked_add(*value).ok_or_else(too_large)?;
                    return Ok(());
                }
                (*value).cmp(own)
            }
            (Value::Float(own), Value::Float(value)) => {
                if matches!(fold, Fold::Sum | Fold::Mean) {
                    *own += value;
                    return Ok(());
                }
                value.total_cmp(own)
            }
            (Value::Bytes(own), Value::Bytes(value)) => value.as_ref().cmp(own),
            _ => return Err(Error::bug("values of a window are of different kinds")),
        };
        let wanted = match fold {
            Fold::Min => Ordering::Less,
            _ => Ordering::Greater,
        };
        if order == wanted {
            *own = value.clone();
        }
        Ok(())
    }
}

/// Folds the frames of one row after the other.
pub(super) struct Folding {
    fold: Fold,
    values: Values,
    start: Finder,
    end: Finder,
    /// Whether frames begin where the window partition does.
    is_running: bool,
    first: u64,
    /// The rows before were added.
    at: u64,
    adding: Cursor,
    running: Partial,
    tree: Tree,
    /// Where the last frame began and ended, and what it was.
    last: Option<(u64, u64)>,
    value: Partial,
    out: Vec<Option<Value>>,
    data_type: DataType,
}

impl Folding {
    pub(super) fn new(
        (fold, column): (Fold, usize),
        frame: Frame,
        groups: usize,
        data_type: &DataType,
        lease: Lease,
    ) -> Self {
        Folding {
            fold,
            values: Values {
                fold,
                column,
                head: Cursor::default(),
                tail: Cursor::default(),
            },
            start: Finder::new(frame.start, false, groups),
            end: Finder::new(frame.end, true, groups),
            is_running: frame.start == Edge::Unbounded,
            first: 0,
            at: 0,
            adding: Cursor::default(),
            running: Partial::default(),
            tree: Tree::new(fold, lease),
            last: None,
            value: Partial::default(),
            out: Vec::new(),
            data_type: data_type.clone(),
        }
    }

    fn result(&self, partial: &Partial) -> Result<Option<Value>> {
        Ok(match (self.fold, &partial.value) {
            (Fold::Count, _) => Some(Value::Int(i128::from(partial.count))),
            (Fold::Mean, Some(Value::Float(sum))) => Some(Value::Float(sum / partial.count as f64)),
            (Fold::Mean, Some(Value::Int(sum))) => {
                let sum = sum.checked_mul(DECIMAL_MEAN_UNITS).ok_or_else(too_large)?;
                Some(Value::Int(sum / i128::from(partial.count)))
            }
            (_, value) => value.clone(),
        })
    }
}

impl Evaluate for Folding {
    fn start(&mut self, row: u64) {
        self.start.start(row);
        self.end.start(row);
        (self.first, self.at, self.last) = (row, row, None);
        self.running = Partial::default();
        self.tree.clear();
    }

    fn step(&mut self, log: &Log<'_>, row: u64, end: Option<u64>) -> Result<bool> {
        let (to, is_known) = match self.end.find(log, row, end)? {
            Found::At(to) => (to, true),
            Found::From(to) => (to, false),
        };
        while self.at < to {
            let (column, at) = self.adding.column(log, self.at, self.values.column)?;
            let value = read(column, at, self.fold)?;
            match self.is_running {
                true => self.running.add(&value, self.fold)?,
                false => self.tree.push(value)?,
            }
            self.at += 1;
        }
        if !is_known {
            return Ok(false);
        }
        if self.is_running {
            let result = self.result(&self.running)?;
            self.out.push(result);
            return Ok(true);
        }
        let Found::At(from) = self.start.find(log, row, end)? else {
            return Ok(false);
        };
        let from = from.min(to);
        if self.last != Some((from, to)) {
            let (first, values) = (self.first, &mut self.values);
            self.tree.forget(from - first);
            values.trail(from);
            let row = |row| values.get(log, first + row);
            self.value = self.tree.fold(from - first, to - first, row)?;
            self.last = Some((from, to));
        }
        let result = self.result(&self.value)?;
        self.out.push(result);
        Ok(true)
    }

    fn results(&mut self) -> Result<ArrayRef> {
        let out = std::mem::take(&mut self.out);
        column(out, self.fold, &self.data_type)
    }

    fn reads_from(&mut self, _: &Log<'_>, _: u64) -> Result<u64> {
        let edges = self.start.reads_from().min(self.end.reads_from());
        let moving = match (self.is_running, self.last) {
            (true, _) => u64::MAX,
            (false, Some((from, _))) => from,
            (false, None) => self.first,
        };
        Ok(edges.min(moving).min(self.at))
    }
}

/// Reads the values of a frame that are in no block: those at its head, and those at its tail.
struct Values {
    fold: Fold,
    column: usize,
    head: Cursor,
    tail: Cursor,
}

impl Values {
    /// No rows before this one are read any more.
    fn trail(&mut self, row: u64) {
        if !self.head.has(row) && self.tail.has(row) {
            std::mem::swap(&mut self.head, &mut self.tail);
        }
    }

    fn get(&mut self, log: &Log<'_>, row: u64) -> Result<Partial> {
        let is_head = self.head.has(row) || self.head.start().is_none_or(|start| row < start);
        let cursor = match is_head {
            true => &mut self.head,
            false => &mut self.tail,
        };
        let (column, at) = cursor.column(log, row, self.column)?;
        read(column, at, self.fold)
    }
}

/// The value of a row.
fn read(column: &ArrayRef, row: usize, fold: Fold) -> Result<Partial> {
    if column.is_null(row) || *column.data_type() == DataType::Null {
        return Ok(Partial::default());
    }
    if fold == Fold::Count {
        return Ok(Partial {
            count: 1,
            value: None,
        });
    }
    // the least value, and the largest, are those of keys: one zero, and one that is no number
    let float = |value: f64| match fold {
        Fold::Min | Fold::Max => canonical(value),
        _ => value,
    };
    Ok(Partial::of(match column.data_type() {
        DataType::Float64 => Value::Float(float(column.as_primitive::<Float64Type>().value(row))),
        DataType::Float32 => {
            let value = column.as_primitive::<Float32Type>().value(row);
            Value::Float(float(value.into()))
        }
        DataType::Binary => Value::Bytes(column.as_binary::<i32>().value(row).into()),
        _ => Value::Int(integer(column, row)?),
    }))
}

/// Results as a column of their type.
fn column(values: Vec<Option<Value>>, fold: Fold, data_type: &DataType) -> Result<ArrayRef> {
    if let DataType::Float32 | DataType::Float64 = data_type {
        let floats = values.iter().map(|value| match value {
            Some(Value::Float(value)) => Some(*value),
            _ => None,
        });
        let floats: ArrayRef = Arc::new(floats.collect::<Float64Array>());
        return cast(&floats, data_type).map_err(arrow_error);
    }
    if integers::width(data_type).is_some() {
        let ints = values.into_iter().map(|value| match value {
            Some(Value::Int(value)) if fold != Fold::Sum || holds(data_type, value) => {
                Ok(Some(value))
            }
            Some(_) => Err(too_large()),
            None => Ok(None),
        });
        return integers::column(&ints.collect::<Result<Vec<_>>>()?, data_type);
    }
    let mut found: Vec<&[u8]> = Vec::new();
    let rows = values.iter().map(|value| match value {
        Some(Value::Bytes(bytes)) => {
            found.push(bytes);
            Some(found.len() as u32 - 1)
        }
        _ => None,
    });
    let rows: UInt32Array = rows.collect();
    if found.is_empty() {
        return Ok(new_null_array(data_type, rows.len()));
    }
    let converter = converter(data_type)?;
    let parser = converter.parser();
    let decoded = converter.convert_rows(found.iter().map(|bytes| parser.parse(bytes)));
    let decoded = decoded.map_err(arrow_error)?;
    let values = cast(&decoded[0], data_type).map_err(arrow_error)?;
    take(&values, &rows, None).map_err(arrow_error)
}

/// Whether a sum is one of the type.
fn holds(data_type: &DataType, sum: i128) -> bool {
    match data_type {
        DataType::UInt64 => u64::try_from(sum).is_ok(),
        DataType::Decimal128(precision, _) => {
            let end = 10u128.checked_pow(u32::from(*precision));
            end.is_none_or(|end| sum.unsigned_abs() < end)
        }
        _ => i64::try_from(sum).is_ok(),
    }
}

fn too_large() -> Error {
    let message =
        "a sum over a window is larger than its type holds; sum floats: sum(cast(x as double))";
    Error::new(ErrorKind::Failed, message)
}
