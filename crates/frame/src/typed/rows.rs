//! Functions of rows: structs in, structs out.

use std::any::type_name;
use std::sync::Arc;

use arrow::array::{BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use flagstone_common::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::{Columns, Writer, each_row};
use crate::expr::col;
use crate::frame::DataFrame;
use crate::plan::Operation;
use crate::plan::native::Native;

/// The columns that records of a type become: one a field, nested fields nested.
///
/// ```
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// struct Point { x: f64, name: Option<String> }
/// let schema = flagstone_frame::record_schema::<Point>()?;
/// assert_eq!(schema.field(1).name(), "name");
/// assert!(flagstone_frame::record_schema::<i64>().is_err());
/// # Ok::<(), flagstone_frame::Error>(())
/// ```
///
/// # Errors
/// A type that is no record, and one whose columns follow from its values (a map).
pub fn record_schema<T: DeserializeOwned>() -> Result<SchemaRef> {
    match Columns::of::<T>() {
        Ok(columns) if !columns.is_value => Ok(columns.schema()),
        Ok(_) => Err(Error::invalid(format!(
            "{} is no record: use a struct with a field for each column",
            type_name::<T>()
        ))),
        Err(error) => Err(Error::invalid(error)),
    }
}

impl DataFrame {
    /// What a function makes of each row: of a struct whose fields are columns (of which only those are
    /// read), a struct whose fields become columns. A panic in it is an error of the run.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// #[derive(serde::Deserialize)]
    /// struct Row { a: i64, b: String }
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Longer { b: String, len: u64 }
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let longer = frame.map_rows(|row: Row| Longer {
    ///     len: (row.a as u64) + row.b.len() as u64,
    ///     b: row.b.to_uppercase(),
    /// });
    /// assert_eq!(longer.filter_sql("b = 'XA' AND len = 4").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Terminals fail for types whose columns are not fixed, for columns that are missing, and for rows
    /// that are no `T`: nulls where a field is no `Option`.
    #[track_caller]
    pub fn map_rows<T, U>(&self, function: impl Fn(T) -> U + Send + Sync + 'static) -> Self
    where
        T: DeserializeOwned + 'static,
        U: Serialize + DeserializeOwned + 'static,
    {
        self.try_map_rows(move |row| Ok(function(row)))
    }

    /// What a function makes of each row, if it can: as [`map_rows`](Self::map_rows), of which the first
    /// error is that of the run.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::Error;
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Row { a: i64 }
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let halves = frame.try_map_rows(|row: Row| match row.a % 2 {
    ///     0 => Ok(Row { a: row.a / 2 }),
    ///     _ => Err(Error::failed(format!("{} is odd", row.a))),
    /// });
    /// assert!(halves.compute_with(&SerialExecutor).unwrap_err().to_string().contains("1 is odd"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`map_rows`](Self::map_rows), and those of the function.
    #[track_caller]
    pub fn try_map_rows<T, U>(
        &self,
        function: impl Fn(T) -> Result<U> + Send + Sync + 'static,
    ) -> Self
    where
        T: DeserializeOwned + 'static,
        U: Serialize + DeserializeOwned + 'static,
    {
        let columns = match Columns::of::<U>() {
            Ok(columns) => columns,
            // told by terminals, with this line
            Err(message) => {
                let nothing = Arc::new(Schema::empty());
                return self.map_batches(nothing, move |_| Err(Error::invalid(message.clone())));
            }
        };
        self.reading::<T>()
            .map_batches(columns.schema(), move |batch| {
                let mut made = Writer::new(&columns)?;
                each_row(&batch, false, |_, row: T| made.push(function(row)?))?;
                made.finish()
            })
    }

    /// The rows for which a function holds, of a struct whose fields are columns. A panic in it is an
    /// error of the run.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// #[derive(serde::Deserialize)]
    /// struct Row { a: i64, b: String }
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let some = frame.filter_rows(|row: &Row| row.b.len() as i64 == row.a);
    /// assert_eq!(some.filter_sql("a = 2 AND b = 'xa'").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Terminals fail for columns that are missing, and for rows that are no `T`.
    #[track_caller]
    pub fn filter_rows<T: DeserializeOwned + 'static>(
        &self,
        function: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.filter_batches(move |batch| {
            let mut kept = BooleanBufferBuilder::new(batch.num_rows());
            each_row(batch, false, |_, row: T| {
                kept.append(function(&row));
                Ok(())
            })?;
            Ok(BooleanArray::new(kept.finish(), None))
        })
    }

    /// The rows for which a function of batches says `true`, of each batch a value a row; nulls are not
    /// `true`. A panic in it is an error of the run.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use arrow::array::AsArray;
    /// use arrow::array::BooleanArray;
    /// use arrow::datatypes::Int64Type;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let odd = frame.filter_batches(|batch| {
    ///     Ok(BooleanArray::from_unary(batch.column(0).as_primitive::<Int64Type>(), |a| a % 2 == 1))
    /// });
    /// assert_eq!(odd.count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn filter_batches(
        &self,
        function: impl Fn(&RecordBatch) -> Result<BooleanArray> + Send + Sync + 'static,
    ) -> Self {
        let native = Native::Filter(Arc::new(function));
        Self::make(Operation::Native(self.node.clone(), native))
    }

    /// The columns that records of a type have, where that is known.
    #[track_caller]
    fn reading<T: DeserializeOwned>(&self) -> DataFrame {
        match Columns::of::<T>() {
            Ok(columns) if !columns.is_value => {
                let names = columns.fields.iter().map(|field| field.name());
                self.select(names.map(col))
            }
            _ => self.clone(),
        }
    }
}
