//! Arrays as columns of a dataframe, and columns as arrays.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Schema, SchemaRef, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use flagstone_array::{Array, Element, RowBlocks};
use flagstone_common::{Counter, Error, Result, TaskContext};
use flagstone_frame::{BATCH_ROWS, Bound, DataFrame, Partition, PartitionSource, Scan};
use flagstone_graph::{
    Block, Deps, Execute, Flow, Footprint, Graph, Inputs, Layer, Resources, SerialExecutor, Value,
    ended,
};
use ndarray::{Axis, Ix2};

use super::partition_rows;
use crate::session::Session;

mod sealed {
    pub trait Sealed {}
}

/// Types that both arrays and columns have.
#[diagnostic::on_unimplemented(
    message = "columns do not hold `{Self}`",
    note = "cast the array first: columns are of integers, floats and booleans"
)]
pub trait ColumnElement: Element + sealed::Sealed {
    #[doc(hidden)]
    const DATA_TYPE: DataType;

    #[doc(hidden)]
    fn column(values: &mut dyn Iterator<Item = Self>) -> ArrayRef;

    /// Writes the values of a column of this type to every `step`-th place; fails at a null that
    /// the type cannot hold, with its row.
    #[doc(hidden)]
    fn read(column: &ArrayRef, out: &mut [Self], step: usize) -> std::result::Result<(), usize>;
}

fn read_primitive<A: ArrowPrimitiveType>(
    column: &ArrayRef,
    out: &mut [A::Native],
    step: usize,
    null: Option<A::Native>,
) -> std::result::Result<(), usize> {
    let column = column.as_primitive::<A>();
    let places = out.iter_mut().step_by(step);
    for (row, (place, value)) in places.zip(column.values()).enumerate() {
        *place = match (column.is_null(row), null) {
            (false, _) => *value,
            (true, Some(null)) => null,
            (true, None) => return Err(row),
        };
    }
    Ok(())
}

macro_rules! column_elements {
    ($($native:ty, $arrow:ty, $variant:ident, $null:expr;)*) => {$(
        impl sealed::Sealed for $native {}

        impl ColumnElement for $native {
            const DATA_TYPE: DataType = DataType::$variant;

            fn column(values: &mut dyn Iterator<Item = Self>) -> ArrayRef {
                Arc::new(PrimitiveArray::<$arrow>::from_iter_values(values))
            }

            fn read(
                column: &ArrayRef,
                out: &mut [Self],
                step: usize,
            ) -> std::result::Result<(), usize> {
                read_primitive::<$arrow>(column, out, step, $null)
            }
        }
    )*};
}

column_elements! {
    f32, Float32Type, Float32, Some(f32::NAN);
    f64, Float64Type, Float64, Some(f64::NAN);
    i8, Int8Type, Int8, None;
    i16, Int16Type, Int16, None;
    i32, Int32Type, Int32, None;
    i64, Int64Type, Int64, None;
    u8, UInt8Type, UInt8, None;
    u16, UInt16Type, UInt16, None;
    u32, UInt32Type, UInt32, None;
    u64, UInt64Type, UInt64, None;
}

impl sealed::Sealed for bool {}

impl ColumnElement for bool {
    const DATA_TYPE: DataType = DataType::Boolean;

    fn column(values: &mut dyn Iterator<Item = Self>) -> ArrayRef {
        Arc::new(values.map(Some).collect::<BooleanArray>())
    }

    fn read(column: &ArrayRef, out: &mut [Self], step: usize) -> std::result::Result<(), usize> {
        let column = column.as_boolean();
        for (row, place) in out.iter_mut().step_by(step).take(column.len()).enumerate() {
            if column.is_null(row) {
                return Err(row);
            }
            *place = column.value(row);
        }
        Ok(())
    }
}

