//! The logical plan of an asof join: both frames in one, in the order of time, and for each row the last
//! row of the other frame that came by.
//!
//! ```text
//! left:   by, on, side 0, left columns, no match   ─┐
//!                                                   ├─ in the order of on, by by: the last match so far
//! right:  by, on, side 1, nulls,        the row    ─┘  of the rows of side 0
//! ```
//! So it is a window over a union, and as large as windows may be. A row of the right frame is one
//! value, an object of its columns: a null in it is a value like any other.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::{Column, DFSchema, DataFusionError, ScalarValue};
use datafusion_expr::type_coercion::binary::comparison_coercion;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit, when};
use datafusion_functions::core::expr_fn::{get_field, named_struct};
use flagstone_common::{Error, Result};

use super::join::{LEFT, RIGHT, check_types, key, named, right_names, shared_names};
use super::windows::with_windows;
use crate::error::plan_error;
use crate::window::{Window, WindowExpr};

/// Where the row lies that a row is joined with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// The last one whose key is not greater.
    #[default]
    Backward,
    /// The first one whose key is not less.
    Forward,
    /// The nearest of these two; of two that are as near the one before.
    Nearest,
}

/// How two frames are joined by the nearest key.
#[derive(Debug, Clone)]
pub(crate) struct AsofPlan {
    pub(crate) on: (Expr, Expr),
    pub(crate) by: Vec<(Expr, Expr)>,
    pub(crate) direction: Direction,
    /// How far apart keys are at most.
    pub(crate) tolerance: Option<Expr>,
    /// Whether a key may be equal.
    pub(crate) exact: bool,
    pub(crate) suffix: String,
}

type Planned<T> = std::result::Result<T, DataFusionError>;

const ON: &str = "on";
const SIDE: &str = "side";
const MATCH: &str = "match";
const FOUND: &str = "found";
const KEY: &str = "key";

/// Each row of the left plan once, with the row of the right one that is nearest.
pub(super) fn asof(left: LogicalPlan, right: LogicalPlan, join: &AsofPlan) -> Result<LogicalPlan> {
    let (left, right) = (named(left, LEFT)?, named(right, RIGHT)?);
    let (of_left, of_right) = (Arc::clone(left.schema()), Arc::clone(right.schema()));
    let pairs = [&join.on].into_iter().chain(&join.by);
    let keys = pairs.map(|(left, right)| {
        let left = key(left, &of_left, LEFT)?;
        let right = key(right, &of_right, RIGHT)?;
        check_types(&left, &of_left, &right, &of_right)?;
        Ok((left, right))
    });
    let keys = keys.collect::<Result<Vec<(Expr, Expr)>>>()?;
    let shared = shared_names(&keys);
    let compared = keys.iter().map(|pair| same_type(pair, &of_left, &of_right));
    let compared = compared.collect::<Result<Vec<_>>>()?;
    let rows = Rows {
        matched: matched(&compared[0].1, &of_right),
        keys: compared,
        left: &of_left,
        right: &of_right,
    };
    let both = rows.both(left, right)?;
    let found = found(both, join, keys.len() - 1)?;
    let names = right_names(&of_left, &of_right, &shared, &join.suffix)?;
    let own = of_left.fields().iter().enumerate();
    let own = own.map(|(at, field)| column(&left_name(at)).alias(field.name()));
    let others = names
        .into_iter()
        .map(|(at, name)| get_field(column(FOUND), member(at)).alias(name));
    let columns: Vec<Expr> = own.chain(others).collect();
    let built = LogicalPlanBuilder::from(found).project(columns);
    built
        .and_then(LogicalPlanBuilder::build)
        .map_err(plan_error)
}

/// What the rows of both frames become.
struct Rows<'s> {
    /// The key that is near, then those that are equal.
    keys: Vec<(Expr, Expr)>,
    /// A row of the right frame.
    matched: Expr,
    left: &'s DFSchema,
    right: &'s DFSchema,
}

