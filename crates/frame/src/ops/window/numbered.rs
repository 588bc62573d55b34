//! Where rows were before they were sorted.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flagstone_common::{Lease, Result, TaskContext};
use flagstone_graph::{Block, Flow};

use crate::error::arrow_error;
use crate::ops::operator::{Drain, Operator};

/// Adds each row's place as the last column: windows above one another are all about the order that
/// rows have below them.
pub(crate) struct Numbered {
    pub(crate) schema: SchemaRef,
}

impl Numbered {
    /// For rows with this schema.
    pub(crate) fn over(schema: &SchemaRef) -> Self {
        let place = Arc::new(Field::new("place", DataType::UInt64, false));
        let fields = schema.fields().iter().cloned().chain([place]);
        Numbered {
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        }
    }
}

struct Numbering<'a> {
    schema: &'a SchemaRef,
    next: u64,
    lease: Lease,
    then: Box<dyn Drain + 'a>,
}

impl Operator for Numbered {
    fn open<'a>(
        &'a self,
        partition: u32,
        ctx: &'a TaskContext<'a>,
        next: Box<dyn Drain + 'a>,
    ) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Numbering {
            schema: &self.schema,
            next: u64::from(partition) << 40,
            lease: ctx.reserve(0)?,
            then: next,
        }))
    }

    fn scratch_bytes(&self) -> u64 {
        (8 * crate::source::BATCH_ROWS) as u64
    }
}

impl Drain for Numbering<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let rows = batch.num_rows() as u64;
        self.lease.ensure(8 * rows)?;
        let places: UInt64Array = (self.next..self.next + rows).collect();
        self.next += rows;
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(places));
        let numbered = RecordBatch::try_new(Arc::clone(self.schema), columns);
        self.then.push(numbered.map_err(arrow_error)?)
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.then.finish()
    }
}
