//! The dataframe: a handle on what is to be computed.

use std::panic::Location;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_expr::Expr;
use flagstone_graph::{
    Error, ErrorKind, Execute, Graph, LayerId, Resources, Result, SerialExecutor,
};
use flagstone_io::IntoPaths;

use crate::ops::collect::Collect;
use crate::plan::stack::planned;
use crate::plan::{Node, Operation, logical, lower};
use crate::sink::parquet::ParquetOptions;
use crate::sink::rows::RowOptions;
use crate::source::PartitionSource;
use crate::source::batches::BatchSource;
use crate::source::csv::CsvOptions;
use crate::source::json::JsonOptions;
use crate::source::open::{Format, FrameSource};
use crate::source::records::Records;
use crate::terminal;
use crate::terminal::{Output, WriteReport};

/// Rows of named columns, larger than memory.
///
/// A cheap handle: cloning shares, methods take `&self`, nothing runs before a terminal (the
/// methods whose names end in `_with`). Methods never fail: a wrong name or type is kept with its
/// source line and returned by the first terminal, or by [`check`](Self::check).
///
/// Rows keep their order: partition by partition, as the source has them.
#[derive(Clone)]
pub struct DataFrame {
    pub(crate) node: Arc<Node>,
}

impl DataFrame {
    /// The records of JSON-lines files, compressed or not. Patterns may have `*`, `?`, `[...]` and
    /// `**`. Without a schema in the options, the heads of all files propose one, and what does
    /// not fit later widens it; nothing is lost silently.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{DataFrame, JsonOptions};
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.json"), "{\"id\":1,\"at\":{\"x\":2}}\n{\"id\":2}\n")?;
    /// let frame = DataFrame::read_json(dir.path().join("*.json"), JsonOptions::default());
    /// assert_eq!(frame.select_sql("at.x").compute_with(&SerialExecutor)?.num_rows(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_json(paths: impl IntoPaths, options: JsonOptions) -> Self {
        Self::files(paths, Format::Json(options))
    }

    /// The records of delimited text files (CSV, TSV), compressed or not. The heads of all files
    /// propose the columns' types, and what does not fit later widens them.
    ///
    /// ```
    /// use flagstone_frame::{CsvOptions, DataFrame};
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.csv"), "id,day\n1,2015-01-01\n")?;
    /// let frame = DataFrame::read_csv(dir.path().join("a.csv"), CsvOptions::default());
    /// assert_eq!(frame.schema()?.field(1).data_type().to_string(), "Date32");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_csv(paths: impl IntoPaths, options: CsvOptions) -> Self {
        Self::files(paths, Format::Csv(options))
    }

    /// The rows of Parquet files, a partition for each row group.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{CsvOptions, DataFrame};
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.csv"), "id\n1\n2\n")?;
    /// let frame = DataFrame::read_csv(dir.path().join("a.csv"), CsvOptions::default());
    /// let out = dir.path().join("out");
    /// frame.write_parquet_with(&SerialExecutor, &out, &Default::default())?;
    /// let back = DataFrame::read_parquet(out.join("*.parquet"));
    /// assert_eq!(back.count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_parquet(paths: impl IntoPaths) -> Self {
        Self::files(paths, Format::Parquet)
    }

    #[track_caller]
    pub(crate) fn files(paths: impl IntoPaths, format: Format) -> Self {
        let patterns = paths.into_paths();
        let opened = Mutex::new(None);
        Self::make(Operation::Source(FrameSource::Files {
            patterns,
            format,
            opened,
        }))
    }

    /// Batches that are in memory, one partition each. They belong to the caller: the session's
    /// budget does not count them.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use std::sync::Arc;
    /// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    /// use flagstone_frame::{DataFrame, col, lit};
    /// let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    /// let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    /// let frame = DataFrame::from_batches(batch.schema(), vec![batch]);
    /// assert_eq!(frame.filter(col("id").gt(lit(1))).compute_with(&SerialExecutor)?.num_rows(), 2);
    /// # Ok::<(), flagstone_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn from_batches(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self::from_source(Arc::new(BatchSource { schema, batches }))
    }

    /// Whatever can stream its partitions.
    #[track_caller]
    pub fn from_source(source: Arc<dyn PartitionSource>) -> Self {
        Self::make(Operation::Source(FrameSource::Ready(source)))
    }

    /// Records that can be written as JSON, without a known schema: the first of them propose one,
    /// and it becomes the union of all their keys, which the terminals of the frame report. The
    /// facade makes such a frame of a bag of dynamic records.
    #[track_caller]
    pub fn from_records(records: Arc<dyn Records>) -> Self {
        let opened = Mutex::new(None);
        Self::make(Operation::Source(FrameSource::Records { records, opened }))
    }

    #[track_caller]
    fn make(operation: Operation) -> Self {
        DataFrame {
            node: Arc::new(Node {
                operation,
                location: Location::caller(),
            }),
        }
    }

    /// These columns, by name or as expressions: `select(["id", "name"])`,
    /// `select([col("n") + lit(1)])`.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, lit};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let twice = frame.select([col("a"), (col("a") * lit(2)).alias("twice")]);
    /// assert_eq!(twice.compute_with(&SerialExecutor)?.num_columns(), 2);
    /// # assert_eq!(frame.select(["b"]).schema()?.field(0).name(), "b");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn select(&self, exprs: impl IntoIterator<Item = impl IntoExpr>) -> Self {
        let exprs = exprs.into_iter().map(IntoExpr::into_expr).collect();
        Self::make(Operation::Select(self.node.clone(), exprs))
    }

    /// A SQL select list over the record: `"id, actor.login, n + 1 AS next"`. A column is called by
    /// its dotted path unless `AS` renames it; two of one name are an error; a struct stays nested.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let batch = frame.select_sql("b, a + 1 AS next").compute_with(&SerialExecutor)?;
    /// assert_eq!(batch.schema().field(1).name(), "next");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn select_sql(&self, list: impl Into<String>) -> Self {
        Self::make(Operation::SelectSql(self.node.clone(), list.into()))
    }

    /// The rows for which the condition holds.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, lit};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let rows = frame.filter(col("a").gt(lit(1)).and(col("b").is_not_null()));
    /// assert_eq!(rows.count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn filter(&self, condition: Expr) -> Self {
        Self::make(Operation::Filter(self.node.clone(), condition))
    }

    /// The rows for which a SQL condition holds: `"type = 'PushEvent' and actor.id > 7"`.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.filter_sql("a > 1 AND b LIKE 'x%'").count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn filter_sql(&self, condition: impl Into<String>) -> Self {
        Self::make(Operation::FilterSql(self.node.clone(), condition.into()))
    }

    /// All columns and a further one, or one replaced in its place.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, lit};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let more = frame.with_column("c", col("a") * lit(10));
    /// assert_eq!(more.compute_with(&SerialExecutor)?.num_columns(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn with_column(&self, name: impl Into<String>, value: Expr) -> Self {
        Self::make(Operation::WithColumn(self.node.clone(), name.into(), value))
    }

    /// Rows with equal keys together; see [`GroupBy::agg`].
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, sum};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let sums = frame.groupby(["b"]).agg([sum(col("a"))]).compute_with(&SerialExecutor)?;
    /// assert_eq!(sums.num_rows(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn groupby(&self, keys: impl IntoIterator<Item = impl IntoExpr>) -> GroupBy {
        let keys = keys.into_iter().map(IntoExpr::into_expr).collect();
        GroupBy {
            node: self.node.clone(),
            keys,
            location: Location::caller(),
        }
    }

    /// Looks for mistakes without running anything.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert!(frame.select(["no_such_column"]).check().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake, with its source line; also when the schema cannot be read.
    pub fn check(&self) -> Result<()> {
        self.schema().map(|_| ())
    }

    /// The columns, as far as the sampled heads of the files show them.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.schema()?.field(0).data_type().to_string(), "Int64");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn schema(&self) -> Result<SchemaRef> {
        self.schema_with(&SerialExecutor)
    }

    /// The columns, with files sampled by `execute`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn schema_with(&self, execute: &dyn Execute) -> Result<SchemaRef> {
        // no plan follows that would say what it needs
        Ok(fields_of(&self.lower_over(&self.open(execute)?)?))
    }

    /// The columns, for a plan that follows: what little looking at the heads takes may be outside of the
    /// budget, and the refusal of the plan says what all of it needs.
    #[doc(hidden)]
    pub fn planned_schema_with(&self, execute: &dyn Execute) -> Result<SchemaRef> {
        Ok(fields_of(&self.lower(execute)?))
    }

    /// Refuses an output that would replace what the frame is read from.
    ///
    /// # Errors
    /// The input that it would replace.
    #[doc(hidden)]
    pub fn check_target(&self, path: &Path) -> Result<()> {
        crate::terminal::check_inputs(self, path)
    }

    /// What was found about the files that nobody had said: what ends their lines, names that were
    /// made unique.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn notes(&self) -> Result<Vec<String>> {
        self.notes_with(&SerialExecutor)
    }

    /// The same, with files sampled by `execute`, unless they were before.
    ///
    /// # Errors
    /// As [`notes`](Self::notes).
    pub fn notes_with(&self, execute: &dyn Execute) -> Result<Vec<String>> {
        Ok(self.open(execute)?.notes())
    }

    /// The frame's source, its files listed and their heads looked at.
    fn open(&self, execute: &dyn Execute) -> Result<Arc<dyn PartitionSource>> {
        let source = self.node.source().open(execute);
        source.map_err(|error| self.locate_source(error))
    }

    /// The frame over its source, ready to run.
    ///
    /// When the session's budget is a little too small even to look at the heads of the files, they are
    /// looked at one by one outside of it, once: the plan that follows then says the budget that all of
    /// it needs, rather than the user climbing there by one refusal after the other. Heads that need
    /// more are refused.
    pub(crate) fn lower(&self, execute: &dyn Execute) -> Result<lower::Lowered> {
        const OUTSIDE_BYTES_MAX: u64 = 16 << 20;
        let is_little = |error: &Error| {
            let smallest = error.smallest_budget();
            error.kind() == ErrorKind::Budget && smallest.is_some_and(|b| b <= OUTSIDE_BYTES_MAX)
        };
        let source = match self.open(execute) {
            Err(error) if is_little(&error) => self.open(&SerialExecutor)?,
            opened => opened?,
        };
        self.lower_over(&source)
    }

    /// The same over a source that is open.
    pub(crate) fn lower_over(&self, source: &Arc<dyn PartitionSource>) -> Result<lower::Lowered> {
        let node = &*self.node;
        planned(|| {
            let plan = logical::checked(node, source)?;
            lower::lower(&plan).map_err(|error| node.locate(error))
        })
        .map_err(|error| node.locate(error))
    }

    fn locate_source(&self, error: Error) -> Error {
        let mut node = &self.node;
        while let Some(input) = node.input() {
            node = input;
        }
        node.locate(error)
    }

    /// Pushes the layers that compute this frame; the last one has a block of type
    /// [`Partition`](crate::Partition) for each partition.
    ///
    /// The schema is the one that the sampled heads of the files show: a graph that is built
    /// cannot widen it. A partition that has more fails, and names the place. The terminals of the
    /// frame widen; so does a schema that is given with the options of reading.
    ///
    /// # Errors
    /// The first mistake, with its source line.
    pub fn build(&self, graph: &mut Graph, execute: &dyn Execute) -> Result<LayerId> {
        let lowered = self.lower(execute)?;
        let schema = lowered.schema.clone();
        lowered.strict().push(graph, Arc::new(Collect { schema }))
    }

    /// Pushes the layers that [`compute_with`](Self::compute_with) would run first, so that their needs
    /// can be certified before it does. They are not to be run themselves: the terminal looks again
    /// where the files hold more than their heads showed.
    ///
    /// # Errors
    /// The first mistake, with its source line.
    pub fn build_collected(
        &self,
        graph: &mut Graph,
        execute: &dyn Execute,
        resources: Resources,
    ) -> Result<LayerId> {
        terminal::build_collected(self, graph, execute, resources)
    }

    /// Pushes the layer that writes this frame's rows as they come, so that its needs can be
    /// certified before [`write_with`](Self::write_with) runs. It is not to be run itself: the
    /// files are put together from what it writes.
    ///
    /// # Errors
    /// The first mistake, with its source line.
    pub fn build_write(
        &self,
        graph: &mut Graph,
        execute: &dyn Execute,
        output: &Output,
    ) -> Result<LayerId> {
        terminal::build_write(self, graph, execute, output)
    }

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
    /// As [`write_parquet_with`](Self::write_parquet_with), and columns that the format cannot
    /// hold.
    pub fn write_rows_with(
        &self,
        execute: &dyn Execute,
        path: impl AsRef<Path>,
        options: &RowOptions,
    ) -> Result<WriteReport> {
        let output = Output::Rows(options.clone());
        terminal::write(self, execute, path.as_ref(), &output)
    }

    /// Writes all rows in any format.
    ///
    /// # Errors
    /// As [`write_rows_with`](Self::write_rows_with).
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

    /// The optimised plan and the layers that writing it would run.
    ///
    /// # Errors
    /// The first mistake.
    pub fn explain_write_with(&self, execute: &dyn Execute, output: &Output) -> Result<String> {
        let push = |graph: &mut Graph| terminal::build_write(self, graph, execute, output);
        let text = terminal::explain(self, execute, push)?;
        let target = flagstone_memory::format_bytes(output.target_bytes());
        Ok(format!(
            "{text}then what they wrote is put together into files of about {target}\n"
        ))
    }
}

