//! From operations to DataFusion's logical plan, checked and optimised.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{
    Column, DFSchema, DataFusionError, JoinType, NullHandling, TableReference, UnnestOptions,
};
use datafusion_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, SortExpr, TableProviderFilterPushDown,
    TableSource,
};
use datafusion_functions::core::expr_fn::get_field;
use datafusion_optimizer::{Analyzer, Optimizer};
use flagstone_common::{Error, Result, format_count};

use super::context::Context;
use super::native::{Native, NativeNode};
use super::opened::Opened;
use super::physical::check_constants;
use super::{Matched, Node, Operation, functions, order, sql, windows};
use crate::error::plan_error;
use crate::source::PartitionSource;

/// The name of the one table there is, as people may write it in SQL.
pub(crate) const TABLE: &str = "record";

/// A source as DataFusion sees it.
pub(crate) struct FrameTable {
    pub(crate) source: Arc<dyn PartitionSource>,
    /// Whether columns that nobody knows of yet are results, too: a key that comes late is one.
    pub(crate) is_open: bool,
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
pub(crate) fn plan(node: &Node, opened: &Opened) -> Result<LogicalPlan> {
    plan_of(node, opened, None, true)
}

/// The plan of a node; a source is scanned for these columns, or for all. It is open when all its columns
/// are results, also those that are not known yet.
fn plan_of(
    node: &Node,
    opened: &Opened,
    scanned: Option<Vec<usize>>,
    is_open: bool,
) -> Result<LogicalPlan> {
    let inputs = node.inputs().iter().enumerate().map(|(side, input)| {
        let scanned = scanned_by(node, input, opened)?;
        plan_of(input, opened, scanned, is_open && takes_all(node, side))
    });
    let mut inputs = inputs.collect::<Result<Vec<_>>>()?;
    for expr in node.exprs() {
        functions::check(expr).map_err(|error| node.locate(error))?;
    }
    match &node.operation {
        Operation::Union(_, matched) => {
            return union(inputs, *matched).map_err(|error| node.locate(error));
        }
        Operation::Join(_, join) => {
            let (right, left) = (inputs.pop(), inputs.pop());
            let both = left.zip(right);
            let (left, right) = both.ok_or_else(|| Error::bug("a join of one frame"))?;
            return super::join::join(left, right, join).map_err(|error| node.locate(error));
        }
        Operation::Asof(_, join) => {
            let (right, left) = (inputs.pop(), inputs.pop());
            let both = left.zip(right);
            let (left, right) = both.ok_or_else(|| Error::bug("a join of one frame"))?;
            return super::asof::asof(left, right, join).map_err(|error| node.locate(error));
        }
        Operation::Sql(_, query) => {
            let tables = query.names.iter().cloned().zip(inputs).collect();
            return super::query::plan(&query.text, tables).map_err(|error| node.locate(error));
        }
        _ => {}
    }
    let input = inputs.pop();
    let built = match (&node.operation, input) {
        (Operation::Source(_), _) | (_, None) => {
            let source = Arc::clone(opened.get(node)?);
            let table = Arc::new(FrameTable { source, is_open });
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
                    exprs.push(column((qualifier, field)));
                }
            }
            exprs.extend(value);
            project(input, exprs)
        }
        (Operation::Limit(_, skip, fetch), Some(input)) => LogicalPlanBuilder::from(input)
            .limit(*skip, *fetch)
            .and_then(LogicalPlanBuilder::build),
        (
            Operation::Union(..) | Operation::Join(..) | Operation::Asof(..) | Operation::Sql(..),
            Some(_),
        ) => {
            return Err(Error::bug("an operation of several frames has one"));
        }
        (Operation::Rename(_, names), Some(input)) => {
            let renamed = renamed(names, input.schema()).map_err(|error| node.locate(error))?;
            project(input, renamed)
        }
        (Operation::Drop(_, names), Some(input)) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            check_names(&names, input.schema()).map_err(|error| node.locate(error))?;
            let fields = input.schema().iter();
            let left = fields.filter(|(_, field)| !names.contains(&field.name().as_str()));
            let exprs = left.map(column).collect();
            project(input, exprs)
        }
        (Operation::Sort(_, keys), Some(input)) => {
            let keys: Vec<SortExpr> = keys
                .iter()
                .map(|key| key.with_expr(resolve(key.expr.clone(), input.schema())))
                .collect();
            LogicalPlanBuilder::from(input)
                .sort(keys)
                .and_then(LogicalPlanBuilder::build)
        }
        (Operation::SortSql(_, text), Some(input)) => {
            let keys = sql::sort_keys(text, input.schema()).map_err(|e| node.locate(e))?;
            LogicalPlanBuilder::from(input)
                .sort(keys)
                .and_then(LogicalPlanBuilder::build)
        }
        (Operation::Native(_, native), Some(input)) => {
            return NativeNode::plan(native.clone(), input).map_err(|error| node.locate(error));
        }
        (Operation::Explode(_, names), Some(input)) => {
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            check_names(&known, input.schema()).map_err(|error| node.locate(error))?;
            let columns = names.iter().map(Column::from_name).collect();
            let options = UnnestOptions {
                // as pandas and Polars do: no row is lost
                null_handling: NullHandling::PreserveAndExpandEmpty,
                ..UnnestOptions::default()
            };
            LogicalPlanBuilder::from(input)
                .unnest_columns_with_options(columns, options)
                .and_then(LogicalPlanBuilder::build)
        }
        (Operation::Distinct(_), Some(input)) => LogicalPlanBuilder::from(input)
            .distinct()
            .and_then(LogicalPlanBuilder::build),
        (Operation::Describe(_, quantiles), Some(input)) => {
            let rows = super::describe::describe(input, quantiles);
            return rows.map_err(|error| node.locate(error));
        }
        (Operation::Unique(_, names, keep), Some(input)) => {
            let rows = super::unique::unique(input, names, *keep);
            return rows.map_err(|error| node.locate(error));
        }
        (Operation::Group(_, keys, aggregations, sort), Some(input)) => {
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
            let count = keys.len();
            let groups = LogicalPlanBuilder::from(input).aggregate(keys, results);
            groups
                .and_then(LogicalPlanBuilder::build)
                .and_then(|groups| {
                    let keys = groups.schema().iter().take(count).map(column);
                    let keys: Vec<SortExpr> = keys.map(|key| key.sort(true, true)).collect();
                    match *sort && !keys.is_empty() {
                        true => LogicalPlanBuilder::from(groups).sort(keys)?.build(),
                        false => Ok(groups),
                    }
                })
        }
    };
    built.map_err(|error| node.locate(plan_error(error)))
}

