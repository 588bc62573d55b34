//! From DataFusion's aggregate functions to states of ours.
//!
//! A function that has none is an error that names it; so is anything around a function's arguments
//! that would otherwise be left out (`DISTINCT`, an order, a treatment of nulls).

use std::sync::Arc;

use arrow::array::downcast_primitive;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::expr::{AggregateFunction, AggregateFunctionParams, NullTreatment};
use datafusion_expr::logical_plan::Aggregate;
use datafusion_expr::{Expr, ExprSchemable};
use flagstone_common::Result;

use super::lower::not_lowered;
use super::physical::physical;
use crate::error::plan_error;
use crate::kernels::key::key_type;
use crate::kernels::state::{
    Best, BestBytes, Collected, Count, Distinct, First, Leafed, Logic, Mean, Moments, Outcome,
    Pair, States, Sum, Whole,
};
use crate::ops::group::{Aggregation, GroupPlan, Make};
use crate::typed::aggregate::CustomFunction;

/// The keys and aggregations of a plan's node.
pub(super) fn group(aggregate: &Aggregate) -> Result<GroupPlan> {
    let schema = aggregate.input.schema();
    let keys = &aggregate.group_expr;
    if let Some(set) = keys.iter().find(|key| matches!(key, Expr::GroupingSet(_))) {
        return Err(not_lowered(&set.to_string()));
    }
    let type_of = |expr: &Expr| expr.get_type(schema).map_err(plan_error);
    let mut inputs = Inputs {
        schema,
        exprs: Vec::new(),
    };
    let results = aggregate.schema.fields().iter().skip(keys.len());
    let aggregations = aggregate.aggr_expr.iter().zip(results);
    let aggregations = aggregations.map(|(expr, field)| aggregation(expr, field, &mut inputs));
    let aggregations = aggregations.collect::<Result<Vec<_>>>()?;
    let exprs = inputs.exprs;
    let plain = |expr: &Expr| Ok(key_type(&type_of(expr)?));
    Ok(GroupPlan {
        keys: keys
            .iter()
            .map(|key| physical(key, schema))
            .collect::<Result<_>>()?,
        key_types: keys.iter().map(type_of).collect::<Result<_>>()?,
        inputs: exprs
            .iter()
            .map(|expr| physical(expr, schema))
            .collect::<Result<_>>()?,
        input_types: exprs.iter().map(plain).collect::<Result<_>>()?,
        aggregations,
        schema: Arc::new(aggregate.schema.as_arrow().clone()),
    })
}

/// Whether the groups are the same to the bit in whatever order and parts rows come: sums are exact, and
/// nothing is taken from the first row or the last.
pub(super) fn is_exact(aggregate: &Aggregate) -> Result<bool> {
    let schema = aggregate.input.schema();
    let mut all = aggregate.aggr_expr.iter();
    all.try_fold(true, |exact, expr| {
        let mut inner = expr;
        while let Expr::Alias(alias) = inner {
            inner = &alias.expr;
        }
        let Expr::AggregateFunction(call) = inner else {
            return Ok(false);
        };
        let types = call.params.args.iter().map(|arg| arg.get_type(schema));
        let types = types
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(plan_error)?;
        let is_plain = |of: &DataType| !of.is_floating() && !of.is_nested();
        let is_custom = call.func.inner().downcast_ref::<CustomFunction>().is_some();
        Ok(exact
            && !is_custom
            && match call.func.name() {
                "count" | "bool_and" | "bool_or" => true,
                "sum" | "avg" | "min" | "max" => types.iter().all(is_plain),
                _ => false,
            })
    })
}

/// What aggregations read, each once.
struct Inputs<'p> {
    schema: &'p DFSchema,
    exprs: Vec<Expr>,
}

impl Inputs<'_> {
    fn add(&mut self, expr: &Expr) -> usize {
        let known = self.exprs.iter().position(|known| known == expr);
        known.unwrap_or_else(|| {
            self.exprs.push(expr.clone());
            self.exprs.len() - 1
        })
    }

    fn key_type(&self, expr: &Expr) -> Result<DataType> {
        Ok(key_type(&expr.get_type(self.schema).map_err(plan_error)?))
    }
}

