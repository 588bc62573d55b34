//! Rows, and window functions over them by plain loops.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use flagstone_frame::DataFrame;

/// Numbers that look random and are the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match self.below(10) {
            0 => None,
            _ => Some(value(self)),
        }
    }
}

/// A row: a key of a window partition, one of an order, values, and its place.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) k: Option<i64>,
    pub(crate) o: Option<i64>,
    pub(crate) v: Option<i64>,
    pub(crate) f: Option<f64>,
    pub(crate) t: Option<String>,
    pub(crate) id: i64,
}

/// So many rows, of so many window partitions and so many keys of an order.
pub(crate) fn rows(count: usize, parts: u64, orders: u64, seed: u64) -> Vec<Row> {
    let mut random = Random(seed | 1);
    let row = |id| Row {
        k: random.maybe(|random| random.below(parts) as i64),
        o: random.maybe(|random| random.below(orders) as i64),
        v: random.maybe(|random| random.below(1000) as i64 - 500),
        // halves: their sums are exact in any order
        f: random.maybe(|random| random.below(1000) as f64 / 2.0),
        t: random.maybe(|random| format!("text {}", random.below(50))),
        id,
    };
    (0..count as i64).map(row).collect()
}

/// The rows as a frame of so many partitions.
pub(crate) fn frame(rows: &[Row], partitions: usize) -> DataFrame {
    let made = partitions.max(1);
    let batches = (0..made).map(|at| {
        let own = &rows[rows.len() * at / made..rows.len() * (at + 1) / made];
        let ints = |of: fn(&Row) -> Option<i64>| -> ArrayRef {
            Arc::new(own.iter().map(of).collect::<Int64Array>())
        };
        let floats: Float64Array = own.iter().map(|row| row.f).collect();
        let texts: StringArray = own.iter().map(|row| row.t.as_deref()).collect();
        let columns = [
            ("k", ints(|row| row.k), true),
            ("o", ints(|row| row.o), true),
            ("v", ints(|row| row.v), true),
            ("f", Arc::new(floats) as ArrayRef, true),
            ("t", Arc::new(texts) as ArrayRef, true),
            ("id", ints(|row| Some(row.id)), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    });
    let batches: Vec<RecordBatch> = batches.collect();
    DataFrame::from_batches(batches[0].schema(), batches)
}

/// A value of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Float(f64),
    Text(String),
}

impl From<Option<i64>> for Cell {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Cell::Null, Cell::Int)
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Cell::Null, Cell::Float)
    }
}

impl From<Option<String>> for Cell {
    fn from(value: Option<String>) -> Self {
        value.map_or(Cell::Null, Cell::Text)
    }
}

/// The values of a column.
pub(crate) fn cells(batch: &RecordBatch, name: &str) -> Vec<Cell> {
    let column = batch.column_by_name(name).unwrap();
    let cell = |row| {
        if column.is_null(row) {
            return Cell::Null;
        }
        match column.data_type() {
            DataType::Int64 => Cell::Int(column.as_primitive::<Int64Type>().value(row)),
            DataType::UInt64 => Cell::Int(column.as_primitive::<UInt64Type>().value(row) as i64),
            DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
            DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row).to_owned()),
            other => panic!("{other}"),
        }
    };
    (0..batch.num_rows()).map(cell).collect()
}

/// Where an order has its larger keys, and where its nulls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

impl Order {
    pub(crate) fn text(self) -> &'static str {
        match (self.descending, self.nulls_first) {
            (false, false) => "o ASC NULLS LAST",
            (false, true) => "o ASC NULLS FIRST",
            (true, false) => "o DESC NULLS LAST",
            (true, true) => "o DESC NULLS FIRST",
        }
    }

    pub(crate) fn compare(self, a: &Row, b: &Row) -> Ordering {
        match (a.o, b.o) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) if self.nulls_first => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) if self.nulls_first => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) if self.descending => b.cmp(&a),
            (Some(a), Some(b)) => a.cmp(&b),
        }
    }
}

/// The window partitions of some rows, in the order in which their rows come out.
pub(crate) fn partitions(rows: &[Row], order: Order) -> Vec<Vec<Row>> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| a.k.cmp(&b.k).then_with(|| order.compare(a, b)));
    let mut parts: Vec<Vec<Row>> = Vec::new();
    for row in sorted {
        match parts.last_mut() {
            Some(part) if part[0].k == row.k => part.push(row),
            _ => parts.push(vec![row]),
        }
    }
    parts
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Units {
    Rows,
    Range,
    Groups,
}

/// A frame: offsets of its edges, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) units: Units,
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
}

impl Spec {
    pub(crate) fn text(self) -> String {
        let edge = |offset: Option<i64>, side: &str| match offset {
            None => format!("UNBOUNDED {side}"),
            Some(0) => "CURRENT ROW".to_owned(),
            Some(offset) if offset < 0 => format!("{} PRECEDING", -offset),
            Some(offset) => format!("{offset} FOLLOWING"),
        };
        let (start, end) = (edge(self.start, "PRECEDING"), edge(self.end, "FOLLOWING"));
        let units = format!("{:?}", self.units).to_uppercase();
        format!("{units} BETWEEN {start} AND {end}")
    }

    /// Whether a row of a window partition is in the frame of another.
    fn has(self, part: &[Row], groups: &[i64], order: Order, of: usize, row: usize) -> bool {
        let is_between = |distance: i64| {
            self.start.is_none_or(|start| distance >= start)
                && self.end.is_none_or(|end| distance <= end)
        };
        match self.units {
            Units::Rows => is_between(row as i64 - of as i64),
            Units::Groups => is_between(groups[row] - groups[of]),
            Units::Range => match (part[of].o, part[row].o) {
                (Some(own), Some(other)) => {
                    let distance = other - own;
                    is_between(if order.descending {
                        -distance
                    } else {
                        distance
                    })
                }
                (None, None) => true,
                // a null is no distance away, but where there is no edge on its side
                (None, Some(_)) | (Some(_), None) => match row < of {
                    true => self.start.is_none(),
                    false => self.end.is_none(),
                },
            },
        }
    }
}

/// The frame of each row of a window partition: places in it.
pub(crate) fn frames_of(part: &[Row], order: Order, spec: Spec) -> Vec<Vec<usize>> {
    let mut groups = vec![0; part.len()];
    for row in 1..part.len() {
        let is_new = order.compare(&part[row - 1], &part[row]).is_ne();
        groups[row] = groups[row - 1] + i64::from(is_new);
    }
    let all = 0..part.len();
    let frame = |of| {
        let has = |&row: &usize| spec.has(part, &groups, order, of, row);
        all.clone().filter(has).collect()
    };
    (0..part.len()).map(frame).collect()
}
