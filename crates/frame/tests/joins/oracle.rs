//! Rows as texts, and joins of them by nested loops.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, DictionaryArray, Float64Array,
    Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use flagstone_common::TaskContext;
use flagstone_frame::{DataFrame, Error, JoinType, JoinType::*, PartitionSource, Result, Scan};
use flagstone_graph::{Flow, Inputs, ended};

/// Numbers that look random and are the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn maybe<T>(&mut self, nulls: u64, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match self.below(100) < nulls {
            true => None,
            false => Some(value(self)),
        }
    }
}

/// The kinds of keys that rows are joined by.
pub(crate) const KEYS: [&str; 10] = [
    "int", "text", "view", "float", "bool", "date", "word", "bytes", "list", "object",
];

/// A column of so many different keys and some nulls.
fn keys(kind: &str, rows: usize, keys: u64, nulls: u64, random: &mut Random) -> ArrayRef {
    let numbers: Vec<Option<u64>> = (0..rows)
        .map(|_| random.maybe(nulls, |random| random.below(keys)))
        .collect();
    let numbers = numbers.into_iter();
    let text = |number: u64| match number {
        0 => String::new(),
        number => format!("{}{number}", "key ".repeat(1 + number as usize % 9)),
    };
    match kind {
        "int" => Arc::new(
            numbers
                .map(|n| n.map(|n| n as i64 - 3))
                .collect::<Int64Array>(),
        ),
        "text" => Arc::new(numbers.map(|n| n.map(text)).collect::<StringArray>()),
        "view" => Arc::new(numbers.map(|n| n.map(text)).collect::<StringViewArray>()),
        "float" => {
            let values = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY];
            let float = |n: u64| values.get(n as usize).copied().unwrap_or(n as f64 / 2.0);
            Arc::new(numbers.map(|n| n.map(float)).collect::<Float64Array>())
        }
        "bool" => Arc::new(
            numbers
                .map(|n| n.map(|n| n % 2 == 0))
                .collect::<BooleanArray>(),
        ),
        "date" => Arc::new(
            numbers
                .map(|n| n.map(|n| n as i32 * 400))
                .collect::<Date32Array>(),
        ),
        "word" => {
            let words: Vec<Option<String>> = numbers.map(|n| n.map(text)).collect();
            let words = words.iter().map(Option::as_deref);
            Arc::new(words.collect::<DictionaryArray<Int32Type>>())
        }
        "bytes" => Arc::new(
            numbers
                .map(|n| n.map(|n| text(n).into_bytes()))
                .collect::<BinaryArray>(),
        ),
        "list" => Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(
            numbers.map(|n| {
                n.map(|n| {
                    (0..n % 4)
                        .map(|i| (i != 2).then_some(n as i32))
                        .collect::<Vec<_>>()
                })
            }),
        )),
        "object" => {
            let numbers: Vec<Option<u64>> = numbers.collect();
            let nulls: Vec<bool> = numbers.iter().map(Option::is_some).collect();
            let texts = numbers.iter().map(|n| n.map(text)).collect::<StringArray>();
            let ints = numbers
                .iter()
                .map(|n| n.map(|n| n as i32 / 2))
                .collect::<Int32Array>();
            let fields = vec![
                Field::new("t", DataType::Utf8, true),
                Field::new("i", DataType::Int32, true),
            ];
            let columns: Vec<ArrayRef> = vec![Arc::new(texts), Arc::new(ints)];
            Arc::new(StructArray::new(fields.into(), columns, Some(nulls.into())))
        }
        _ => panic!("no such kind of key"),
    }
}

/// What a side of a join is made of.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) kind: &'static str,
    pub(crate) rows: usize,
    pub(crate) keys: u64,
    pub(crate) nulls: u64,
    pub(crate) partitions: usize,
    /// What texts have beside their place.
    pub(crate) text_bytes: usize,
}

/// The rows of one side of a join.
pub(crate) struct Side {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
}

impl Side {
    /// A frame that says how large it is: it is kept in memory where it is small.
    pub(crate) fn told(&self) -> DataFrame {
        DataFrame::from_batches(self.schema.clone(), self.batches.clone())
    }

    /// A frame that does not say how large it is: it is dealt out.
    pub(crate) fn untold(&self) -> DataFrame {
        DataFrame::from_source(Arc::new(Untold {
            schema: self.schema.clone(),
            batches: self.batches.clone(),
        }))
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        texts(&self.batches)
    }
}

/// One partition a batch.
struct Untold {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl PartitionSource for Untold {
    fn name(&self) -> &str {
        "untold"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.batches.len() as u32
    }

