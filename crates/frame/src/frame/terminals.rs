//! What runs a frame: computing, counting, writing and explaining it.

use std::path::Path;

use arrow::array::RecordBatch;
use flagstone_common::Result;
use flagstone_graph::{Execute, Graph};

use super::DataFrame;
use crate::sink::parquet::ParquetOptions;
use crate::sink::rows::RowOptions;
use crate::terminal::{self, Batches, Output, WriteReport};

impl DataFrame {
    /// All rows, in one batch.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.compute_with(&SerialExecutor)?.num_rows(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake or failure; kind `Budget` when the rows do not fit.
    pub fn compute_with(&self, execute: &dyn Execute) -> Result<RecordBatch> {
        terminal::collect(self, execute)
    }

    /// All rows, batch by batch, in order: any number of them, in the executor's budget. The plan has run
    /// when this returns; its rows lie in scratch pages, of which one is read at a time, and which are
    /// gone when they were read or the iterator is dropped.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let mut rows = 0;
    /// for batch in frame.batches_with(SerialExecutor)? {
    ///     rows += batch?.num_rows();
    /// }
    /// assert_eq!(rows, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake or failure.
    pub fn batches_with<E: Execute>(&self, execute: E) -> Result<Batches<E>> {
        terminal::batches(self, execute)
    }

    /// The number of rows.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.count_with(&SerialExecutor)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake or failure.
    pub fn count_with(&self, execute: &dyn Execute) -> Result<u64> {
        terminal::count(self, execute)
    }

    /// Writes all rows to a directory of Parquet files `part-00000.parquet` ... of even size, in
    /// order. The directory appears when all is written, or not at all. Where the path is a file's
    /// ([`Output::is_file_path`]) and one file holds all rows, that file appears instead.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::ParquetOptions;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let options = ParquetOptions::default();
    /// let report = frame.write_parquet_with(&SerialExecutor, dir.path().join("out"), &options)?;
    /// assert_eq!(report.rows, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake or failure; an existing output without `overwrite`.
    pub fn write_parquet_with(
        &self,
        execute: &dyn Execute,
        path: impl AsRef<Path>,
        options: &ParquetOptions,
    ) -> Result<WriteReport> {
        let output = Output::Parquet(options.clone());
        terminal::write(self, execute, path.as_ref(), &output)
    }

    /// Writes all rows to a directory of files `part-00000.csv` ... of even size, in order: CSV,
    /// JSON lines or Arrow. The directory appears when all is written, or not at all. Where the path
    /// is a file's ([`Output::is_file_path`]) and one file holds all rows, that file appears instead.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{RowFormat, RowOptions};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let options = RowOptions::new(RowFormat::Csv);
    /// frame.write_rows_with(&SerialExecutor, dir.path().join("out"), &options)?;
    /// let text = std::fs::read_to_string(dir.path().join("out/part-00000.csv"))?;
    /// assert!(text.starts_with("a,b\n1,xa\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake or failure; an existing output without `overwrite`; columns that the format
    /// cannot hold.
    pub fn write_rows_with(
        &self,
        execute: &dyn Execute,
        path: impl AsRef<Path>,
        options: &RowOptions,
    ) -> Result<WriteReport> {
        let output = Output::Rows(options.clone());
        terminal::write(self, execute, path.as_ref(), &output)
    }

    /// Writes all rows to files of any format: see [`write_parquet_with`](Self::write_parquet_with) and
    /// [`write_rows_with`](Self::write_rows_with).
    ///
    /// ```
    /// use flagstone_frame::Output;
    /// use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let output = Output::of_name("rows.json").expect("a format");
    /// let report = frame.write_with(&SerialExecutor, dir.path().join("rows.json"), &output)?;
    /// assert_eq!(report.files, [dir.path().join("rows.json")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake or failure; an existing output without `overwrite`; columns that the format
    /// cannot hold.
    pub fn write_with(
        &self,
        execute: &dyn Execute,
        path: impl AsRef<Path>,
        output: &Output,
    ) -> Result<WriteReport> {
        terminal::write(self, execute, path.as_ref(), output)
    }

    /// The optimised plan and the layers that collecting it would run.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let text = frame.filter_sql("a > 1").explain_with(&SerialExecutor)?;
    /// assert!(text.contains("a > "), "{text}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake.
    pub fn explain_with(&self, execute: &dyn Execute) -> Result<String> {
        terminal::explain(self, execute, |graph| self.build(graph, execute))
    }

    /// The optimised plan and the layers that writing it would run, as text.
    ///
    /// ```
    /// use flagstone_frame::Output;
    /// use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let output = Output::Parquet(Default::default());
    /// let text = frame.explain_write_with(&SerialExecutor, &output)?;
    /// assert!(text.contains("read-csv+write-parquet"), "{text}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake, with its source line.
    pub fn explain_write_with(&self, execute: &dyn Execute, output: &Output) -> Result<String> {
        let push = |graph: &mut Graph| terminal::build_write(self, graph, execute, output);
        let text = terminal::explain(self, execute, push)?;
        let target = flagstone_common::format_bytes(output.target_bytes());
        Ok(format!(
            "{text}then what they wrote is put together into files of about {target}\n"
        ))
    }
}
