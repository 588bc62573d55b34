//! The order of joins: small results first, whatever the order of `FROM` is.
//!
//! Inner joins that lie on one another are taken apart into relations and conditions, together with the
//! semi-joins among them, and put together again: from each relation in turn, always by what leaves the
//! fewest rows, and of these the cheapest way is taken. Sizes are estimates ([`sizes`](super::sizes)); they
//! follow from the data, never from budget or threads, so the rows come in one order.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DataFusionError, NullEquality, TableReference};
use datafusion_expr::logical_plan::{Join, Projection};
use datafusion_expr::utils::{conjunction, split_conjunction_owned};
use datafusion_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder};
use flagstone_common::Result;

use super::sizes;
use crate::error::plan_error;

/// More relations than this stay as they are.
const RELATIONS_MAX: usize = 24;

/// The plan with its joins in a better order; `None` where there is no choice.
pub(super) fn reordered(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let ordered = reordered_child(plan.clone()).map_err(plan_error)?;
    Ok(ordered.transformed.then_some(ordered.data))
}

type Planned = std::result::Result<LogicalPlan, DataFusionError>;

/// The joins that begin at a node, in a better order; `None` where there are not several.
fn joined(node: &LogicalPlan) -> Option<Planned> {
    if !has_joins(node) {
        return None;
    }
    let mut parts = Parts::default();
    parts.take(node);
    let count = parts.relations.len();
    if count + parts.semis.len() < 3 || count > RELATIONS_MAX {
        return None;
    }
    Some(parts.ordered(node))
}

fn is_inner(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Join(join) if join.join_type == JoinType::Inner
        && join.null_equality == NullEquality::NullEqualsNothing)
}

/// Relations, and what holds between them.
#[derive(Default)]
struct Parts {
    relations: Vec<LogicalPlan>,
    conditions: Vec<Condition>,
    semis: Vec<Join>,
}

#[derive(Clone)]
enum Condition {
    /// Two keys are equal.
    Equal(Expr, Expr),
    Other(Expr),
}

impl Parts {
    fn take(&mut self, node: &LogicalPlan) {
        match node {
            LogicalPlan::Join(join) if is_inner(node) => {
                self.take(&join.left);
                self.take(&join.right);
                let equal = join.on.iter().cloned();
                self.conditions
                    .extend(equal.map(|(a, b)| Condition::Equal(a, b)));
                let more = join
                    .filter
                    .iter()
                    .cloned()
                    .flat_map(split_conjunction_owned);
                self.conditions.extend(more.map(Condition::Other));
            }
            LogicalPlan::Join(join)
                if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
                    && has_joins(&join.left) =>
            {
                self.take(&join.left);
                self.semis.push(join.clone());
            }
            LogicalPlan::Filter(filter) if has_joins(&filter.input) => {
                self.take(&filter.input);
                let more = split_conjunction_owned(filter.predicate.clone());
                self.conditions
                    .extend(more.into_iter().map(Condition::Other));
            }
            LogicalPlan::Projection(projection)
                if is_pruning(projection) && has_joins(&projection.input) =>
            {
                self.take(&projection.input);
            }
            other => self.relations.push(other.clone()),
        }
    }

    /// The joins in a better order, with the columns that they had.
    fn ordered(self, node: &LogicalPlan) -> Planned {
        // what is inside of a relation has joins of its own
        let inside = |plan: LogicalPlan| -> Planned {
            let inside = plan.map_children(reordered_child)?;
            Ok(inside.data)
        };
        let relations = self.relations.into_iter().map(inside);
        let relations = relations.collect::<std::result::Result<Vec<_>, DataFusionError>>()?;
        let semis = self.semis.into_iter().map(|mut semi| {
            let right = Arc::unwrap_or_clone(semi.right);
            semi.right = Arc::new(reordered_child(right)?.data);
            Ok(semi)
        });
        let semis: Vec<Join> = semis.collect::<std::result::Result<_, DataFusionError>>()?;
        let problem = Problem {
            needs: semis.iter().map(|semi| needs(semi, &relations)).collect(),
            links: links(self.conditions, &relations),
            sizes: relations.iter().map(sizes::rows).collect(),
            semi_sizes: semis.iter().map(|semi| sizes::rows(&semi.right)).collect(),
            relations,
            semis,
        };
        let ways = (0..problem.relations.len()).map(|start| problem.way(start));
        let way = ways.min_by(|a, b| a.cost.total_cmp(&b.cost));
        let plan = problem.plan(&way.map(|way| way.steps).unwrap_or_default())?;
        let columns = node
            .schema()
            .iter()
            .map(|(qualifier, field)| Expr::Column(Column::new(qualifier.cloned(), field.name())));
        LogicalPlanBuilder::from(plan)
            .project(columns.collect::<Vec<_>>())?
            .build()
    }
}

