//! What is computed: keys, what aggregations read, and the states of each.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use flagstone_common::Result;

use crate::error::arrow_error;
use crate::kernels::key::{KeyCodec, plain_column};
use crate::kernels::state::States;
use crate::ops::operator::evaluate;

/// Makes the states of an aggregation, of no group yet.
pub(crate) type Make = Arc<dyn Fn() -> Result<Box<dyn States>> + Send + Sync>;

/// One aggregation over some of the plan's inputs.
pub(crate) struct Aggregation {
    pub(crate) states: Make,
    /// Places of its arguments among the inputs.
    pub(crate) args: Vec<usize>,
    /// The place of the condition for rows that count.
    pub(crate) filter: Option<usize>,
}

/// Keys and aggregations over the batches that reach them.
pub(crate) struct GroupPlan {
    pub(crate) keys: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) key_types: Vec<DataType>,
    /// What aggregations read, each once; dictionaries as their values.
    pub(crate) inputs: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) input_types: Vec<DataType>,
    pub(crate) aggregations: Vec<Aggregation>,
    /// Keys, then results.
    pub(crate) schema: SchemaRef,
}

/// How rows become bytes and groups become rows.
pub(super) struct Codecs {
    /// None where there are no keys.
    pub(super) keys: Option<KeyCodec>,
    /// None where nothing is read.
    pub(super) inputs: Option<KeyCodec>,
}

impl GroupPlan {
    pub(super) fn codecs(&self) -> Result<Codecs> {
        let some = |types: &[DataType]| (!types.is_empty()).then(|| types.to_vec());
        let keys = some(&self.key_types).map(|types| KeyCodec::new(&types));
        let inputs = some(&self.input_types).map(|types| KeyCodec::plain(&types));
        Ok(Codecs {
            keys: keys.transpose()?,
            inputs: inputs.transpose()?,
        })
    }

    pub(super) fn keys_of(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.keys.iter().map(|key| evaluate(key, batch)).collect()
    }

    pub(super) fn inputs_of(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let inputs = self.inputs.iter();
        inputs
            .map(|input| plain_column(&evaluate(input, batch)?))
            .collect()
    }

    /// Keys and results as rows of the plan's schema.
    pub(super) fn rows(&self, mut columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        for (column, field) in columns.iter_mut().zip(self.schema.fields()) {
            if column.data_type() != field.data_type() {
                *column = arrow::compute::cast(column, field.data_type()).map_err(arrow_error)?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        batch.map_err(arrow_error)
    }
}
