//! From the optimised plan to layers. A node that has no out-of-core operator here is an error
//! that names it, never a silent fallback to memory.

use std::sync::Arc;

use arrow::datatypes::{DataType, Fields, Schema, SchemaRef};
use datafusion_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion_expr::logical_plan::{Aggregate, TableScan};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use flagstone_common::{Error, Result};
use flagstone_graph::{Graph, LayerId};

use super::logical::FrameTable;
use super::physical::physical;
use super::wanted;
use crate::error::plan_error;
use crate::json::Wanted;
use crate::kernels::state::State;
use crate::ops::aggregate::{Aggregation, Function, GroupPlan, GroupSink, MergeLayer};
use crate::ops::pipeline::{PipelineLayer, Sink, Step, TailLayer};
use crate::source::batches::BatchSource;
use crate::source::{Bound, PartitionSource, Scan};

/// A plan as our operators run it.
pub(crate) struct Lowered {
    pub(crate) source: Arc<dyn PartitionSource>,
    pub(crate) scan: Scan,
    steps: Vec<Step>,
    groups: Option<(GroupPlan, Vec<Step>)>,
    /// Of the rows that come out.
    pub(crate) schema: SchemaRef,
    /// A partition whose rows the schema does not hold fails.
    strict: bool,
}

/// That every result of a plan is a column of the source, or a member of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    filtered: bool,
}

impl Columns {
    /// Whether the rows with the wider schema are those with the one before, cast. A condition
    /// over a column of another type may hold for other rows.
    pub(crate) fn casts_to(self, after: &Columns, before: &Schema, wider: &Schema) -> bool {
        let filtered = self.filtered || after.filtered;
        !filtered || adds_only(before.fields(), wider.fields())
    }
}

/// Whether all fields are there still, of the same types but for further members.
fn adds_only(before: &Fields, wider: &Fields) -> bool {
    before.iter().all(|field| {
        wider.find(field.name()).is_some_and(|(_, wider)| {
            match (field.data_type(), wider.data_type()) {
                (DataType::Struct(a), DataType::Struct(b)) => adds_only(a, b),
                (a, b) => a == b,
            }
        })
    })
}

/// What has been lowered on the way up from the scan.
struct Chain {
    source: Arc<dyn PartitionSource>,
    scan: Scan,
    steps: Vec<Step>,
    groups: Option<(GroupPlan, Vec<Step>)>,
    /// Whether rows still have the source's columns, so that what is read of them matters.
    at_scan: bool,
}

pub(crate) fn lower(plan: &LogicalPlan) -> Result<Lowered> {
    let mut chain = chain(plan)?;
    if chain.at_scan {
        // no projection above: every scanned column is a result
        want_columns(&mut chain);
    }
    let schema = Arc::new(plan.schema().as_arrow().clone());
    let Chain {
        source,
        scan,
        steps,
        groups,
        ..
    } = chain;
    Ok(Lowered {
        source,
        scan,
        steps,
        groups,
        schema,
        strict: false,
    })
}

impl Lowered {
    /// `None` when something is computed or grouped.
    pub(crate) fn columns(&self) -> Option<Columns> {
        let copies = |step: &Step| match step {
            Step::Filter(_) => true,
            Step::Project { exprs, .. } => exprs.iter().all(is_column),
        };
        let plain = self.groups.is_none() && self.steps.iter().all(copies);
        let filtered = |step: &Step| matches!(step, Step::Filter(_));
        plain.then(|| Columns {
            filtered: !self.scan.filters.is_empty() || self.steps.iter().any(filtered),
        })
    }

    /// Refuses rows that the schema does not hold.
    pub(crate) fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Pushes the layer that runs some of the partitions; there are no groups.
    pub(crate) fn push_only(
        self,
        graph: &mut Graph,
        sink: Arc<dyn Sink>,
        partitions: Vec<u32>,
    ) -> Result<LayerId> {
        let (source, inputs) = bound(self.source, graph)?;
        let mut layer = PipelineLayer::new(source, self.scan, Arc::new(self.steps), sink);
        layer.only = Some(partitions);
        Ok(graph.push(layer, &inputs))
    }

