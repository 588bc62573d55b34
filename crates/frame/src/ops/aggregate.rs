//! Group-by as a tree: one table of partial states per partition, merged eight at a time.
//!
//! Which rows are summed together never depends on threads or budget: inside a partition a sum of
//! floats adds up each batch first (a constant number of rows) and then the batches in order;
//! tables are merged in order of partitions along a tree of fixed fan-in. Tables are sorted by key,
//! and so is the result. The states of all groups of a table are in memory (their lease grows with
//! them): a table that does not fit is an error that says so.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_graph::{Block, Deps, Flow, Footprint, Graph, Inputs, Layer, Parts, Tree, ended};

use super::operator::{Drain, evaluate};
use super::pipeline::{Pipeline, Sink};
use crate::error::arrow_error;
use crate::kernels::group::GroupTable;
use crate::kernels::state::{Slot, State};
use crate::partition::{Partition, batch_bytes};
use crate::source::{BATCH_ROWS, Bound, PartitionSource, Scan};

/// How many tables are merged at once.
pub(crate) const FAN_IN: u32 = 8;

/// What is computed for each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Sum,
    Mean,
    Min,
    Max,
    Count,
}

pub(crate) struct Aggregation {
    pub(crate) function: Function,
    pub(crate) argument: Arc<dyn PhysicalExpr>,
    pub(crate) argument_type: DataType,
}

/// Keys and aggregations over the batches that reach them.
pub(crate) struct GroupPlan {
    pub(crate) keys: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) key_types: Vec<DataType>,
    pub(crate) aggregations: Vec<Aggregation>,
    /// Keys, then results.
    pub(crate) schema: SchemaRef,
}

impl GroupPlan {
    fn slots(&self) -> Vec<Slot> {
        self.aggregations
            .iter()
            .flat_map(Aggregation::slots)
            .collect()
    }

    fn table(&self, ctx: &TaskContext<'_>) -> Result<Building> {
        Ok(Building {
            table: GroupTable::new(&self.key_types)?,
            states: self.slots().iter().map(State::new).collect(),
            lease: ctx.reserve(0)?,
            batches: 0,
        })
    }
}

impl Aggregation {
    fn slots(&self) -> Vec<Slot> {
        let of = |slot: Slot| vec![slot];
        match self.function {
            Function::Sum => of(Slot::sum_of(&self.argument_type)),
            Function::Mean => vec![Slot::SumFloat, Slot::Count],
            Function::Min => of(Slot::Min(self.argument_type.clone())),
            Function::Max => of(Slot::Max(self.argument_type.clone())),
            Function::Count => of(Slot::Count),
        }
    }
}

/// A table being filled.
struct Building {
    table: GroupTable,
    states: Vec<State>,
    lease: Lease,
    batches: u32,
}

impl Building {
    fn grow(&mut self) -> Result<()> {
        let groups = self.table.len();
        self.states
            .iter_mut()
            .for_each(|state| state.resize(groups));
        let states: usize = self.states.iter().map(State::bytes).sum();
        Ok(self.lease.ensure((self.table.bytes() + states) as u64)?)
    }

    fn update(&mut self, plan: &GroupPlan, batch: &RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        let column = |expr: &Arc<dyn PhysicalExpr>| evaluate(expr, batch);
        let keys = plan.keys.iter().map(column).collect::<Result<Vec<_>>>()?;
        // every row may be a new group
        let mut growth = rows * 32;
        for key in &keys {
            // of a slice its own rows, not all of its buffer
            growth += key.to_data().get_slice_memory_size().map_err(arrow_error)?;
        }
        self.lease
            .ensure(self.lease.bytes().max((self.table.bytes() + growth) as u64))?;
        let groups = self.table.groups(&keys, rows)?;
        self.grow()?;
        self.batches += 1;
        let groups = groups.as_slice();
        let mut slot = 0;
        for aggregation in &plan.aggregations {
            let argument = column(&aggregation.argument)?;
            let count = aggregation.slots().len();
            for state in &mut self.states[slot..slot + count] {
                state.update(groups, &argument, self.batches)?;
            }
            slot += count;
        }
        // text states grow while they are updated
        self.grow()
    }

    fn merge(&mut self, plan: &GroupPlan, batch: &RecordBatch) -> Result<()> {
        let (keys, states) = batch.columns().split_at(plan.keys.len());
        let groups = self.table.groups(keys, batch.num_rows())?;
        self.grow()?;
        self.batches += 1;
        for (state, column) in self.states.iter_mut().zip(states) {
            state.merge(&groups, column, self.batches)?;
        }
        self.grow()
    }

    /// The table sorted by key; `last`: as results, otherwise as states.
    fn finish(mut self, plan: &GroupPlan, last: bool) -> Result<Block> {
        if plan.keys.is_empty() {
            // a sum over no rows is a row too
            self.table.ensure_one();
            self.grow()?;
        }
        let order = self.table.sorted();
        let mut columns = self.table.keys(&order)?;
        let states = self.states.into_iter().map(|state| state.finish(&order));
        let states = states.collect::<Result<Vec<_>>>()?;
        if !last {
            columns.extend(states);
            let fields: Vec<_> = columns
                .iter()
                .enumerate()
                .map(|(i, column)| {
                    arrow::datatypes::Field::new(format!("{i}"), column.data_type().clone(), true)
                })
                .collect();
            let schema = Arc::new(Schema::new(fields));
            return partition(schema, columns, order.len());
        }
        let mut states = states.into_iter();
        let mut next = || {
            states
                .next()
                .ok_or_else(|| Error::bug("a state is missing"))
        };
        for aggregation in &plan.aggregations {
            columns.push(match aggregation.function {
                Function::Mean => crate::kernels::state::mean(&next()?, &next()?)?,
                Function::Sum if aggregation.argument_type.is_integer() => {
                    crate::kernels::state::sums(&next()?, &aggregation.argument_type)?
                }
                _ => next()?,
            });
        }
        for (column, field) in columns.iter_mut().zip(plan.schema.fields()) {
            if column.data_type() != field.data_type() {
                *column = arrow::compute::cast(column, field.data_type()).map_err(arrow_error)?;
            }
        }
        partition(plan.schema.clone(), columns, order.len())
    }
}

