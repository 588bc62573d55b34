//! From operations to DataFusion's logical plan, checked and optimised.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, DataFusionError};
use datafusion_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableSource,
};
use datafusion_functions::core::expr_fn::get_field;
use datafusion_optimizer::{Analyzer, Optimizer, OptimizerContext};
use flagstone_common::{Error, Result};

use super::physical::check_constants;
use super::{Node, Operation, functions, sql};
use crate::error::plan_error;
use crate::source::PartitionSource;

/// The name of the one table there is, as people may write it in SQL.
pub(crate) const TABLE: &str = "record";

/// A source as DataFusion sees it.
pub(crate) struct FrameTable {
    pub(crate) source: Arc<dyn PartitionSource>,
}

impl TableSource for FrameTable {
    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> std::result::Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        // sources leave out what they can; the filter above the scan decides
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// The plan as written. Errors have the line of the operation that is wrong.
pub(crate) fn plan(node: &Node, source: &Arc<dyn PartitionSource>) -> Result<LogicalPlan> {
    plan_of(node, source, None)
}

/// The plan of a node; a source is scanned for these columns, or for all.
fn plan_of(
    node: &Node,
    source: &Arc<dyn PartitionSource>,
    scanned: Option<Vec<usize>>,
) -> Result<LogicalPlan> {
    let input = node
        .input()
        .map(|input| plan_of(input, source, scanned_by(node, input, source)));
    let input = input.transpose()?;
    for expr in node.exprs() {
        functions::check(expr).map_err(|error| node.locate(error))?;
    }
    let built = match (&node.operation, input) {
        (Operation::Source(_), _) | (_, None) => {
            let table = Arc::new(FrameTable {
                source: source.clone(),
            });
            LogicalPlanBuilder::scan(TABLE, table, scanned).and_then(LogicalPlanBuilder::build)
        }
        (Operation::Select(_, exprs), Some(input)) => {
            let exprs = exprs
                .iter()
                .map(|expr| named(expr, input.schema()))
                .collect();
            project(input, exprs)
        }
        (Operation::SelectSql(_, list), Some(input)) => {
            let exprs = sql::select_list(list, input.schema()).map_err(|e| node.locate(e))?;
            project(input, exprs)
        }
        (Operation::Filter(_, expr), Some(input)) => filter(input, expr),
        (Operation::FilterSql(_, text), Some(input)) => {
            let expr = sql::condition(text, input.schema()).map_err(|e| node.locate(e))?;
            filter(input, &expr)
        }
        (Operation::WithColumn(_, name, expr), Some(input)) => {
            let value = resolve(expr.clone(), input.schema()).alias(name);
            let mut exprs = Vec::new();
            let mut value = Some(value);
            for (qualifier, field) in input.schema().iter() {
                if field.name() == name {
                    exprs.extend(value.take());
                } else {
                    exprs.push(Expr::Column(Column::new(qualifier.cloned(), field.name())));
                }
            }
            exprs.extend(value);
            project(input, exprs)
        }
        (Operation::Group(_, keys, aggregations), Some(input)) => {
            let keys: Vec<Expr> = keys
                .iter()
                .map(|expr| named(expr, input.schema()))
                .collect();
            let results: Vec<Expr> = aggregations
                .iter()
                .map(|expr| resolve(expr.clone(), input.schema()))
                .collect();
            let summed = results
                .iter()
                .try_for_each(|expr| check_sums(expr, input.schema()));
            summed.map_err(|error| node.locate(error))?;
            LogicalPlanBuilder::from(input)
                .aggregate(keys, results)
                .and_then(LogicalPlanBuilder::build)
        }
    };
    built.map_err(|error| node.locate(plan_error(error)))
}

/// The columns of a source that a group right above it reads, where it names columns only. Names are
/// looked up one after the other, again in every step of the planning: among the few that are read,
/// not among the tens of thousands that a wide file may have.
fn scanned_by(node: &Node, input: &Node, source: &Arc<dyn PartitionSource>) -> Option<Vec<usize>> {
    let (Operation::Group(..), Operation::Source(_)) = (&node.operation, &input.operation) else {
        return None;
    };
    let schema = source.schema();
    let fields = schema.fields().iter().enumerate();
    let places: HashMap<&str, usize> = fields
        .map(|(place, field)| (field.name().as_str(), place))
        .collect();
    let mut scanned = BTreeSet::new();
    for expr in node.exprs() {
        for column in expr.column_refs() {
            let place = places.get(column.name.as_str());
            scanned.insert(*place.filter(|_| column.relation.is_none())?);
        }
    }
    (!scanned.is_empty()).then(|| scanned.into_iter().collect())
}

/// Refuses sums and means of what is no number.
fn check_sums(expr: &Expr, schema: &DFSchema) -> Result<()> {
    let mut refused = None;
    let walked = expr.apply(|part| {
        if let Expr::AggregateFunction(function) = part
            && let (name @ ("sum" | "avg"), [argument]) =
                (function.func.name(), function.params.args.as_slice())
        {
            let data_type = argument.get_type(schema)?;
            if !data_type.is_numeric() {
                let name = if name == "avg" { "mean" } else { name };
                refused = Some(format!(
                    "{name} needs numbers, and {argument} is {data_type}; cast it first (`cast`)"
                ));
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(plan_error)?;
    refused.map_or(Ok(()), |message| Err(Error::invalid(message)))
}

fn project(
    input: LogicalPlan,
    exprs: Vec<Expr>,
) -> std::result::Result<LogicalPlan, DataFusionError> {
    LogicalPlanBuilder::from(input).project(exprs)?.build()
}

fn filter(input: LogicalPlan, expr: &Expr) -> std::result::Result<LogicalPlan, DataFusionError> {
    let expr = resolve(expr.clone(), input.schema());
    LogicalPlanBuilder::from(input).filter(expr)?.build()
}

/// An expression whose column is called as the user wrote it: `actor.login`, not the call that
/// takes the member out.
fn named(expr: &Expr, schema: &DFSchema) -> Expr {
    let resolved = resolve(expr.clone(), schema);
    match expr {
        Expr::Column(column) if resolved != *expr => resolved.alias(&column.name),
        _ => resolved,
    }
}

/// Reads dotted names that are no columns as paths into structs.
fn resolve(expr: Expr, schema: &DFSchema) -> Expr {
    let member = |expr: Expr| {
        let Expr::Column(column) = &expr else {
            return Ok(Transformed::no(expr));
        };
        if column.relation.is_some() || schema.has_column_with_unqualified_name(&column.name) {
            return Ok(Transformed::no(expr));
        }
        Ok(match path(&column.name, schema) {
            Some(expr) => Transformed::yes(expr),
            None => Transformed::no(expr),
        })
    };
    let kept = expr.clone();
    expr.transform_up(member)
        .map_or(kept, |transformed| transformed.data)
}

fn path(name: &str, schema: &DFSchema) -> Option<Expr> {
    // the longest column name that is a prefix: names may have dots themselves
    let mut cuts: Vec<usize> = name.match_indices('.').map(|(at, _)| at).collect();
    while let Some(at) = cuts.pop() {
        let (head, mut rest) = (&name[..at], &name[at + 1..]);
        let Ok((qualifier, field)) = schema.qualified_field_with_unqualified_name(head) else {
            continue;
        };
        let mut expr = Expr::Column(Column::new(qualifier.cloned(), head));
        let mut data_type = field.data_type();
        while !rest.is_empty() {
            let DataType::Struct(fields) = data_type else {
                return None;
            };
            let fits = |name: &str| {
                rest.strip_prefix(name)
                    .is_some_and(|left| left.is_empty() || left.starts_with('.'))
            };
            let member = fields
                .iter()
                .filter(|field| fits(field.name()))
                .max_by_key(|field| field.name().len())?;
            expr = get_field(expr, member.name().as_str());
            data_type = member.data_type();
            rest = rest[member.name().len()..].trim_start_matches('.');
        }
        return Some(expr);
    }
    None
}

/// Types coerced, columns and conditions pushed down, common expressions shared.
pub(crate) fn optimise(plan: LogicalPlan) -> Result<LogicalPlan> {
    let options = ConfigOptions::default();
    let plan = Analyzer::new()
        .execute_and_check(plan, &options, |_, _| {})
        .map_err(plan_error)?;
    check_constants(&plan)?;
    let context = OptimizerContext::new();
    Optimizer::new()
        .optimize(plan, &context, |_, _| {})
        .map_err(plan_error)
}

/// The plan, with the mistake's source line when there is one.
pub(crate) fn checked(node: &Node, source: &Arc<dyn PartitionSource>) -> Result<LogicalPlan> {
    optimise(plan(node, source)?).map_err(|error: Error| node.locate(error))
}