    /// Whether rows are grouped, so that states are held in memory.
    pub(crate) fn has_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// Pushes the layers that end in `sink` and returns the last one.
    ///
    /// # Errors
    /// Those of lowering what the source is computed from.
    pub(crate) fn push(self, graph: &mut Graph, sink: Arc<dyn Sink>) -> Result<LayerId> {
        let Lowered {
            source,
            scan,
            steps,
            groups,
            strict,
            ..
        } = self;
        let (source, inputs) = bound(source, graph)?;
        let steps = Arc::new(steps);
        let pipeline = |sink: Arc<dyn Sink>| {
            let mut layer = PipelineLayer::new(source.clone(), scan, steps, sink);
            layer.strict = strict;
            layer
        };
        let Some((plan, after)) = groups else {
            return Ok(graph.push(pipeline(sink), &inputs));
        };
        let partition_count = source.partition_count();
        let plan = Arc::new(plan);
        let partial = Arc::new(GroupSink { plan: plan.clone() });
        let tables = graph.push(pipeline(partial), &inputs);
        let merge = MergeLayer::new(plan, partition_count);
        let input_task = merge.root();
        let merged = graph.push(merge, &[tables]);
        let name = sink.name().to_owned();
        Ok(graph.push(
            TailLayer {
                name,
                input_task,
                steps: after,
                sink,
            },
            &[merged],
        ))
    }
}

/// The source as part of a graph, and the layers that it reads.
fn bound(
    source: Arc<dyn PartitionSource>,
    graph: &mut Graph,
) -> Result<(Arc<dyn PartitionSource>, Vec<LayerId>)> {
    Ok(match source.bind(graph)? {
        Some(Bound { source, inputs }) => (source, inputs),
        None => (source, Vec::new()),
    })
}

fn chain(plan: &LogicalPlan) -> Result<Chain> {
    match plan {
        LogicalPlan::TableScan(scan) => table_scan(scan),
        LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row => {
            let schema = Arc::new(empty.schema.as_arrow().clone());
            let columns = (0..schema.fields().len()).collect();
            Ok(Chain {
                source: Arc::new(BatchSource {
                    schema,
                    batches: Vec::new(),
                }),
                scan: Scan {
                    columns,
                    filters: Vec::new(),
                    wanted: Wanted::All,
                },
                steps: Vec::new(),
                groups: None,
                at_scan: true,
            })
        }
        LogicalPlan::SubqueryAlias(alias) => chain(&alias.input),
        LogicalPlan::Filter(filter) => {
            let mut chain = chain(&filter.input)?;
            chain.read([&filter.predicate]);
            let predicate = physical(&filter.predicate, filter.input.schema())?;
            chain.step(Step::Filter(predicate));
            Ok(chain)
        }
        LogicalPlan::Projection(projection) => {
            let mut chain = chain(&projection.input)?;
            chain.read(&projection.expr);
            chain.at_scan = false;
            let input = projection.input.schema();
            let exprs = projection.expr.iter().map(|expr| physical(expr, input));
            let exprs = exprs.collect::<Result<Vec<_>>>()?;
            let schema = Arc::new(projection.schema.as_arrow().clone());
            chain.step(Step::Project { exprs, schema });
            Ok(chain)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let mut chain = chain(&aggregate.input)?;
            if chain.groups.is_some() {
                return Err(not_lowered("a group-by over a group-by"));
            }
            chain.read(aggregate.group_expr.iter().chain(&aggregate.aggr_expr));
            chain.at_scan = false;
            chain.groups = Some((group(aggregate)?, Vec::new()));
            Ok(chain)
        }
        other => Err(not_lowered(&other.display().to_string())),
    }
}

impl Chain {
    fn step(&mut self, step: Step) {
        match &mut self.groups {
            Some((_, after)) => after.push(step),
            None => self.steps.push(step),
        }
    }

    fn read<'a>(&mut self, exprs: impl IntoIterator<Item = &'a Expr>) {
        if self.at_scan {
            exprs
                .into_iter()
                .for_each(|expr| wanted::add(&mut self.scan.wanted, expr));
        }
    }
}