fn aggregation(expr: &Expr, field: &Field, inputs: &mut Inputs<'_>) -> Result<Aggregation> {
    let mut inner = expr;
    // count(*) has a name of its own below the one that the user gave it
    while let Expr::Alias(alias) = inner {
        inner = &alias.expr;
    }
    let refused = || not_lowered(&expr.to_string());
    let Expr::AggregateFunction(AggregateFunction { func, params }) = inner else {
        return Err(refused());
    };
    let AggregateFunctionParams {
        args,
        distinct,
        filter,
        order_by,
        null_treatment,
    } = params;
    let custom = func.inner().downcast_ref::<CustomFunction>();
    // it may have any name, of ours too
    let name = if custom.is_some() { "" } else { func.name() };
    let (args, parameters) = arguments(name, args);
    let types = args.iter().map(|arg| inputs.key_type(arg));
    let types = types.collect::<Result<Vec<_>>>()?;
    // of a quantile the order says what it is taken of
    let quantile = name == "percentile_cont";
    let order_by = if quantile {
        &[][..]
    } else {
        order_by.as_slice()
    };
    let order = order_by.iter().map(|key| {
        let options = SortOptions::new(!key.asc, key.nulls_first);
        Ok((inputs.key_type(&key.expr)?, options))
    });
    let order = order.collect::<Result<Vec<_>>>()?;
    let ordered = matches!(
        name,
        "first_value" | "last_value" | "array_agg" | "string_agg"
    );
    let skips = match null_treatment {
        None => false,
        Some(NullTreatment::RespectNulls) if ordered => false,
        Some(NullTreatment::IgnoreNulls) if ordered => true,
        Some(_) => return Err(refused()),
    };
    if (!order.is_empty() && (!ordered || *distinct)) || types.is_empty() != args.is_empty() {
        return Err(refused());
    }
    let descending = quantile && params.order_by.first().is_some_and(|key| !key.asc);
    let function = FunctionOf {
        name,
        types: types.clone(),
        result: key_type(field.data_type()),
        order,
        skips,
        parameters,
        descending,
    };
    let states = match custom {
        Some(custom) => custom.make(),
        None => function.states()?.ok_or_else(refused)?,
    };
    let states: Make = match distinct {
        false => states,
        true => Arc::new(move || {
            let inner = Arc::clone(&states);
            Ok(Box::new(Distinct::new(&types, Box::new(move || inner()))?))
        }),
    };
    let mut places: Vec<usize> = args.iter().map(|arg| inputs.add(arg)).collect();
    places.extend(order_by.iter().map(|key| inputs.add(&key.expr)));
    Ok(Aggregation {
        states,
        args: places,
        filter: filter.as_ref().map(|filter| inputs.add(filter)),
    })
}

/// The arguments that are read for each row, and those that are constants of a function.
fn arguments<'e>(name: &str, args: &'e [Expr]) -> (&'e [Expr], &'e [Expr]) {
    match (name, args) {
        // of a constant that is not null nothing is to be read
        ("count", [Expr::Literal(value, _)]) if !value.is_null() => (&[], &[]),
        ("percentile_cont" | "string_agg", [_, ..]) => args.split_at(1),
        _ => (args, &[]),
    }
}

/// A function with its arguments' types.
struct FunctionOf<'e> {
    name: &'e str,
    types: Vec<DataType>,
    result: DataType,
    order: Vec<(DataType, SortOptions)>,
    /// Whether nulls are left out that otherwise count.
    skips: bool,
    parameters: &'e [Expr],
    descending: bool,
}

fn made<S: States + 'static>(make: impl Fn() -> Result<S> + Send + Sync + 'static) -> Option<Make> {
    Some(Arc::new(move || Ok(Box::new(make()?))))
}

