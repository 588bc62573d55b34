//! Frames of what is read: files, batches, sources and records.

use std::panic::Location;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::Result;
use flagstone_graph::{Graph, PartitionStream};
use flagstone_io::IntoPaths;

use super::DataFrame;
use crate::plan::{Node, Operation};
use crate::source::PartitionSource;
use crate::source::batches::BatchSource;
use crate::source::csv::CsvOptions;
use crate::source::detect::InputFormat;
use crate::source::json::JsonOptions;
use crate::source::open::{Format, FrameSource};
use crate::source::records::Records;
use crate::source::streamed::Streamed;

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

    /// The rows of files of a format, read with the options that it has when nothing is said: what
    /// [`InputFormat::detect`] found, say.
    ///
    /// ```
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_frame::{DataFrame, InputFormat};
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("a.tsv");
    /// std::fs::write(&path, "id\tday\n1\t2015-01-01\n")?;
    /// let frame = DataFrame::read(&path, InputFormat::detect(&path)?);
    /// assert_eq!(frame.count_with(&SerialExecutor)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read(paths: impl IntoPaths, format: InputFormat) -> Self {
        match format {
            InputFormat::Parquet => Self::read_parquet(paths),
            InputFormat::Json => Self::read_json(paths, JsonOptions::default()),
            InputFormat::Csv => Self::read_csv(paths, CsvOptions::csv()),
            InputFormat::Tsv => Self::read_csv(paths, CsvOptions::tsv()),
        }
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
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn from_batches(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self::from_source(Arc::new(BatchSource { schema, batches }))
    }

    /// The rows of a source of the caller's own: whatever can stream its partitions.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    /// use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    /// use flagstone_frame::{DataFrame, PartitionSource, Result, Scan};
    /// use flagstone_common::TaskContext;
    /// use flagstone_graph::{Flow, Inputs, SerialExecutor, ended};
    ///
    /// /// The numbers from 0, ten a partition.
    /// struct Numbers;
    ///
    /// impl PartitionSource for Numbers {
    ///     fn name(&self) -> &str {
    ///         "numbers"
    ///     }
    ///     fn schema(&self) -> SchemaRef {
    ///         Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
    ///     }
    ///     fn partition_count(&self) -> u32 {
    ///         4
    ///     }
    ///     fn stream(
    ///         &self,
    ///         partition: u32,
    ///         _: Inputs<'_>,
    ///         scan: &Scan,
    ///         ctx: &TaskContext<'_>,
    ///         each: &mut dyn FnMut(RecordBatch) -> Flow,
    ///     ) -> Result<()> {
    ///         let _lease = ctx.reserve(80)?;
    ///         let start = i64::from(partition) * 10;
    ///         let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + 10));
    ///         let batch = RecordBatch::try_new(self.schema(), vec![numbers]).expect("one column");
    ///         ended(each(batch.project(&scan.columns).expect("columns of the schema")))
    ///     }
    ///     fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
    ///         80
    ///     }
    /// }
    ///
    /// let frame = DataFrame::from_source(Arc::new(Numbers));
    /// assert_eq!(frame.filter_sql("n >= 35").count_with(&SerialExecutor)?, 5);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn from_source(source: Arc<dyn PartitionSource>) -> Self {
        Self::make(Operation::Source(FrameSource::Ready(source)))
    }

    /// The batches that another collection streams: `plan` puts what they are made of into a graph,
    /// each time the frame is lowered to one, and gives the stream of them there. Batches have the
    /// columns of `schema`, and at most [`BATCH_ROWS`](crate::BATCH_ROWS) rows.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    /// use flagstone_frame::{DataFrame, Result};
    /// use flagstone_common::{Error, TaskContext};
    /// use flagstone_graph::{Flow, Footprint, Inputs, PartitionStream, SerialExecutor, ended};
    ///
    /// /// The numbers from 0, ten a partition.
    /// struct Numbers;
    ///
    /// impl PartitionStream<RecordBatch> for Numbers {
    ///     fn partition_count(&self) -> u32 {
    ///         4
    ///     }
    ///     fn footprint(&self, _: u32) -> Footprint {
    ///         Footprint::estimated(0).with_scratch(1 << 10)
    ///     }
    ///     fn for_each(
    ///         &self,
    ///         partition: u32,
    ///         _: Inputs<'_>,
    ///         _: &TaskContext<'_>,
    ///         each: &mut dyn FnMut(RecordBatch) -> Flow,
    ///     ) -> Result<()> {
    ///         ended(each(numbers(i64::from(partition) * 10)?))
    ///     }
    /// }
    ///
    /// fn numbers(start: i64) -> Result<RecordBatch> {
    ///     let column: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + 10));
    ///     RecordBatch::try_from_iter([("n", column)]).map_err(Error::failed)
    /// }
    ///
    /// let schema = numbers(0)?.schema();
    /// let frame = DataFrame::from_stream("numbers", schema, |_| Ok(Arc::new(Numbers)));
    /// assert_eq!(frame.filter_sql("n >= 35").count_with(&SerialExecutor)?, 5);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn from_stream<P>(name: impl Into<String>, schema: SchemaRef, plan: P) -> Self
    where
        P: Fn(&mut Graph) -> Result<Arc<dyn PartitionStream<RecordBatch>>> + Send + Sync + 'static,
    {
        Self::from_source(Arc::new(Streamed::new(name.into(), schema, Arc::new(plan))))
    }

    /// Records that can be written as JSON, without a known schema: the first of them propose one,
    /// and it becomes the union of all their keys, which the terminals of the frame report. The
    /// facade makes such a frame of a bag of dynamic records.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use flagstone_frame::{BoundRecords, DataFrame, Records, Result};
    /// use flagstone_io::AskOrigin;
    /// use flagstone_common::TaskContext;
    /// use flagstone_graph::{Deps, Execute, Flow, Graph, Inputs, IoBytes, LayerId, SerialExecutor};
    /// use flagstone_graph::ended;
    ///
    /// /// One record for each number.
    /// #[derive(Clone)]
    /// struct Numbers(u32);
    ///
    /// impl Records for Numbers {
    ///     fn name(&self) -> String {
    ///         "numbers".to_owned()
    ///     }
    ///     fn head(&self, len: usize, _: &dyn Execute) -> Result<Vec<String>> {
    ///         Ok((0..self.0).take(len).map(|n| format!("{{\"n\":{n}}}")).collect())
    ///     }
    ///     fn bind(&self, _: &mut Graph) -> Result<Box<dyn BoundRecords>> {
    ///         Ok(Box::new(self.clone()))
    ///     }
    /// }
    ///
    /// impl BoundRecords for Numbers {
    ///     fn inputs(&self) -> &[LayerId] {
    ///         &[]
    ///     }
    ///     fn partition_count(&self) -> u32 {
    ///         1
    ///     }
    ///     fn deps(&self, _: u32, _: usize, _: &mut Deps<'_>) {}
    ///     fn scratch_bytes(&self, _: u32) -> u64 {
    ///         64
    ///     }
    ///     fn io_bytes(&self, _: u32) -> IoBytes {
    ///         IoBytes::default()
    ///     }
    ///     fn for_each(
    ///         &self,
    ///         _: u32,
    ///         _: Inputs<'_>,
    ///         _: &TaskContext<'_>,
    ///         each: &mut dyn FnMut(&[u8], &AskOrigin<'_>) -> Flow,
    ///     ) -> Result<()> {
    ///         let mut each = |n| each(format!("{{\"n\":{n}}}").as_bytes(), &|| None);
    ///         ended((0..self.0).try_for_each(&mut each))
    ///     }
    /// }
    ///
    /// let frame = DataFrame::from_records(Arc::new(Numbers(5)));
    /// assert_eq!(frame.filter_sql("n > 2").count_with(&SerialExecutor)?, 2);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn from_records(records: Arc<dyn Records>) -> Self {
        let opened = Mutex::new(None);
        Self::make(Operation::Source(FrameSource::Records { records, opened }))
    }

    #[track_caller]
    pub(crate) fn make(operation: Operation) -> Self {
        DataFrame {
            node: Arc::new(Node {
                operation,
                location: Location::caller(),
            }),
        }
    }
}