fn partition(
    schema: SchemaRef,
    columns: Vec<arrow::array::ArrayRef>,
    rows: usize,
) -> Result<Block> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options);
    let batches = vec![batch.map_err(arrow_error)?];
    Ok(Block::new(Partition { schema, batches }))
}

/// The groups of a pipeline's rows, in one partition.
pub(crate) struct Grouped {
    plan: Arc<GroupPlan>,
    input: Pipeline,
}

impl Grouped {
    pub(crate) fn new(plan: GroupPlan, input: Pipeline) -> Self {
        let plan = Arc::new(plan);
        Grouped { plan, input }
    }
}

impl PartitionSource for Grouped {
    fn name(&self) -> &str {
        "groups"
    }

    fn schema(&self) -> SchemaRef {
        self.plan.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Option<Bound>> {
        let plan = Arc::clone(&self.plan);
        let partial = Arc::new(GroupSink { plan: plan.clone() });
        let tables = self.input.clone().push(graph, partial)?;
        let merge = MergeLayer::new(plan, graph.layer(tables).task_count());
        let root = merge.root();
        let inputs = vec![graph.push(merge, &[tables])];
        let schema = self.schema();
        let source = Arc::new(Merged { schema, root });
        Ok(Some(Bound { source, inputs }))
    }

    fn partition_count(&self) -> u32 {
        1
    }

    fn stream(
        &self,
        _: u32,
        _: Inputs<'_>,
        _: &Scan,
        _: &TaskContext<'_>,
        _: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        Err(Error::bug("groups are read without a graph"))
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        0
    }
}

/// The groups, once they are computed in a graph.
struct Merged {
    schema: SchemaRef,
    root: u32,
}

impl PartitionSource for Merged {
    fn name(&self) -> &str {
        "groups"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn partition_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, first: usize, deps: &mut Deps<'_>) {
        deps.push(first, self.root);
    }

    fn stream(
        &self,
        _: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        _: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let batches = &inputs.get::<Partition>(0)?.batches;
        ended(batches.iter().try_for_each(|batch| {
            let batch = batch.project(&scan.columns).map_err(arrow_error)?;
            let mut starts = (0..batch.num_rows()).step_by(BATCH_ROWS);
            starts.try_for_each(|start| {
                each(batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start)))
            })
        }))
    }

    fn scratch_bytes(&self, _: u32, _: &Scan) -> u64 {
        0
    }
}

/// Makes the table of a partition.
struct GroupSink {
    plan: Arc<GroupPlan>,
}

struct Grouping<'a> {
    plan: &'a GroupPlan,
    building: Building,
}

impl Sink for GroupSink {
    fn name(&self) -> &str {
        "group"
    }

    fn start<'a>(&'a self, _: u32, ctx: &'a TaskContext<'a>) -> Result<Box<dyn Drain + 'a>> {
        Ok(Box::new(Grouping {
            plan: &self.plan,
            building: self.plan.table(ctx)?,
        }))
    }

    fn footprint(&self) -> Footprint {
        Footprint::estimated(1 << 20).with_scratch(2 << 20)
    }

    fn assumption(&self) -> Option<String> {
        Some("the states of one partition's groups take 1 MiB".into())
    }
}

impl Drain for Grouping<'_> {
    fn push(&mut self, batch: RecordBatch) -> Flow {
        Ok(self.building.update(self.plan, &batch)?)
    }

    fn finish(self: Box<Self>) -> Result<Block> {
        self.building.finish(self.plan, false)
    }
}

/// Merges tables in order: a tree in one layer, whose last task gives the results.
struct MergeLayer {
    plan: Arc<GroupPlan>,
    tree: Tree,
}

impl MergeLayer {
    fn new(plan: Arc<GroupPlan>, leaf_count: u32) -> Self {
        let tree = Tree::new(leaf_count, FAN_IN);
        MergeLayer { plan, tree }
    }

    fn root(&self) -> u32 {
        self.tree.root()
    }
}

impl Layer for MergeLayer {
    fn name(&self) -> &str {
        "merge-groups"
    }

    fn task_count(&self) -> u32 {
        self.tree.count()
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        match self.tree.parts_of(task) {
            Parts::Leaves(leaves) => deps.range(0, leaves),
            Parts::Nodes(nodes) => nodes.for_each(|node| deps.own(node)),
        }
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::estimated(1 << 20).with_scratch(1 << 20)
    }

    fn assumption(&self) -> Option<String> {
        Some("the states of all groups take 1 MiB".into())
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let mut building = self.plan.table(ctx)?;
        for i in 0..inputs.len() {
            ctx.check_cancelled()?;
            let block = inputs.take(i)?;
            let Some(partition) = block.downcast_ref::<Partition>() else {
                return Err(Error::bug("a table of groups is of another type"));
            };
            for batch in &partition.batches {
                let _keys = ctx.reserve(batch_bytes(batch) / 2)?;
                building.merge(&self.plan, batch)?;
            }
        }
        building.finish(&self.plan, task == self.root())
    }
}