fn not_lowered(what: &str) -> Error {
    Error::invalid(format!(
        "{what} has no out-of-core operator yet, so the plan is refused: compute it in another way"
    ))
}

fn table_scan(scan: &TableScan) -> Result<Chain> {
    let Some(table) = scan.source.downcast_ref::<FrameTable>() else {
        return Err(not_lowered("a table that is no frame"));
    };
    if scan.fetch.is_some() {
        return Err(not_lowered("a limit on a scan"));
    }
    let source = table.source.clone();
    let all = || (0..source.schema().fields().len()).collect();
    let columns = scan.projection.clone().unwrap_or_else(all);
    let mut wanted = Wanted::Fields(Vec::new());
    scan.filters
        .iter()
        .for_each(|filter| wanted::add(&mut wanted, filter));
    let scan = Scan {
        columns,
        filters: scan.filters.clone(),
        wanted,
    };
    Ok(Chain {
        source,
        scan,
        steps: Vec::new(),
        groups: None,
        at_scan: true,
    })
}

fn want_columns(chain: &mut Chain) {
    let schema = chain.source.schema();
    if chain.scan.columns.len() == schema.fields().len() {
        chain.scan.wanted = Wanted::All;
        return;
    }
    for &column in &chain.scan.columns {
        chain
            .scan
            .wanted
            .add(&[schema.field(column).name().clone()]);
    }
}

/// A column, or a member taken out of one.
fn is_column(expr: &Arc<dyn PhysicalExpr>) -> bool {
    if expr.downcast_ref::<Column>().is_some() {
        return true;
    }
    let call = expr.downcast_ref::<ScalarFunctionExpr>();
    call.is_some_and(|call| {
        call.name() == "get_field" && call.args().first().is_some_and(is_column)
    })
}

fn group(aggregate: &Aggregate) -> Result<GroupPlan> {
    let input = aggregate.input.schema();
    let physical_of = |expr: &Expr| physical(expr, input);
    let type_of = |expr: &Expr| expr.get_type(input).map_err(plan_error);
    let keys = aggregate
        .group_expr
        .iter()
        .map(physical_of)
        .collect::<Result<_>>()?;
    let key_types = aggregate
        .group_expr
        .iter()
        .map(type_of)
        .collect::<Result<_>>()?;
    let mut aggregations = Vec::new();
    for expr in &aggregate.aggr_expr {
        let mut inner = expr;
        // count(*) has a name of its own below the one that the user gave it
        while let Expr::Alias(alias) = inner {
            inner = &alias.expr;
        }
        let Expr::AggregateFunction(AggregateFunction { func, params }) = inner else {
            return Err(not_lowered(&expr.to_string()));
        };
        let AggregateFunctionParams {
            args,
            distinct,
            filter,
            order_by,
            ..
        } = params;
        let function = match func.name() {
            "sum" => Function::Sum,
            "avg" => Function::Mean,
            "min" => Function::Min,
            "max" => Function::Max,
            "count" => Function::Count,
            _ => return Err(not_lowered(&expr.to_string())),
        };
        let [argument] = args.as_slice() else {
            return Err(not_lowered(&expr.to_string()));
        };
        if *distinct || filter.is_some() || !order_by.is_empty() {
            return Err(not_lowered(&expr.to_string()));
        }
        let argument_type = type_of(argument)?;
        let best = matches!(function, Function::Min | Function::Max);
        let sums = matches!(function, Function::Sum | Function::Mean);
        if (best && !State::orders(&argument_type))
            || (sums && !(argument_type.is_integer() || argument_type.is_floating()))
        {
            return Err(not_lowered(&format!("{expr} of type {argument_type}")));
        }
        let argument = physical(argument, input)?;
        aggregations.push(Aggregation {
            function,
            argument,
            argument_type,
        });
    }
    let schema = Arc::new(aggregate.schema.as_arrow().clone());
    Ok(GroupPlan {
        keys,
        key_types,
        aggregations,
        schema,
    })
}