/// Rows with equal keys together.
pub struct GroupBy {
    node: Arc<Node>,
    keys: Vec<Expr>,
    location: &'static Location<'static>,
}

impl GroupBy {
    /// One row per group: its keys, then these aggregations (`sum`, `mean`, `min`, `max`,
    /// `count`), sorted by key with nulls first. Without keys: one row for everything.
    ///
    /// Every group's state is in memory until the result is complete; groups that do not fit in
    /// the budget are an error.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{col, count_all, mean};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let groups = frame.groupby(["b"]).agg([mean(col("a")).alias("mean"), count_all().alias("rows")]);
    /// assert_eq!(groups.compute_with(&SerialExecutor)?.schema().field(2).name(), "rows");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn agg(&self, aggregations: impl IntoIterator<Item = Expr>) -> DataFrame {
        let aggregations = aggregations.into_iter().collect();
        let operation = Operation::Group(self.node.clone(), self.keys.clone(), aggregations);
        DataFrame {
            node: Arc::new(Node {
                operation,
                location: self.location,
            }),
        }
    }
}

/// The columns that a plan gives, without what its planner notes of them.
fn fields_of(lowered: &lower::Lowered) -> SchemaRef {
    Arc::new(Schema::new(lowered.schema.fields().clone()))
}

/// What a column or a group key may be written as: a column's name, or an expression.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither the name of a column nor an expression",
    note = "write a name as text, or an expression such as `col(\"a\") + lit(1)`; a constant is `lit(..)`"
)]
pub trait IntoExpr {
    /// It as an expression.
    fn into_expr(self) -> Expr;
}

impl IntoExpr for &str {
    fn into_expr(self) -> Expr {
        crate::expr::col(self)
    }
}

impl IntoExpr for String {
    fn into_expr(self) -> Expr {
        crate::expr::col(self)
    }
}

impl IntoExpr for Expr {
    fn into_expr(self) -> Expr {
        self
    }
}
