//! The seams between collections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use flagstone_bag::{Bag, PartitionSource as BagPartitions, Stage};
use flagstone_frame::{BATCH_ROWS, DataFrame, Outcome, PartitionSource, Scan};
use flagstone_graph::{Error, Graph, Inputs, IoBytes, Result, TaskContext};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_arrow::schema::{SchemaLike, TracingOptions};

mod sealed {
    pub trait Sealed {}
}

/// Turns one kind of collection into another. The records flow on: nothing is computed or held.
pub trait Seams: sealed::Sealed {
    /// The record type.
    type Record;

    /// A dataframe with a column per field of the record type, nested fields nested. The schema
    /// comes from the type: no record is looked at, an empty first partition is as good as any.
    fn to_dataframe(&self) -> DataFrame;
}

impl<S> sealed::Sealed for Bag<S> {}

impl<S, T> Seams for Bag<S>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Record = T;

    #[track_caller]
    fn to_dataframe(&self) -> DataFrame {
        DataFrame::from_source(Arc::new(FromBag {
            bag: self.clone(),
            planned: OnceLock::new(),
            rows: Mutex::default(),
            fields: fields_of::<T>(),
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

/// A bag as a source of batches.
struct FromBag<S: Stage, T> {
    bag: Bag<S>,
    planned: OnceLock<std::result::Result<Box<dyn BagPartitions<T>>, String>>,
    /// Rows per partition: one that is streamed again, by a second run, is counted once.
    rows: Mutex<BTreeMap<u32, u64>>,
    fields: std::result::Result<Vec<FieldRef>, String>,
}

impl<S, T> FromBag<S, T>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn planned(&self) -> Result<&dyn BagPartitions<T>> {
        let planned = self.planned.get_or_init(|| {
            let mut graph = Graph::new();
            let source = self
                .bag
                .partition_source(&mut graph)
                .map_err(|e| e.to_string())?;
            match source.inputs().is_empty() {
                true => Ok(Box::new(source) as Box<dyn BagPartitions<T>>),
                false => Err(
                    "a bag that is the result of a reduction becomes a dataframe after \
                              it was computed: collect it and use Bag::from_sequence"
                        .to_owned(),
                ),
            }
        });
        planned
            .as_deref()
            .map_err(|message| Error::invalid(message.clone()))
    }
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

    fn partition_count(&self) -> u32 {
        // a bag that cannot be planned has one partition, which says why
        self.planned().map_or(1, |bag| bag.partition_count())
    }

    fn stream(
        &self,
        partition: u32,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let fields = self
            .fields
            .as_ref()
            .map_err(|message| Error::invalid(message.clone()))?;
        let bag = self.planned()?;
        let mut total = 0u64;
        let inputs = Inputs::new(&mut []);
        bag.for_each_batch(partition, inputs, ctx, BATCH_ROWS, &mut |rows, bytes| {
            total += rows.len() as u64;
            // the columns that are made of the records, beside them
            let _lease = ctx.reserve(bytes)?;
            let batch = serde_arrow::to_record_batch(fields, &rows).map_err(Error::failed)?;
            each(batch.project(&scan.columns).map_err(Error::failed)?)
        })?;
        self.rows
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .insert(partition, total);
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, _: &Scan) -> u64 {
        self.planned()
            .map_or(0, |bag| bag.footprint(partition).own_bytes())
            + (4 << 20)
    }

    fn assumption(&self) -> Option<String> {
        Some(format!(
            "{BATCH_ROWS} records of the bag and their columns fit in 4 MiB"
        ))
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        self.planned()
            .map_or(IoBytes::default(), |bag| bag.io_bytes(partition))
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            rows: self
                .rows
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .values()
                .sum(),
            ..Outcome::default()
        }
    }
}
