//! The first rows, or the last: as many partitions are read as are needed for the first, and no more of
//! each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Block, Deps, Flow, Footprint, Graph, Inputs, Layer, Stop, ended};

use super::breaker::Breaker;
use super::native::Last;
use super::operator::{Drain, Operator};
use super::pipeline::Pipeline;
use super::stored::{READING_BYTES, Store, stored};
use crate::source::{Bound, PartitionSource, Scan};

/// Some rows of a pipeline.
pub(crate) struct Limited {
    input: Pipeline,
    rows: Wanted,
}

/// Which rows are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// From the row `skip` on, `fetch` of them or all.
    First {
        skip: u64,
        fetch: Option<u64>,
    },
    Last(u64),
}

impl Limited {
    pub(crate) fn new(input: Pipeline, rows: Wanted) -> Self {
        Limited { input, rows }
    }
}

impl Breaker for Limited {
    fn name(&self) -> &str {
        "limit"
    }

    fn schema(&self) -> SchemaRef {
        self.input.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Bound> {
        let mut input = self.input.clone();
        match self.rows {
            Wanted::First { fetch: None, .. } => {}
            Wanted::First {
                skip,
                fetch: Some(fetch),
            } => {
                let head = Head::new(skip.saturating_add(fetch));
                input.operators.push(Arc::new(head));
            }
            Wanted::Last(rows) => input.operators.push(Arc::new(Last(rows))),
        }
        let schema = self.schema();
        let rows = input.push(graph, Arc::new(Store::new(&schema)))?;
        let partitions = graph.layer(rows).task_count();
        let cut = Cut {
            partitions,
            rows: self.rows,
        };
        let inputs = vec![rows, graph.push(cut, &[rows])];
        let source = Arc::new(Cuts { schema, partitions });
        Ok(Bound { source, inputs })
    }
}

/// Passes rows on until there are so many in this partition and those before it.
///
/// What other partitions have found only saves work: each gives its own first rows, whoever was
/// faster, and those behind enough others are not asked for theirs.
pub(crate) struct Head {
    rows: u64,
    /// How many rows each partition has found until now.
    found: Mutex<BTreeMap<u32, u64>>,
}

impl Head {
    pub(crate) fn new(rows: u64) -> Self {
        let found = Mutex::default();
        Head { rows, found }
    }

    /// Whether the partitions before this one have found all rows.
    fn found_before(&self, partition: u32) -> u64 {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.range(..partition).map(|(_, rows)| rows).sum()
    }
}

impl Operator for Head {
    fn open<'a>(
        &'a self,
        partition: u32,
        _: &'a TaskContext<'a>,
        next: Box<dyn Drain + 'a>,
    ) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Heading {
            head: self,
            partition,
            passed: 0,
            next,
        }))
    }

    fn scratch_bytes(&self) -> u64 {
        0
    }

    fn has_enough(&self, partition: u32) -> bool {
        self.found_before(partition) >= self.rows
    }
}

struct Heading<'a> {
    head: &'a Head,
    partition: u32,
    passed: u64,
    next: Box<dyn Drain + 'a>,
}

impl Drain for Heading<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        let left = self.head.rows - self.passed;
        let rows = left.min(batch.num_rows() as u64);
        if rows > 0 {
            self.passed += rows;
            self.next.push(batch.slice(0, rows as usize))?;
            let found = self.head.found.lock();
            let mut found = found.unwrap_or_else(PoisonError::into_inner);
            found.insert(self.partition, self.passed);
        }
        match self.passed >= self.head.rows || self.head.has_enough(self.partition) {
            true => Err(Stop::Enough),
            false => Ok(()),
        }
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.next.finish()
    }
}

/// Says which rows of each partition are wanted: from where on, and how many.
struct Cut {
    partitions: u32,
    rows: Wanted,
}

/// Of each partition where the rows begin that are wanted, and how many they are.
type Parts = Vec<(u64, u64)>;

impl Layer for Cut {
    fn name(&self) -> &str {
        "cut"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.range(0, 0..self.partitions);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::bounded(64 + 24 * u64::from(self.partitions)).resident()
    }

    fn run(&self, _: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let rows = (0..inputs.len()).map(|partition| Ok(stored(&inputs, partition)?.rows()));
        let rows = rows.collect::<Result<Vec<u64>>>()?;
        let (mut skip, mut left) = match self.rows {
            Wanted::First { skip, fetch } => (skip, fetch.unwrap_or(u64::MAX)),
            Wanted::Last(wanted) => (rows.iter().sum::<u64>().saturating_sub(wanted), wanted),
        };
        let mut wanted = Parts::with_capacity(rows.len());
        for rows in rows {
            let start = skip.min(rows);
            skip -= start;
            let taken = (rows - start).min(left);
            left -= taken;
            wanted.push((start, taken));
        }
        Ok(Block::value(wanted))
    }
}

/// The wanted rows of each partition.
struct Cuts {
    schema: SchemaRef,
    partitions: u32,
}

impl PartitionSource for Cuts {
    fn name(&self) -> &str {
        "limit"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        self.partitions
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        deps.push(first, partition);
        deps.push(first + 1, 0);
    }

    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let wanted = inputs.value::<Parts>(1)?.get(partition as usize);
        let &(mut skip, mut left) = wanted.ok_or_else(|| Error::bug("a partition is not cut"))?;
        if left == 0 {
            return Ok(());
        }
        ended(stored(&inputs, 0)?.for_each(ctx, &mut |batch| {
            let rows = batch.num_rows() as u64;
            let start = skip.min(rows);
            skip -= start;
            let taken = (rows - start).min(left);
            left -= taken;
            if taken > 0 {
                let part = batch.slice(start as usize, taken as usize);
                each(scan.of(part)?)?;
            }
            match left {
                0 => Err(Stop::Enough),
                _ => Ok(()),
            }
        }))
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        READING_BYTES
    }
}