impl Session {
    /// An array of one axis as a column, or of two axes as a column for each place of the second,
    /// with these names. Rows are made as they are read; partitions have known lengths.
    ///
    /// ```
    /// # use flagstone::{Array, Session, col, lit};
    /// # let session = Session::builder().memory("64 MiB").build()?;
    /// let xy = Array::<i64>::arange(0, 10, 1).reshape(&[5, 2]);
    /// let frame = session.array_to_dataframe(&xy, ["x", "y"])?;
    /// let rows = session.compute(&frame.filter(col("y").gt(lit(4))))?;
    /// assert_eq!(rows.num_rows(), 3);
    /// # Ok::<(), flagstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, another number of axes, and another number of names
    /// than columns.
    #[track_caller]
    pub fn array_to_dataframe<T: ColumnElement, N: Into<String>>(
        &self,
        array: &Array<T>,
        names: impl IntoIterator<Item = N>,
    ) -> Result<DataFrame> {
        let array = array.compute_chunk_sizes(self)?;
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let columns = match array.shape() {
            [_] => 1,
            [_, columns] => *columns,
            shape => {
                let message = format!("an array of shape {shape:?} has no columns: 1 or 2 axes do");
                return Err(Error::invalid(message));
            }
        };
        if columns != names.len() {
            let message = format!(
                "{} names for {columns} columns: give each column one",
                names.len()
            );
            return Err(Error::invalid(message));
        }
        let field = |name: String| Field::new(name, T::DATA_TYPE, false);
        let schema = Schema::new(names.into_iter().map(field).collect::<Vec<_>>());
        let source = FromArray {
            array,
            resources: self.resources(),
            schema: Arc::new(schema),
            rows: None,
        };
        Ok(DataFrame::from_source(Arc::new(source)))
    }

    /// Columns of a dataframe as an array of shape `[rows, columns]`, of the type that is asked
    /// for; a null becomes NaN. How long the partitions are is counted now, in a run of its own.
    ///
    /// ```
    /// # use flagstone::{Array, Session};
    /// # let session = Session::builder().memory("64 MiB").build()?;
    /// let x = Array::<i64>::arange(0, 10, 1).reshape(&[5, 2]);
    /// let frame = session.array_to_dataframe(&x, ["x", "y"])?;
    /// let y = session.dataframe_to_array::<f64>(&frame, ["y"])?;
    /// assert_eq!(y.shape(), [5, 1]);
    /// assert_eq!(session.compute(&y.sum(..))?[[]], 25.0);
    /// # Ok::<(), flagstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`compute`](Self::compute), and a column that is not there, or of text. Values that the type cannot
    /// hold, and nulls where it has no NaN, fail the run of the array with their column and row.
    #[track_caller]
    pub fn dataframe_to_array<T: ColumnElement>(
        &self,
        frame: &DataFrame,
        columns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Array<T>> {
        let names: Vec<String> = columns.into_iter().map(Into::into).collect();
        let frame = frame.select(names.iter().map(flagstone_frame::col));
        for field in frame.planned_schema_with(self)?.fields() {
            let data_type = field.data_type();
            let is_text = data_type.is_string() || data_type.is_binary() || data_type.is_nested();
            if is_text {
                let message = format!(
                    "the column {:?} is {data_type}, and an array of {} is asked for; cast it to a \
                     number first (`cast`)",
                    field.name(),
                    T::DATA_TYPE
                );
                return Err(Error::invalid(message));
            }
        }
        let mut graph = Graph::new();
        let rows = frame.build(&mut graph, self)?;
        let count = graph.layer(rows).task_count();
        let counts = graph.push(RowCounts(count), &[rows]);
        let blocks = self.execute(&graph, &[counts])?.pop().unwrap_or_default();
        let length = |block: &Block| {
            let counted = block.downcast_ref::<Value<usize>>();
            let counted = counted.ok_or_else(|| Error::bug("not the rows of a partition"))?;
            Ok(counted.value)
        };
        let lengths = blocks.iter().map(length).collect::<Result<Vec<usize>>>()?;
        // its files are listed and sampled by now
        let push = move |graph: &mut Graph| frame.build(graph, &SerialExecutor);
        let width = names.len();
        let read = move |block: &Block, out: &mut [T]| {
            let rows = block.downcast_ref::<Partition>();
            let rows = rows.ok_or_else(|| Error::bug("not a block of a dataframe"))?;
            if rows.row_count() * width != out.len() {
                let message = "a partition of the dataframe changed since its rows were counted: leave its files alone while \
                     it is read";
                return Err(Error::failed(message));
            }
            let mut at = 0;
            for batch in &rows.batches {
                let out = &mut out[at * width..][..batch.num_rows() * width];
                for (i, name) in names.iter().enumerate() {
                    read_column(name, batch.column(i), &mut out[i..], width, at)?;
                }
                at += batch.num_rows();
            }
            Ok(())
        };
        Ok(Array::from_partitions(
            Some(&lengths),
            Some(width),
            push,
            read,
        ))
    }
}

fn read_column<T: ColumnElement>(
    name: &str,
    column: &ArrayRef,
    out: &mut [T],
    step: usize,
    rows_before: usize,
) -> Result<()> {
    let nulls = column.null_count();
    let typed = cast(column, &T::DATA_TYPE).map_err(Error::failed)?;
    let wanted = T::DATA_TYPE;
    if typed.null_count() > nulls {
        let lost = (0..typed.len()).find(|&row| typed.is_null(row) && !column.is_null(row));
        let row = rows_before + lost.unwrap_or(0);
        let from = column.data_type();
        let message = format!("row {row} of a partition: the {from} of {name:?} is no {wanted}");
        return Err(Error::failed(message));
    }
    T::read(&typed, out, step).map_err(|row| {
        let row = rows_before + row;
        let message = format!(
            "row {row} of a partition: {name:?} is null, which no {wanted} can be; fill it first, \
             or ask for f64"
        );
        Error::failed(message)
    })
}

/// How many rows each partition has.
struct RowCounts(u32);

impl Layer for RowCounts {
    fn name(&self) -> &str {
        "row-counts"
    }