    fn stream(
        &self,
        partition: u32,
        _: Inputs<'_>,
        scan: &Scan,
        _: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let batch = self.batches[partition as usize].project(&scan.columns);
        let batch = batch.map_err(Error::failed)?;
        ended(
            (0..batch.num_rows())
                .step_by(1000)
                .try_for_each(|start| each(batch.slice(start, 1000.min(batch.num_rows() - start)))),
        )
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        0
    }
}

/// Batches with the columns `k` (of some kind), `b` (a second key), `v` (a number) and `t` (a text).
pub(crate) fn side(shape: Shape, seed: u64) -> Side {
    let mut random = Random(seed | 1);
    let Shape {
        kind,
        rows,
        keys: count,
        nulls,
        partitions,
        text_bytes,
    } = shape;
    let made = partitions.max(1);
    let batch = |partition: usize| {
        let rows = rows * (partition + 1) / made - rows * partition / made;
        let k = keys(kind, rows, count, nulls, &mut random);
        let b = keys("int", rows, 3, nulls, &mut random);
        let v: Int64Array = (0..rows)
            .map(|_| random.maybe(10, |random| random.below(100) as i64))
            .collect();
        let place = |row: usize| format!("{seed}/{partition}/{row}{}", ".".repeat(text_bytes));
        let t: StringArray = (0..rows).map(|row| Some(place(row))).collect();
        let columns = [
            ("k", k, true),
            ("b", b, true),
            ("v", Arc::new(v) as ArrayRef, true),
            ("t", Arc::new(t) as ArrayRef, true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let batches: Vec<RecordBatch> = (0..made).map(batch).collect();
    let schema = batches[0].schema();
    let batches = match partitions {
        0 => Vec::new(),
        _ => batches,
    };
    Side { schema, batches }
}

/// A row as texts; `None` is null.
pub(crate) type Row = Vec<Option<String>>;

/// The rows of some batches, in their order.
pub(crate) fn texts<'b>(batches: impl IntoIterator<Item = &'b RecordBatch>) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in batches {
        let options = FormatOptions::default().with_null("null");
        let formatters: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let columns = batch.columns().iter().zip(&formatters);
            rows.push(
                columns
                    .map(|(column, formatter)| {
                        let nulls = column.logical_nulls();
                        let is_valid = nulls.is_none_or(|nulls| nulls.is_valid(row));
                        is_valid.then(|| formatter.value(row).to_string())
                    })
                    .collect(),
            );
        }
    }
    rows
}

/// Whether two rows belong together, by keys and condition.
pub(crate) type Belongs<'a> = &'a dyn Fn(&Row, &Row) -> bool;

/// Keys that are equal, and not null: what floats there are is compared as people do.
pub(crate) fn equal(left: &Option<String>, right: &Option<String>) -> bool {
    let plain = |key: &str| match key {
        "-0.0" => "0.0".to_owned(),
        key => key.to_owned(),
    };
    match (left, right) {
        (Some(left), Some(right)) => plain(left) == plain(right),
        _ => false,
    }
}

/// A join of rows by nested loops: left columns, then right ones.
pub(crate) fn nested(
    join_type: JoinType,
    left: &[Row],
    right: &[Row],
    widths: (usize, usize),
    belongs: Belongs<'_>,
) -> Vec<Row> {
    let mut out = Vec::new();
    let mut met = vec![false; right.len()];
    let none = |width| vec![None; width];
    for l in left {
        let mut matched = false;
        for (at, r) in right.iter().enumerate() {
            if belongs(l, r) {
                (matched, met[at]) = (true, true);
                if matches!(join_type, Inner | Left | Right | Full) {
                    out.push([l.clone(), r.clone()].concat());
                }
            }
        }
        match join_type {
            Left | Full if !matched => out.push([l.clone(), none(widths.1)].concat()),
            LeftSemi if matched => out.push(l.clone()),
            LeftAnti if !matched => out.push(l.clone()),
            _ => {}
        }
    }
    for (r, met) in right.iter().zip(met) {
        match join_type {
            Right | Full if !met => out.push([none(widths.0), r.clone()].concat()),
            RightSemi if met => out.push(r.clone()),
            RightAnti if !met => out.push(r.clone()),
            _ => {}
        }
    }
    out
}

/// All kinds of joins that a frame offers.
pub(crate) const TYPES: [JoinType; 8] = [
    Inner, Left, Right, Full, LeftSemi, RightSemi, LeftAnti, RightAnti,
];