/// Whether all columns of an input are among those of a node.
fn takes_all(node: &Node, input: usize) -> bool {
    use JoinType::{LeftAnti, LeftSemi, RightAnti, RightSemi};
    match &node.operation {
        Operation::Select(..) | Operation::Group(..) | Operation::Native(_, Native::Map(..)) => {
            false
        }
        Operation::SelectSql(_, list) => list.contains('*'),
        // what of a table is a result only the planner knows
        Operation::Sql(..) => false,
        Operation::Join(_, join) => match join.join_type {
            LeftSemi | LeftAnti => input == 0,
            RightSemi | RightAnti => input == 1,
            _ => true,
        },
        _ => true,
    }
}

/// The columns of a source that a group right above it reads, where it names columns only. Names are
/// looked up one after the other, again in every step of the planning: among the few that are read,
/// not among the tens of thousands that a wide file may have.
fn scanned_by(node: &Node, input: &Node, opened: &Opened) -> Result<Option<Vec<usize>>> {
    let (Operation::Group(..), Operation::Source(_)) = (&node.operation, &input.operation) else {
        return Ok(None);
    };
    let schema = opened.get(input)?.schema();
    let fields = schema.fields().iter().enumerate();
    let places: HashMap<&str, usize> = fields
        .map(|(place, field)| (field.name().as_str(), place))
        .collect();
    let mut scanned = BTreeSet::new();
    for expr in node.exprs() {
        for column in expr.column_refs() {
            let place = places.get(column.name.as_str());
            let Some(place) = place.filter(|_| column.relation.is_none()) else {
                return Ok(None);
            };
            scanned.insert(*place);
        }
    }
    Ok((!scanned.is_empty()).then(|| scanned.into_iter().collect()))
}

