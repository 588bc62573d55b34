//! Dataframes in a session: keeping and writing them.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_frame::{
    BATCH_ROWS, Batches, DataFrame, Output, ParquetOptions, Partition, PartitionSource, RowFormat,
    RowOptions, Scan, WriteReport,
};
use flagstone_graph::{Flow, Graph, Inputs, Layer, ended};
use flagstone_scheduler::Persisted;

use crate::explain::Explanation;
use crate::persist::{Persist, start};
use crate::session::Session;

impl Persist for DataFrame {
    type Output = DataFrame;

    #[track_caller]
    fn persist_on(&self, session: &Session) -> Result<DataFrame> {
        let schema = self.planned_schema_with(session)?;
        let mut graph = Graph::new();
        let layer = self.build(&mut graph, session)?;
        let handle = start(session, &graph, layer)?;
        Ok(DataFrame::from_source(Arc::new(KeptRows {
            handle,
            schema,
        })))
    }
}

/// The kept partitions of a dataframe.
struct KeptRows {
    handle: Arc<Persisted>,
    schema: SchemaRef,
}

impl PartitionSource for KeptRows {
    fn name(&self) -> &str {
        "persisted"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.handle.task_count()
    }

    fn stream(
        &self,
        partition: u32,
        _: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let block = self.handle.run(partition, Inputs::new(&mut []), ctx)?;
        let rows = block
            .downcast_ref::<Partition>()
            .ok_or_else(|| Error::bug("a persisted dataframe holds another type of block"))?;
        ended(rows.batches.iter().try_for_each(|batch| {
            let batch = batch.project(&scan.columns).map_err(Error::failed)?;
            let mut starts = (0..batch.num_rows()).step_by(BATCH_ROWS);
            starts.try_for_each(|start| {
                ctx.check_cancelled()?;
                each(batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start)))
            })
        }))
    }

    /// The block, whether it is still in memory or has to be read back.
    fn scratch_bytes(&self, partition: u32, _: &Scan) -> u64 {
        self.handle.footprint(partition).output_bytes
    }
}

impl Session {
    /// The rows of a SQL query over files: `SELECT ... FROM 'events/*.parquet'`. What the query gives is a
    /// frame like any other: nothing is computed before it is asked for.
    ///
    /// ```
    /// use flagstone::Session;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let rows = session.sql(
    ///     "SELECT id1, sum(v1) AS v1 FROM 'datasets/samples/groupby/groupby.csv' GROUP BY id1",
    /// )?;
    /// assert!(session.compute(&rows)?.num_rows() > 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A text that is no query, tables and columns that are not there, files that cannot be read.
    pub fn sql(&self, text: &str) -> Result<DataFrame> {
        self.sql_with(text, [])
    }

