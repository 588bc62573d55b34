//! Bags as dataframes.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use flagstone_bag::{Bag, BagStream, RecordKeys, Stage};
use flagstone_common::{Error, Result, TaskContext};
use flagstone_frame::{BATCH_ROWS, Bound, DataFrame, Outcome, PartitionSource, Scan, WriteReport};
use flagstone_graph::{Deps, Graph, Inputs, IoBytes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_arrow::schema::{SchemaLike, TracingOptions};

use super::records::BagRecords;
use crate::session::Session;

mod sealed {
    pub trait Sealed {}
}

/// What a bag becomes of other collections. The records flow on: nothing is computed or held.
pub trait BagExt: sealed::Sealed {
    /// The record type.
    type Record;

    /// A dataframe with a column per field of the record type, nested fields nested. The schema
    /// comes from the type: no record is looked at, an empty first partition is as good as any.
    ///
    /// Dynamic records ([`serde_json::Value`], maps, structs with such fields) have the union of
    /// their keys as columns, as the lines of a JSON file would: the first records are sampled, and
    /// a key or a wider type that comes later is reported by the terminals (`widened`).
    ///
    /// Items that are no records (numbers, text, lists) are the column `value`.
    ///
    /// ```
    /// use flagstone::{Bag, BagExt, Session};
    ///
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let squares = Bag::range(0..5, 2).map(|n| (n * n) as i64).to_dataframe();
    /// assert_eq!(squares.schema()?.field(0).name(), "value");
    /// assert_eq!(session.compute(&squares)?.num_rows(), 5);
    /// # Ok::<(), flagstone::Error>(())
    /// ```
    fn to_dataframe(&self) -> DataFrame;

    /// Writes the records to a directory of Parquet files, on the process-wide session:
    /// `session.write_parquet(&x.to_dataframe(), path)`.
    ///
    /// # Errors
    /// Those of [`Session::write_parquet`].
    fn to_parquet(&self, path: impl AsRef<Path>) -> Result<WriteReport> {
        Session::global()?.write_parquet(&self.to_dataframe(), path)
    }

    /// Writes the records to a directory of CSV files, on the process-wide session; to compress
    /// them, `session.write(&x.to_dataframe(), path, &output)`.
    ///
    /// # Errors
    /// Those of [`Session::write_csv`].
    fn to_csv(&self, path: impl AsRef<Path>) -> Result<WriteReport> {
        Session::global()?.write_csv(&self.to_dataframe(), path)
    }
}

impl<S> sealed::Sealed for Bag<S> {}

impl<S, T> BagExt for Bag<S>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Record = T;

    #[track_caller]
    fn to_dataframe(&self) -> DataFrame {
        let (fields, is_value) = match (fields_of::<T>(), fields_of::<Value<T>>()) {
            // no record: a column of its own
            (Err(_), Ok(fields)) if RecordKeys::of::<T>() == RecordKeys::None => (Ok(fields), true),
            (fields, _) => (fields, false),
        };
        match (RecordKeys::of::<T>(), &fields) {
            (RecordKeys::Own, _) | (RecordKeys::Fields(_), Err(_)) => {
                return DataFrame::from_records(Arc::new(BagRecords(self.clone())));
            }
            _ => {}
        }
        DataFrame::from_source(Arc::new(FromBag {
            bag: self.clone(),
            fields,
            is_value,
            rows: Arc::default(),
            record: PhantomData,
        }))
    }
}

fn fields_of<T: DeserializeOwned>() -> std::result::Result<Vec<FieldRef>, String> {
    let options = TracingOptions::default()
        .allow_null_fields(true)
        .strings_as_large_utf8(false)
        .sequence_as_large_list(false)
        .enums_without_data_as_strings(true);
    Vec::<FieldRef>::from_type::<T>(options).map_err(|error| {
        format!(
            "{} has no fixed columns: {error}; use a struct whose fields have fixed types",
            std::any::type_name::<T>()
        )
    })
}

/// An item that is no record, as the one field of one.
#[derive(Serialize, serde::Deserialize)]
struct Value<T> {
    value: T,
}

/// A bag as a source of batches.
struct FromBag<S: Stage, T> {
    bag: Bag<S>,
    fields: std::result::Result<Vec<FieldRef>, String>,
    /// Whether the items are no records, and become the column `value`.
    is_value: bool,
    /// Rows per partition: one that is streamed again, by a second run, is counted once.
    rows: Arc<Mutex<BTreeMap<u32, u64>>>,
    record: PhantomData<fn() -> T>,
}

/// A bag in a graph: its partitions are known, and the layers that they are computed from.
struct BoundBag<T> {
    partitions: Box<dyn BagStream<T>>,
    fields: Vec<FieldRef>,
    is_value: bool,
    rows: Arc<Mutex<BTreeMap<u32, u64>>>,
}

impl<S, T> PartitionSource for FromBag<S, T>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        "from-bag"
    }

    fn schema(&self) -> SchemaRef {
        let fields = self
            .fields
            .as_ref()
            .map_or_else(|_| Vec::new(), Clone::clone);
        Arc::new(Schema::new(fields))
    }

    fn bind(&self, graph: &mut Graph) -> Result<Option<Bound>> {
        let mistake = |message: &String| Error::invalid(message.clone());
        let fields = self.fields.as_ref().map_err(mistake)?;
        let partitions = Box::new(self.bag.partition_stream(graph)?) as Box<dyn BagStream<T>>;
        let inputs = partitions.inputs().to_vec();
        let source = Arc::new(BoundBag {
            partitions,
            fields: fields.clone(),
            is_value: self.is_value,
            rows: Arc::clone(&self.rows),
        });
        Ok(Some(Bound { source, inputs }))
    }

    fn partition_count(&self) -> u32 {
        0 // not known before it is bound
    }

    fn stream(
        &self,
        _: u32,
        _: Inputs<'_>,
        _: &Scan,
        _: &TaskContext<'_>,
        _: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        Err(Error::bug("a bag is streamed without a graph"))
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        0
    }

    fn outcome(&self) -> Outcome {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        Outcome {
            rows: rows.values().sum(),
            ..Outcome::default()
        }
    }
}

impl<T: Serialize + 'static> PartitionSource for BoundBag<T> {
    fn name(&self) -> &str {
        "from-bag"
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.fields.clone()))
    }

    fn partition_count(&self) -> u32 {
        self.partitions.partition_count()
    }

    fn deps(&self, partition: u32, deps: &mut Deps<'_>) {
        self.partitions.deps(partition, 0, deps);
    }

    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let mut total = 0u64;
        let bag = &self.partitions;
        bag.for_each_batch(partition, inputs, ctx, BATCH_ROWS, &mut |rows, bytes| {
            total += rows.len() as u64;
            // the columns that are made of the records, beside them
            let _lease = ctx.reserve(bytes)?;
            let batch = match self.is_value {
                true => {
                    let values = rows.iter().map(|value| Value { value });
                    serde_arrow::to_record_batch(&self.fields, &values.collect::<Vec<_>>())
                }
                false => serde_arrow::to_record_batch(&self.fields, &rows),
            };
            let batch = batch.map_err(Error::failed)?;
            each(batch.project(&scan.columns).map_err(Error::failed)?)
        })?;
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.insert(partition, total);
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, _: &Scan) -> u64 {
        self.partitions.footprint(partition).own_bytes() + (4 << 20)
    }

    fn assumption(&self) -> Option<String> {
        Some(format!(
            "{BATCH_ROWS} records of the bag and their columns fit in 4 MiB"
        ))
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        self.partitions.io_bytes(partition)
    }
}