fn reordered_child(
    child: LogicalPlan,
) -> std::result::Result<Transformed<LogicalPlan>, DataFusionError> {
    child.transform_down_with_subqueries(|node| {
        Ok(match joined(&node) {
            Some(ordered) => Transformed::new(ordered?, true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })
}

/// Whether there are inner joins below that can be taken apart.
fn has_joins(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::Join(join) => {
            is_inner(node)
                || (matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
                    && has_joins(&join.left))
        }
        LogicalPlan::Filter(filter) => has_joins(&filter.input),
        LogicalPlan::Projection(projection) => {
            is_pruning(projection) && has_joins(&projection.input)
        }
        _ => false,
    }
}

/// Whether a projection only leaves columns out.
fn is_pruning(projection: &Projection) -> bool {
    let same = |(expr, (qualifier, field)): (&Expr, (Option<&TableReference>, _))| {
        let field: &Arc<arrow::datatypes::Field> = field;
        matches!(expr, Expr::Column(column) if column.relation.as_ref() == qualifier
            && column.name == *field.name())
    };
    projection
        .expr
        .iter()
        .zip(projection.schema.iter())
        .all(same)
}

/// The relations whose columns an expression reads; `None` where one is of no relation.
fn relations_of(expr: &Expr, relations: &[LogicalPlan]) -> Option<BTreeSet<usize>> {
    let place = |column: &&Column| {
        relations
            .iter()
            .position(|plan| plan.schema().has_column(column))
    };
    expr.column_refs().iter().map(place).collect()
}

/// The relations that the left side of a semi-join reads.
fn needs(semi: &Join, relations: &[LogicalPlan]) -> BTreeSet<usize> {
    let keys = semi.on.iter().map(|(left, _)| left);
    let columns = keys.chain(&semi.filter).flat_map(|expr| expr.column_refs());
    let place = |column: &Column| {
        relations
            .iter()
            .position(|plan| plan.schema().has_column(column))
    };
    columns.filter_map(place).collect()
}

/// A condition, and the relations that it needs: on both sides of an equation where there is one.
struct Link {
    condition: Condition,
    sides: Option<[BTreeSet<usize>; 2]>,
    all: BTreeSet<usize>,
}

fn links(conditions: Vec<Condition>, relations: &[LogicalPlan]) -> Vec<Link> {
    let link = |condition: Condition| {
        let every = || (0..relations.len()).collect::<BTreeSet<usize>>();
        let of = |expr: &Expr| relations_of(expr, relations).unwrap_or_else(every);
        let (sides, all) = match &condition {
            Condition::Equal(a, b) => {
                let sides = [of(a), of(b)];
                let all = sides[0].union(&sides[1]).copied().collect();
                (Some(sides), all)
            }
            Condition::Other(expr) => (None, of(expr)),
        };
        Link {
            condition,
            sides,
            all,
        }
    };
    conditions.into_iter().map(link).collect()
}

struct Problem {
    relations: Vec<LogicalPlan>,
    sizes: Vec<f64>,
    links: Vec<Link>,
    semis: Vec<Join>,
    /// The relations that each semi-join reads.
    needs: Vec<BTreeSet<usize>>,
    semi_sizes: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Relation(usize),
    Semi(usize),
}

struct Way {
    steps: Vec<Step>,
    cost: f64,
}

impl Problem {
    /// The order that begins with a relation, and what it costs.
    fn way(&self, start: usize) -> Way {
        let mut steps = vec![Step::Relation(start)];
        let (mut done, mut rows, mut cost) = (BTreeSet::from([start]), self.sizes[start], 0.0);
        let mut left: Vec<Step> = (0..self.relations.len())
            .filter(|&relation| relation != start)
            .map(Step::Relation)
            .chain((0..self.semis.len()).map(Step::Semi))
            .collect();
        while !left.is_empty() {
            let after = |step: &Step| self.after(*step, &done, rows);
            let best = (0..left.len()).min_by(|&a, &b| {
                let (a, b) = (after(&left[a]), after(&left[b]));
                a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1))
            });
            let step = left.remove(best.unwrap_or(0));
            let (_, more, taken) = self.after(step, &done, rows);
            rows = more;
            cost += more + taken;
            if let Step::Relation(relation) = step {
                done.insert(relation);
            }
            steps.push(step);
        }
        // what is read first is read, too
        Way {
            steps,
            cost: cost + self.sizes[start],
        }
    }

    /// Whether a step has to wait, how many rows there are after it, and how many it takes in.
    fn after(&self, step: Step, done: &BTreeSet<usize>, rows: f64) -> (bool, f64, f64) {
        match step {
            Step::Semi(semi) => {
                let waits = !self.needs[semi].is_subset(done);
                (waits, rows / 2.0, self.semi_sizes[semi])
            }
            Step::Relation(relation) => {
                let own = &self.relations[relation];
                let keys = self.keys(relation, done);
                let values = keys.iter().map(|(before, key)| {
                    let place = relations_of(before, &self.relations);
                    let of = place.and_then(|place| place.first().copied());
                    let before = of.map_or(rows, |of| sizes::values(&self.relations[of], before));
                    (before.min(rows), sizes::values(own, key))
                });
                let size = self.sizes[relation];
                let joined = sizes::joined(rows, size, values.collect());
                (keys.is_empty(), joined, size)
            }
        }
    }

    /// The keys by which a relation is joined with those that are joined already: theirs, its own.
    fn keys(&self, relation: usize, done: &BTreeSet<usize>) -> Vec<(Expr, Expr)> {
        let own = BTreeSet::from([relation]);
        let key = |link: &Link| {
            let (Some([a, b]), Condition::Equal(left, right)) = (&link.sides, &link.condition)
            else {
                return None;
            };
            match (a.is_subset(done), *b == own, b.is_subset(done), *a == own) {
                (true, true, ..) if !a.is_empty() => Some((left.clone(), right.clone())),
                (.., true, true) if !b.is_empty() => Some((right.clone(), left.clone())),
                _ => None,
            }
        };
        self.links.iter().filter_map(key).collect()
    }

    fn plan(mut self, steps: &[Step]) -> Planned {
        let (mut done, mut plan) = (BTreeSet::new(), None::<LogicalPlan>);
        let relations: Vec<_> = self.relations.clone();
        let mut used = vec![false; self.links.len()];
        for &step in steps {
            plan = Some(match (step, plan.take()) {
                (Step::Semi(semi), Some(left)) => {
                    let mut semi = self.semis[semi].clone();
                    semi.left = Arc::new(left);
                    remade(semi)?
                }
                // a semi-join waits for what it reads
                (Step::Semi(_), None) => continue,
                (Step::Relation(relation), None) => {
                    done.insert(relation);
                    relations[relation].clone()
                }
                (Step::Relation(relation), Some(left)) => {
                    let on = self.keys(relation, &done);
                    let before = done.clone();
                    done.insert(relation);
                    let own = BTreeSet::from([relation]);
                    let mut more = Vec::new();
                    for (link, used) in self.links.iter_mut().zip(&mut used) {
                        if *used || !link.all.is_subset(&done) {
                            continue;
                        }
                        *used = true;
                        match &link.condition {
                            Condition::Equal(a, b) => {
                                let is_key = link.sides.as_ref().is_some_and(|[x, y]| {
                                    (x.is_subset(&before) && *y == own && !x.is_empty())
                                        || (y.is_subset(&before) && *x == own && !y.is_empty())
                                });
                                if !is_key {
                                    more.push(a.clone().eq(b.clone()));
                                }
                            }
                            Condition::Other(expr) => more.push(expr.clone()),
                        }
                    }
                    let join = Join::try_new(
                        Arc::new(left),
                        Arc::new(relations[relation].clone()),
                        on,
                        conjunction(more),
                        JoinType::Inner,
                        datafusion_expr::JoinConstraint::On,
                        NullEquality::NullEqualsNothing,
                        false,
                    )?;
                    LogicalPlan::Join(join)
                }
            });
        }
        let plan =
            plan.ok_or_else(|| DataFusionError::Internal("a join of no relations".into()))?;
        // conditions of one relation alone, and of none
        let rest = self.links.iter().zip(used).filter(|(_, used)| !used);
        let rest = rest.map(|(link, _)| match &link.condition {
            Condition::Equal(a, b) => a.clone().eq(b.clone()),
            Condition::Other(expr) => expr.clone(),
        });
        match conjunction(rest) {
            Some(rest) => LogicalPlanBuilder::from(plan).filter(rest)?.build(),
            None => Ok(plan),
        }
    }
}

/// A semi-join over another left side.
fn remade(semi: Join) -> Planned {
    Join::try_new(
        semi.left,
        semi.right,
        semi.on,
        semi.filter,
        semi.join_type,
        semi.join_constraint,
        semi.null_equality,
        semi.null_aware,
    )
    .map(LogicalPlan::Join)
}
