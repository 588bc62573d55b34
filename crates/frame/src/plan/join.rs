//! The logical plan of a join: keys and conditions found in the two sides, and the columns that come out.

use std::collections::HashSet;

use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema, JoinType, TableReference};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion_functions::core::expr_fn::coalesce;
use flagstone_common::{Error, Result};

use super::JoinPlan;
use super::logical::{path, resolve};
use crate::error::plan_error;

/// What conditions call the two frames.
pub(super) const LEFT: &str = "left";
pub(super) const RIGHT: &str = "right";

/// The rows of two plans that belong together.
pub(super) fn join(left: LogicalPlan, right: LogicalPlan, join: &JoinPlan) -> Result<LogicalPlan> {
    let left = named(left, LEFT)?;
    let right = named(right, RIGHT)?;
    let (left_schema, right_schema) = (left.schema().clone(), right.schema().clone());
    let (mut left_keys, mut right_keys) = (Vec::new(), Vec::new());
    for (left_key, right_key) in &join.on {
        let left_key = key(left_key, &left_schema, LEFT)?;
        let right_key = key(right_key, &right_schema, RIGHT)?;
        check_types(&left_key, &left_schema, &right_key, &right_schema)?;
        left_keys.push(left_key);
        right_keys.push(right_key);
    }
    let filter = join.filter.as_ref();
    let filter = filter.map(|filter| condition(filter, &left_schema, &right_schema));
    let keys = left_keys.iter().cloned().zip(right_keys.iter().cloned());
    let columns = columns(join, &left_schema, &right_schema, &keys.collect::<Vec<_>>())?;
    let joined = match left_keys.is_empty() {
        // a cross join, or one by a condition alone, which there has to be if rows may be left over
        true => {
            let any = (join.join_type != JoinType::Inner).then(|| lit(true));
            let condition = filter.transpose()?.or(any);
            LogicalPlanBuilder::from(left).join_on(right, join.join_type, condition)
        }
        false => LogicalPlanBuilder::from(left).join_with_expr_keys(
            right,
            join.join_type,
            (left_keys, right_keys),
            filter.transpose()?,
        ),
    };
    joined
        .and_then(|joined| joined.project(columns)?.build())
        .map_err(plan_error)
}

pub(super) fn named(plan: LogicalPlan, name: &str) -> Result<LogicalPlan> {
    let named = LogicalPlanBuilder::from(plan).alias(name);
    named
        .and_then(LogicalPlanBuilder::build)
        .map_err(plan_error)
}

/// A key, with its columns said to be of this side.
pub(super) fn key(expr: &Expr, schema: &DFSchema, side: &str) -> Result<Expr> {
    let of_side = resolve(expr.clone(), schema).transform_up(|part| {
        let Expr::Column(column) = &part else {
            return Ok(Transformed::no(part));
        };
        if !schema.has_column_with_unqualified_name(&column.name) {
            let names = schema.fields().iter().map(|field| field.name().as_str());
            let names: Vec<&str> = names.take(20).collect();
            return datafusion_common::plan_err!(
                "the {side} frame has no column {:?} to join by; it has {}",
                column.name,
                names.join(", ")
            );
        }
        let column = Column::new(Some(TableReference::bare(side)), &column.name);
        Ok(Transformed::yes(Expr::Column(column)))
    });
    of_side.map(|expr| expr.data).map_err(plan_error)
}

/// A condition over both sides: `left.a < right.b`, or names that only one of them has.
fn condition(expr: &Expr, left: &DFSchema, right: &DFSchema) -> Result<Expr> {
    let found = expr.clone().transform_up(|part| {
        let Expr::Column(column) = &part else {
            return Ok(Transformed::no(part));
        };
        let name = match &column.relation {
            Some(side) => format!("{side}.{}", column.name),
            None => column.name.clone(),
        };
        let sides = [(LEFT, left), (RIGHT, right)];
        let of = |(side, schema): (&str, &DFSchema), name: &str| match schema
            .has_column_with_unqualified_name(name)
        {
            true => Some(Expr::Column(Column::new(Some(side), name))),
            false => path(name, schema),
        };
        for side in sides {
            let own = name
                .strip_prefix(side.0)
                .and_then(|name| name.strip_prefix('.'));
            if let Some(found) = own.and_then(|name| of(side, name)) {
                return Ok(Transformed::yes(found));
            }
        }
        match sides.map(|side| of(side, &name)) {
            [Some(found), None] | [None, Some(found)] => Ok(Transformed::yes(found)),
            [Some(_), Some(_)] => datafusion_common::plan_err!(
                "both frames have a column {name:?}: write left.{name} or right.{name}"
            ),
            [None, None] => datafusion_common::plan_err!(
                "neither frame has a column {name:?} (columns are called left.name and right.name)"
            ),
        }
    });
    found.map(|expr| expr.data).map_err(plan_error)
}