impl Rows<'_> {
    fn both(&self, left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan> {
        let null = |data_type: &DataType| -> Result<Expr> {
            let null = ScalarValue::try_new_null(data_type).map_err(plan_error)?;
            Ok(lit(null))
        };
        let object = self.matched.get_type(self.right).map_err(plan_error)?;
        let no_match = null(&object)?.alias(MATCH);
        let columns = self.left.columns().into_iter().map(Expr::Column);
        let columns = columns.enumerate();
        let columns = columns.map(|(at, own)| own.alias(left_name(at)));
        let of_left = self.keys_of(|(left, _)| left);
        let of_left = of_left.chain([lit(0i8).alias(SIDE)]).chain(columns);
        let of_left = of_left.chain([no_match]).collect::<Vec<_>>();
        let nulls = self.left.fields().iter().enumerate();
        let nulls =
            nulls.map(|(at, field)| Ok::<_, Error>(null(field.data_type())?.alias(left_name(at))));
        let nulls = nulls.collect::<Result<Vec<_>>>()?;
        let of_right = self.keys_of(|(_, right)| right);
        let of_right = of_right.chain([lit(1i8).alias(SIDE)]).chain(nulls);
        let of_right = of_right.chain([self.matched.clone().alias(MATCH)]);
        let of_right = of_right.collect::<Vec<_>>();
        // a null is near nothing, and equal to nothing
        let known = self
            .keys
            .iter()
            .map(|(_, right)| right.clone().is_not_null());
        let known = known.reduce(Expr::and).unwrap_or_else(|| lit(true));
        let right = LogicalPlanBuilder::from(right)
            .filter(known)
            .and_then(|right| right.project(of_right)?.build());
        LogicalPlanBuilder::from(left)
            .project(of_left)
            .and_then(|left| left.union(right?)?.build())
            .map_err(plan_error)
    }

    fn keys_of<'k>(
        &'k self,
        side: impl Fn(&'k (Expr, Expr)) -> &'k Expr + 'k,
    ) -> impl Iterator<Item = Expr> + 'k {
        let names = std::iter::once(ON.to_owned()).chain((0..).map(by_name));
        let keys = self.keys.iter().zip(names);
        keys.map(move |(pair, name)| side(pair).clone().alias(name))
    }
}

/// The rows of the left frame with what they are joined with.
fn found(both: LogicalPlan, join: &AsofPlan, by: usize) -> Result<LogicalPlan> {
    let window = |right_first: bool| {
        let keys = [
            column(ON).sort(true, true),
            column(SIDE).sort(!right_first, true),
        ];
        Window::new()
            .partition_by((0..by).map(|at| column(&by_name(at))))
            .order_by(keys)
    };
    let before = column(MATCH).ffill().over(window(join.exact).rows(..=0));
    let after = column(MATCH).bfill().over(window(!join.exact).rows(0..));
    let windows = match join.direction {
        Direction::Backward => vec![before.alias("before")],
        Direction::Forward => vec![after.alias("after")],
        Direction::Nearest => vec![before.alias("before"), after.alias("after")],
    };
    let kept = both.schema().columns().into_iter().map(Expr::Column);
    let kept: Vec<Expr> = kept.chain(windows).collect();
    let on = || column(ON);
    let key_of = |found: &str| get_field(column(found), KEY);
    let within = |(less, more): (Expr, Expr), found: &str| match &join.tolerance {
        Some(tolerance) => when((less + tolerance.clone()).gt_eq(more), column(found)).end(),
        None => Ok(column(found)),
    };
    let chosen = || -> Planned<Expr> {
        let before = within((key_of("before"), on()), "before");
        let after = within((on(), key_of("after")), "after");
        Ok(match join.direction {
            Direction::Backward => before?,
            Direction::Forward => after?,
            Direction::Nearest => {
                let is_nearer = (on() - key_of("before")).lt_eq(key_of("after") - on());
                let takes_before = column("after").is_null();
                let takes_before = takes_before
                    .or(is_nearer)
                    .and(column("before").is_not_null());
                when(takes_before, before?).otherwise(after?)?
            }
        })
    };
    let planned = || -> Planned<LogicalPlan> {
        // a row without a key has nothing before it, but all that there is behind it
        let chosen = when(on().is_not_null(), chosen()?).end()?.alias(FOUND);
        let plan = with_windows(both.clone(), &kept)?;
        let plan = LogicalPlanBuilder::from(plan).project(kept)?;
        let plan = plan.filter(column(SIDE).eq(lit(0i8)))?.build()?;
        let own = plan.schema().columns().into_iter().map(Expr::Column);
        let own: Vec<Expr> = own.chain([chosen]).collect();
        LogicalPlanBuilder::from(plan).project(own)?.build()
    };
    planned().map_err(plan_error)
}

/// A row of the right frame as an object: its key, and its columns.
fn matched(key: &Expr, schema: &DFSchema) -> Expr {
    let columns = schema.columns().into_iter().map(Expr::Column).enumerate();
    let members = columns.flat_map(|(at, own)| [lit(member(at)), own]);
    named_struct([lit(KEY), key.clone()].into_iter().chain(members).collect())
}

/// Both keys of a pair as the type in which they are compared.
fn same_type(pair: &(Expr, Expr), left: &DFSchema, right: &DFSchema) -> Result<(Expr, Expr)> {
    let types = (
        pair.0.get_type(left).map_err(plan_error)?,
        pair.1.get_type(right).map_err(plan_error)?,
    );
    let common = comparison_coercion(&types.0, &types.1).ok_or_else(|| {
        Error::invalid(format!(
            "{} is {} and {} is {}: they cannot be compared; cast one of them (`cast`)",
            pair.0, types.0, pair.1, types.1
        ))
    })?;
    let of = |key: &Expr, own: &DataType| match *own == common {
        true => key.clone(),
        false => cast(key.clone(), common.clone()),
    };
    Ok((of(&pair.0, &types.0), of(&pair.1, &types.1)))
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn left_name(at: usize) -> String {
    format!("left {at}")
}

fn by_name(at: usize) -> String {
    format!("by {at}")
}

fn member(at: usize) -> String {
    format!("c{at}")
}
