//! Dataframes as bags: of typed or dynamic records, and of record batches.

use std::any::type_name;

use arrow::array::RecordBatch;
use flagstone_bag::{Bag, Flow, FromBlocks, RecordKeys, Source};
use flagstone_common::{Error, Result};
use flagstone_frame::{DataFrame, Partition, col};
use flagstone_graph::{Block, Graph, LayerId, SerialExecutor};
use serde::de::DeserializeOwned;

use crate::session::Session;

impl Session {
    /// The rows of a dataframe as a bag of records, made one by one as they stream by: of a struct
    /// whose fields are columns (columns that it does not have are not read), or of
    /// [`serde_json::Value`]s with every column.
    ///
    /// ```
    /// # use flagstone::{Bag, BagExt, Session};
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Square { n: u64, square: u64 }
    /// # let session = Session::builder().memory("64 MiB").build()?;
    /// let frame = Bag::range(0..10, 2).map(|n| Square { n, square: n * n }).to_dataframe();
    /// let large = session.dataframe_to_bag::<Square>(&frame)?.filter(|row| row.square > 50);
    /// assert_eq!(session.compute(&large.map(|row| row.n))?, [8, 9]);
    /// # Ok::<(), flagstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the dataframe was made. A row that is no `T` fails the run, with its place.
    #[track_caller]
    pub fn dataframe_to_bag<T: DeserializeOwned + 'static>(
        &self,
        frame: &DataFrame,
    ) -> Result<Bag<Source<FromBlocks<T>>>> {
        let frame = match RecordKeys::of::<T>() {
            RecordKeys::Fields(fields) => {
                let schema = frame.planned_schema_with(self)?;
                let has = |name: &&str| schema.column_with_name(name).is_some();
                let columns: Vec<_> = fields.iter().copied().filter(has).map(col).collect();
                frame.select(columns)
            }
            RecordKeys::Own | RecordKeys::None => frame.clone(),
        };
        let lower = self.lower_frame(&frame)?;
        Ok(Bag::from_blocks(lower, |block, _, push| {
            let mut before = 0;
            batches(block)?.iter().try_for_each(|batch| {
                each_row(batch, before, push)?;
                before += batch.num_rows();
                Ok(())
            })
        }))
    }

    /// The record batches of a dataframe as a bag: Arrow data for closures of your own, such as
    /// JSON lines that were read to columns (`DataFrame::read_json`). A batch shares its buffers
    /// with the partition that it is of.
    ///
    /// ```
    /// # use flagstone::{Bag, BagExt, Session};
    /// # let session = Session::builder().memory("64 MiB").build()?;
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Row { n: u64 }
    /// # let frame = Bag::range(0..10, 2).map(|n| Row { n }).to_dataframe();
    /// let rows = session.dataframe_to_batches(&frame)?.map(|batch| batch.num_rows() as u64);
    /// assert_eq!(session.compute(&rows.sum::<u64>())?, 10);
    /// # Ok::<(), flagstone::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the dataframe was made.
    #[track_caller]
    pub fn dataframe_to_batches(
        &self,
        frame: &DataFrame,
    ) -> Result<Bag<Source<FromBlocks<RecordBatch>>>> {
        let lower = self.lower_frame(frame)?;
        Ok(Bag::from_blocks(lower, |block, _, push| {
            batches(block)?.iter().cloned().try_for_each(push)
        }))
    }

    fn lower_frame(
        &self,
        frame: &DataFrame,
    ) -> Result<impl Fn(&mut Graph) -> Result<LayerId> + Send + Sync + use<>> {
        // lists and samples its files, and finds a mistake now rather than in every run
        frame.build(&mut Graph::new(), self)?;
        let frame = frame.clone();
        Ok(move |graph: &mut Graph| frame.build(graph, &SerialExecutor))
    }
}

fn batches(block: &Block) -> Result<&[RecordBatch]> {
    let rows = block.downcast_ref::<Partition>();
    let rows = rows.ok_or_else(|| Error::bug("not a block of a dataframe"))?;
    Ok(&rows.batches)
}

fn each_row<T: DeserializeOwned>(
    batch: &RecordBatch,
    rows_before: usize,
    push: &mut dyn FnMut(T) -> Flow,
) -> Flow {
    let rows = serde_arrow::Deserializer::from_record_batch(batch).map_err(Error::failed)?;
    for (row, record) in rows.iter().enumerate() {
        let record = T::deserialize(record).map_err(|error| {
            let (row, name) = (rows_before + row, type_name::<T>());
            Error::failed(format!("row {row} of a partition is no {name}: {error}; select the columns that it has, or cast them"))
        })?;
        push(record)?;
    }
    Ok(())
}