impl FunctionOf<'_> {
    /// What makes its states, if there are any.
    fn states(&self) -> Result<Option<Make>> {
        let name = self.name;
        Ok(match (name, self.types.as_slice()) {
            ("count" | "regr_count", _) => made(|| Ok(Count::default())),
            ("bool_and" | "bool_or", [DataType::Boolean]) => {
                let all = name == "bool_and";
                made(move || Ok(Logic::new(all)))
            }
            ("sum" | "avg", [of]) => self.sum(of),
            ("min" | "max", [of]) => self.best(of)?,
            ("var" | "var_pop" | "stddev" | "stddev_pop", [DataType::Float64]) => {
                let result: fn(&Moments) -> Option<f64> = match name {
                    "var" => |moments| moments.variance(1.0),
                    "var_pop" => |moments| moments.variance(0.0),
                    "stddev" => |moments| moments.variance(1.0).map(f64::sqrt),
                    _ => |moments| moments.variance(0.0).map(f64::sqrt),
                };
                made(move || Ok(Leafed::new(result)))
            }
            (_, [DataType::Float64, DataType::Float64]) => self.pair(),
            ("first_value" | "last_value" | "any_value", [of]) => {
                let (of, order) = (of.clone(), self.order.clone());
                let skips = self.skips || name == "any_value";
                let last = name == "last_value";
                made(move || First::new(&of, &order, last, skips))
            }
            ("array_agg" | "string_agg" | "median" | "percentile_cont" | "mode", [of]) => {
                self.collected(of)
            }
            _ => None,
        })
    }

    fn sum(&self, of: &DataType) -> Option<Make> {
        let mean = self.name == "avg";
        if (of, &self.result) == (&DataType::Float64, &DataType::Float64) {
            return match mean {
                false => made(|| Ok(Leafed::<Sum>::new(|sum| Some(sum.0)))),
                true => made(|| Ok(Leafed::<Mean>::new(|mean| Some(mean.mean())))),
            };
        }
        Whole::new(of, &self.result, mean)?;
        let (of, result) = (of.clone(), self.result.clone());
        let bug = || flagstone_common::Error::bug("a sum that could be made cannot");
        made(move || Whole::new(&of, &result, mean).ok_or_else(bug))
    }

    fn best(&self, of: &DataType) -> Result<Option<Make>> {
        let (min, own) = (self.name == "min", of.clone());
        macro_rules! best {
            ($t:ty) => {
                made(move || Ok(Best::<$t>::new(&own, min)))
            };
        }
        Ok(downcast_primitive! {
            of => (best),
            _ => {
                // an error now rather than in the middle of a run
                BestBytes::new(of, min)?;
                made(move || BestBytes::new(&own, min))
            }
        })
    }

    fn pair(&self) -> Option<Make> {
        // DataFusion calls the first argument y and the second one x
        let result: fn(&Pair) -> Option<f64> = match self.name {
            "corr" => Pair::correlation,
            "covar_samp" => |pair| pair.covariance(1.0),
            "covar_pop" => |pair| pair.covariance(0.0),
            "regr_slope" => |pair| pair.line().map(|(slope, _)| slope),
            "regr_intercept" => |pair| pair.line().map(|(_, intercept)| intercept),
            "regr_r2" => |pair| {
                pair.correlation()
                    .map(|correlation| correlation * correlation)
            },
            "regr_avgx" => |pair| Some(pair.mean_y),
            "regr_avgy" => |pair| Some(pair.mean_x),
            "regr_sxx" => |pair| Some(pair.squares_y),
            "regr_syy" => |pair| Some(pair.squares_x),
            "regr_sxy" => |pair| Some(pair.common),
            _ => return None,
        };
        made(move || Ok(Leafed::new(result)))
    }

    fn collected(&self, of: &DataType) -> Option<Make> {
        let of = of.clone();
        let numeric = of.is_numeric();
        let (outcome, skips) = match (self.name, self.parameters) {
            ("array_agg", []) => match &self.result {
                DataType::List(field) => (Outcome::List(Arc::clone(field)), self.skips),
                _ => return None,
            },
            ("string_agg", [between]) => (Outcome::Text(text(between)?), true),
            ("median", []) if numeric => (Outcome::Quantile(0.5), true),
            ("mode", []) => (Outcome::Mode, true),
            ("percentile_cont", [part]) if numeric => {
                let part = number(part).filter(|part| (0.0..=1.0).contains(part))?;
                let part = if self.descending { 1.0 - part } else { part };
                (Outcome::Quantile(part), true)
            }
            _ => return None,
        };
        let order = self.order.clone();
        made(move || Collected::new(&of, &order, outcome.clone(), skips))
    }
}

fn literal(mut expr: &Expr) -> Option<&ScalarValue> {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    match expr {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<String> {
    let text = literal(expr)?.try_as_str().flatten()?;
    Some(text.to_owned())
}

fn number(expr: &Expr) -> Option<f64> {
    match literal(expr)?.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(number)) => number,
        _ => None,
    }
}
