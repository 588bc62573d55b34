//! Bags as dataframes.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use flagstone_bag::{Bag, BagStream, RecordKeys, Stage};
use flagstone_common::{Error, Result, TaskContext};
use flagstone_frame::{BATCH_ROWS, DataFrame, WriteReport, record_schema};
use flagstone_graph::{Deps, Flow, Footprint, Inputs, IoBytes, LayerId, PartitionStream};
use serde::Serialize;
use serde::de::DeserializeOwned;

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
        let schema = Schema::new(fields.clone().unwrap_or_default());
        let bag = self.clone();
        DataFrame::from_stream("from-bag", Arc::new(schema), move |graph| {
            let fields = fields.clone().map_err(Error::invalid)?;
            let records: Box<dyn BagStream<T>> = Box::new(bag.partition_stream(graph)?);
            Ok(Arc::new(Batches {
                records,
                fields,
                is_value,
            }))
        })
    }
}

/// The columns of a record type; why there are none, to be told when the frame is used.
fn fields_of<T: DeserializeOwned>() -> std::result::Result<Vec<FieldRef>, String> {
    let schema = record_schema::<T>();
    let schema = schema.map_err(|error| error.message().to_owned())?;
    Ok(schema.fields().iter().cloned().collect())
}

/// An item that is no record, as the one field of one.
#[derive(Serialize, serde::Deserialize)]
struct Value<T> {
    value: T,
}

/// The records of a bag as batches.
struct Batches<T> {
    records: Box<dyn BagStream<T>>,
    fields: Vec<FieldRef>,
    /// Whether the items are no records, and become the column `value`.
    is_value: bool,
}

impl<T: Serialize + 'static> PartitionStream<RecordBatch> for Batches<T> {
    fn partition_count(&self) -> u32 {
        self.records.partition_count()
    }

    fn inputs(&self) -> &[LayerId] {
        self.records.inputs()
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        self.records.deps(partition, first, deps);
    }

    fn dep_count(&self, partition: u32) -> usize {
        self.records.dep_count(partition)
    }

    fn footprint(&self, partition: u32) -> Footprint {
        let reading = self.records.footprint(partition).own_bytes();
        Footprint::estimated(0).with_scratch(reading + (4 << 20))
    }

    fn assumption(&self) -> Option<String> {
        Some(format!(
            "{BATCH_ROWS} records of the bag and their columns fit in 4 MiB"
        ))
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        self.records.io_bytes(partition)
    }

    fn for_each(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let mut push = |rows: &[T], bytes| {
            // the columns that are made of the records, beside them
            let _lease = ctx.reserve(bytes)?;
            let batch = match self.is_value {
                true => {
                    let values = rows.iter().map(|value| Value { value });
                    serde_arrow::to_record_batch(&self.fields, &values.collect::<Vec<_>>())
                }
                false => serde_arrow::to_record_batch(&self.fields, &rows),
            };
            each(batch.map_err(Error::failed)?)
        };
        self.records
            .for_each_batch(partition, inputs, ctx, BATCH_ROWS, &mut push)
    }
}