/// A column of a plan.
pub(super) fn column((qualifier, field): (Option<&TableReference>, &Arc<Field>)) -> Expr {
    Expr::Column(Column::new(qualifier.cloned(), field.name()))
}

/// All columns, some of them with other names.
fn renamed(names: &[(String, String)], schema: &DFSchema) -> Result<Vec<Expr>> {
    let old: Vec<&str> = names.iter().map(|(old, _)| old.as_str()).collect();
    check_names(&old, schema)?;
    let new: HashMap<&str, &String> = names.iter().map(|(old, new)| (old.as_str(), new)).collect();
    let rename = |(qualifier, field): (Option<&TableReference>, &Arc<Field>)| {
        let own = column((qualifier, field));
        match new.get(field.name().as_str()) {
            Some(&new) => own.alias(new),
            None => own,
        }
    };
    Ok(schema.iter().map(rename).collect())
}

/// Refuses names that no column has.
pub(super) fn check_names(names: &[&str], schema: &DFSchema) -> Result<()> {
    let is_missing = |name: &&&str| !schema.has_column_with_unqualified_name(name);
    let Some(missing) = names.iter().find(is_missing) else {
        return Ok(());
    };
    let fields = schema.fields().iter().take(20);
    let known: Vec<&str> = fields.map(|field| field.name().as_str()).collect();
    Err(Error::invalid(format!(
        "there is no column {missing:?}; there are {}",
        known.join(", ")
    )))
}

/// The rows of all inputs, one after the other.
fn union(inputs: Vec<LogicalPlan>, matched: Matched) -> Result<LogicalPlan> {
    let width = |plan: &LogicalPlan| plan.schema().fields().len();
    let mut inputs = inputs.into_iter();
    let first = inputs.next();
    let first = first.ok_or_else(|| Error::invalid("there is no frame to put together"))?;
    let mut all = LogicalPlanBuilder::from(first.clone());
    for (input, at) in inputs.zip(2..) {
        if matched == Matched::Place && width(&input) != width(&first) {
            return Err(Error::invalid(format!(
                "frame {at} has {} and the first has {}: select the same ones of each, or match them \
                 by name",
                format_count(width(&input) as u64, "column"),
                width(&first)
            )));
        }
        all = match matched {
            Matched::Place => all.union(input),
            Matched::Name => all.union_by_name(input),
        }
        .map_err(plan_error)?;
    }
    all.build().map_err(plan_error)
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
            if !data_type.is_numeric() && !matches!(data_type, DataType::Duration(_)) {
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
    let input = windows::with_windows(input, &exprs)?;
    LogicalPlanBuilder::from(input).project(exprs)?.build()
}

fn filter(input: LogicalPlan, expr: &Expr) -> std::result::Result<LogicalPlan, DataFusionError> {
    let expr = resolve(expr.clone(), input.schema());
    windows::filter(input, expr)
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
pub(super) fn resolve(expr: Expr, schema: &DFSchema) -> Expr {
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

/// The member of a struct that a dotted name means.
pub(super) fn path(name: &str, schema: &DFSchema) -> Option<Expr> {
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
    let plan = super::nulls::apart(plan)?;
    let mut options = ConfigOptions::default();
    // a query of one value joins it: there is no other way to wait for it
    let flag = &mut options
        .optimizer
        .enable_physical_uncorrelated_scalar_subquery;
    *flag = false;
    let context = Context::new(options).map_err(plan_error)?;
    let optimised = |plan| {
        let optimizer = Optimizer::new();
        let plan = optimizer.optimize(plan, &context, |_, _| {});
        plan.map_err(plan_error)
    };
    let plan = optimised(plan)?;
    match order::reordered(&plan)? {
        // columns that the new order does not need are left out again
        Some(plan) => optimised(plan),
        None => Ok(plan),
    }
}

/// The plan, with the mistake's source line when there is one.
pub(crate) fn checked(node: &Node, opened: &Opened) -> Result<LogicalPlan> {
    optimise(plan(node, opened)?).map_err(|error: Error| node.locate(error))
}