    /// The rows of a SQL query over frames that are given names, and over files.
    ///
    /// ```
    /// use flagstone::{CsvOptions, DataFrame, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let sample = DataFrame::read_csv("datasets/samples/groupby/groupby.csv", CsvOptions::default());
    /// let top = session.sql_with("SELECT * FROM sample ORDER BY v3 DESC LIMIT 3", [("sample", &sample)])?;
    /// assert_eq!(session.compute(&top)?.num_rows(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A text that is no query, tables and columns that are not there, files that cannot be read.
    pub fn sql_with<'a>(
        &self,
        text: &str,
        tables: impl IntoIterator<Item = (&'a str, &'a DataFrame)>,
    ) -> Result<DataFrame> {
        let frame = DataFrame::sql(text, tables);
        frame.planned_schema_with(self)?;
        Ok(frame)
    }

    /// Writes a dataframe to a directory of Parquet files of even size. The directory appears when
    /// all is written, or not at all. A path that ends in `.parquet` is one file where all rows fit
    /// in one (`target_bytes`, 128 MiB): the report says which files there are. A slash behind it
    /// makes it a directory always.
    ///
    /// ```
    /// use flagstone::{CsvOptions, DataFrame, Session};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let frame = DataFrame::read_csv("datasets/samples/groupby/groupby.csv", CsvOptions::default());
    /// let report = session.write_parquet(&frame, dir.path().join("out"))?;
    /// let back = DataFrame::read_parquet(dir.path().join("out/*.parquet"));
    /// assert_eq!(back.count_with(&session)?, report.rows);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`compute`](Self::compute), and an output that exists.
    pub fn write_parquet(&self, frame: &DataFrame, path: impl AsRef<Path>) -> Result<WriteReport> {
        self.write_parquet_with(frame, path, &ParquetOptions::default())
    }

    /// Writes a dataframe to Parquet files as the options say: compression, the size of files and row
    /// groups, whether earlier output is replaced.
    ///
    /// ```
    /// use flagstone::{CsvOptions, DataFrame, ParquetCompression, ParquetOptions, Session};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let frame = DataFrame::read_csv("datasets/samples/groupby/groupby.csv", CsvOptions::default());
    /// let options = ParquetOptions { compression: ParquetCompression::Snappy, ..Default::default() };
    /// session.write_parquet_with(&frame, dir.path().join("out"), &options)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`write_parquet`](Self::write_parquet).
    pub fn write_parquet_with(
        &self,
        frame: &DataFrame,
        path: impl AsRef<Path>,
        options: &ParquetOptions,
    ) -> Result<WriteReport> {
        frame.write_parquet_with(self, path, options)
    }

    /// Writes a dataframe to a directory of CSV files of even size, `part-00000.csv` ..., in order.
    /// The directory appears when all is written, or not at all; a path that ends in `.csv` is one
    /// file where all rows fit in one. To compress them, or to write JSON lines or Arrow, see
    /// [`write`](Self::write).
    ///
    /// ```
    /// use flagstone::{CsvOptions, DataFrame, Session};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let frame = DataFrame::read_csv("datasets/samples/groupby/groupby.csv", CsvOptions::default());
    /// session.write_csv(&frame.filter_sql("v1 > 3"), dir.path().join("out"))?;
    /// let text = std::fs::read_to_string(dir.path().join("out/part-00000.csv"))?;
    /// assert!(text.starts_with("id1,id2,"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`write_parquet`](Self::write_parquet), and nested columns, which CSV cannot hold.
    pub fn write_csv(&self, frame: &DataFrame, path: impl AsRef<Path>) -> Result<WriteReport> {
        self.write(frame, path, &Output::Rows(RowOptions::new(RowFormat::Csv)))
    }

    /// Writes a dataframe to a directory of files in any format, or to one file where the path ends
    /// in the format's extension and all rows fit in one ([`Output::is_file_path`]).
    ///
    /// ```
    /// use flagstone::{CsvOptions, DataFrame, Output, RowFormat, RowOptions, Session};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let frame = DataFrame::read_csv("datasets/samples/groupby/groupby.csv", CsvOptions::default());
    /// let lines = Output::Rows(RowOptions::new(RowFormat::Json));
    /// session.write(&frame, dir.path().join("out"), &lines)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`write_parquet`](Self::write_parquet), and columns that the format cannot hold.
    pub fn write(
        &self,
        frame: &DataFrame,
        path: impl AsRef<Path>,
        output: &Output,
    ) -> Result<WriteReport> {
        frame.write_with(self, path, output)
    }

    /// All rows of a dataframe, batch by batch: any number of them, within the budget. As an iterator, a
    /// reader of Arrow's, or a stream of its C data interface for Python and others.
    ///
    /// ```
    /// use flagstone::{CsvOptions, DataFrame, Session};
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let frame = DataFrame::read_csv("datasets/samples/groupby/groupby.csv", CsvOptions::default());
    /// let mut rows = 0;
    /// for batch in session.batches(&frame)? {
    ///     rows += batch?.num_rows() as u64;
    /// }
    /// assert_eq!(rows, frame.count_with(&session)?);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake or failure. A batch that cannot be read back is an error of the iterator.
    pub fn batches(&self, frame: &DataFrame) -> Result<Batches<Session>> {
        frame.batches_with(self.clone())
    }

    /// What writing a dataframe would do: its first pass, which decides what it needs. The output
    /// is opened as the run opens it, so that what stands in its way is found, and nothing of it
    /// is left.
    ///
    /// ```
    /// use flagstone::{CsvOptions, DataFrame, Output, Session};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let frame = DataFrame::read_csv("datasets/samples/groupby/groupby.csv", CsvOptions::default());
    /// let output = Output::Parquet(Default::default());
    /// let plan = session.explain_write(&frame, dir.path().join("out"), &output)?;
    /// println!("{plan}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`write_parquet`](Self::write_parquet), but for the budget: see
    /// [`Explanation::refusal`].
    pub fn explain_write(
        &self,
        frame: &DataFrame,
        path: impl AsRef<Path>,
        output: &Output,
    ) -> Result<Explanation> {
        frame.check_inputs(path.as_ref())?;
        let mut graph = Graph::new();
        let layer = frame.build_write(&mut graph, self, output)?;
        output.check_target(path.as_ref())?;
        let program = self.freeze(&graph, &[layer])?;
        let certificate = self.certify(&program);
        Ok(Explanation::new(program, certificate))
    }
}