/// Refuses keys that could be equal only as texts.
pub(super) fn check_types(
    left: &Expr,
    of_left: &DFSchema,
    right: &Expr,
    of_right: &DFSchema,
) -> Result<()> {
    let left_type = left.get_type(of_left).map_err(plan_error)?;
    let right_type = right.get_type(of_right).map_err(plan_error)?;
    if class(&left_type) == class(&right_type) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{left} is {left_type} and {right} is {right_type}: they are never equal; cast one of them \
         (`cast`)"
    )))
}

#[derive(PartialEq)]
enum Class<'a> {
    Any,
    Number,
    Text,
    Binary,
    Time,
    Other(&'a DataType),
}

fn class(data_type: &DataType) -> Class<'_> {
    match data_type {
        DataType::Dictionary(_, values) => class(values),
        DataType::Null => Class::Any,
        other if other.is_numeric() => Class::Number,
        other if other.is_string() => Class::Text,
        other if other.is_binary() => Class::Binary,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Class::Time,
        other => Class::Other(other),
    }
}

/// What comes out: the columns of the left frame, then those of the right one, but for keys that have
/// one name in both, which come once.
fn columns(
    join: &JoinPlan,
    left: &DFSchema,
    right: &DFSchema,
    keys: &[(Expr, Expr)],
) -> Result<Vec<Expr>> {
    use JoinType::*;
    let side = |side: &str, name: &str| Expr::Column(Column::new(Some(side), name));
    let only = |at: &str, schema: &DFSchema| {
        let names = schema.fields().iter().map(|field| field.name().clone());
        names.map(|name| side(at, &name).alias(name)).collect()
    };
    match join.join_type {
        LeftSemi | LeftAnti => return Ok(only(LEFT, left)),
        RightSemi | RightAnti => return Ok(only(RIGHT, right)),
        LeftMark | RightMark => {
            return Err(Error::invalid(
                "a join has no marks of its own: use LeftSemi",
            ));
        }
        Inner | Left | Right | Full => {}
    }
    let shared = shared_names(keys);
    let mut columns = Vec::new();
    for field in left.fields() {
        let name = field.name();
        let own = side(LEFT, name);
        columns.push(match (shared.contains(name.as_str()), join.join_type) {
            (true, Right) => side(RIGHT, name).alias(name),
            (true, Full) => coalesce(vec![own, side(RIGHT, name)]).alias(name),
            _ => own.alias(name),
        });
    }
    let others = right_names(left, right, &shared, &join.suffix)?;
    let others = others.into_iter();
    columns.extend(others.map(|(at, called)| side(RIGHT, right.field(at).name()).alias(called)));
    Ok(columns)
}

/// The names of keys that are columns of both frames by one name: they come once.
pub(super) fn shared_names(keys: &[(Expr, Expr)]) -> HashSet<&str> {
    let name = |pair| match pair {
        &(Expr::Column(ref a), Expr::Column(ref b)) => {
            (a.name == b.name).then_some(a.name.as_str())
        }
        _ => None,
    };
    keys.iter().filter_map(name).collect()
}

/// The columns of the right frame that come out, by their places, and what they are called.
pub(super) fn right_names(
    left: &DFSchema,
    right: &DFSchema,
    shared: &HashSet<&str>,
    suffix: &str,
) -> Result<Vec<(usize, String)>> {
    let mut taken: HashSet<String> = left.fields().iter().map(|f| f.name().clone()).collect();
    let mut names = Vec::new();
    for (at, field) in right.fields().iter().enumerate() {
        let name = field.name();
        if shared.contains(name.as_str()) {
            continue;
        }
        let called = match left.has_column_with_unqualified_name(name) {
            true => format!("{name}{suffix}"),
            false => name.clone(),
        };
        if !taken.insert(called.clone()) {
            return Err(Error::invalid(format!(
                "a join would have two columns {called:?}: rename one of them, or give another suffix"
            )));
        }
        names.push((at, called));
    }
    Ok(names)
}