    fn task_count(&self) -> u32 {
        self.0
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        deps.push(0, task);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(size_of::<usize>() as u64)
    }

    fn run(&self, _: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let (value, heap_bytes) = (inputs.get::<Partition>(0)?.row_count(), 0);
        Ok(Block::new(Value { value, heap_bytes }))
    }
}

/// The rows of an array as a source of batches.
struct FromArray<T: Element> {
    array: Array<T>,
    resources: Resources,
    schema: SchemaRef,
    /// Its blocks, once it is part of a graph.
    rows: Option<RowBlocks>,
}

impl<T: ColumnElement> PartitionSource for FromArray<T> {
    fn name(&self) -> &str {
        "from-array"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Option<Bound>> {
        let rows =
            self.array
                .push_rows(graph, self.resources, Some(partition_rows(&self.array)))?;
        let inputs = vec![rows.layer];
        let source = Arc::new(FromArray {
            array: self.array.clone(),
            resources: self.resources,
            schema: self.schema.clone(),
            rows: Some(rows),
        });
        Ok(Some(Bound { source, inputs }))
    }

    fn partition_count(&self) -> u32 {
        self.rows
            .as_ref()
            .map_or(0, |rows| rows.lengths.len() as u32)
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        deps.push(first, partition);
    }

    fn stream(
        &self,
        _: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let block = inputs.block(0)?;
        let values = Array::<T>::chunk_values(block)?;
        let length = values.shape()[0];
        let rows = values.into_shape_with_order((length, self.schema.fields().len()));
        let rows = rows.map_err(Error::failed)?;
        let schema = self.scan_schema(scan);
        ended((0..length).step_by(BATCH_ROWS).try_for_each(|start| {
            ctx.check_cancelled()?;
            let end = length.min(start + BATCH_ROWS);
            let _lease = ctx.reserve(batch_bytes::<T>(end - start, scan.columns.len()))?;
            let part = rows.slice_axis(Axis(0), (start..end).into());
            let part = part.into_dimensionality::<Ix2>().map_err(Error::failed)?;
            let column = |&at: &usize| T::column(&mut part.column(at).iter().copied());
            let columns = scan.columns.iter().map(column).collect();
            let options = arrow::array::RecordBatchOptions::new();
            let options = options.with_row_count(Some(end - start));
            let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options);
            ctx.count(Counter::RowsIn, (end - start) as u64);
            each(batch.map_err(Error::failed)?)
        }))
    }

    fn scratch_bytes(&self, _: u32, scan: &Scan) -> u64 {
        batch_bytes::<T>(BATCH_ROWS, scan.columns.len())
    }
}

/// The columns of a batch, rounded up as they are allocated.
fn batch_bytes<T>(rows: usize, columns: usize) -> u64 {
    ((rows * size_of::<T>()).next_multiple_of(64) + 64) as u64 * columns as u64
}
