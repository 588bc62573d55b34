//! Sorting: runs in order on scratch pages, and ranges of them merged.
//!
//! ```text
//!   partition 0 ──runs──┐             ┌── range 0 ── the lowest rows, in order
//!   partition 1 ──runs──┼── barrier ──┼── range 1
//!   partition 2 ──runs──┘  (ranges)   └── range 2
//! ```
//! A row is two strings of bytes: its key, which compares as the order says, and its columns. What
//! decides between equal keys is the row's place in the input, so that there is one order, whatever
//! the runs were. Ranges follow from samples at fixed places of the data.
//!
//! The first rows of an order (`ORDER BY .. LIMIT`) are no more than those of each partition: a task
//! keeps as many, and there is one range.
//!
//! Where rows with some keys in common belong together (in windows), the samples are those keys alone:
//! ranges are cut before the first row that has them, and a range may be empty.

mod held;
mod ranges;
mod row;
mod runs;

use std::panic::Location;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use flagstone_common::Result;
use flagstone_exchange::{RANGES_MAX, Sorting, Split};
use flagstone_graph::Graph;

use self::ranges::Ranges;
use self::row::{Rank, SortCodec};
use self::runs::Runs;
use super::breaker::Breaker;
use super::pipeline::Pipeline;
use crate::source::Bound;

/// One key of an order.
#[derive(Clone)]
pub(crate) struct SortKey {
    pub(crate) expr: Arc<dyn PhysicalExpr>,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// The rows of a pipeline in an order; of these the first ones, where no more are wanted.
pub(crate) struct Sorted {
    input: Pipeline,
    keys: Vec<SortKey>,
    fetch: Option<usize>,
    /// How many of the first keys rows have in common that are in one range.
    together: Option<usize>,
}

impl Sorted {
    pub(crate) fn new(input: Pipeline, keys: Vec<SortKey>, fetch: Option<usize>) -> Self {
        Sorted {
            input,
            keys,
            fetch,
            together: None,
        }
    }

    /// All rows in an order; those with the first `len` keys in common are in one range.
    pub(crate) fn together(input: Pipeline, keys: Vec<SortKey>, len: usize) -> Self {
        Sorted {
            together: Some(len),
            ..Sorted::new(input, keys, None)
        }
    }

    /// Whether there is one range however many rows there are.
    fn is_whole(&self) -> bool {
        self.fetch.is_some() || self.together == Some(0)
    }
}

impl Breaker for Sorted {
    fn name(&self) -> &str {
        match self.fetch {
            Some(_) => "top",
            None => "sort",
        }
    }

    fn schema(&self) -> SchemaRef {
        self.input.schema.clone()
    }

    fn bind(&self, graph: &mut Graph) -> Result<Bound> {
        let schema = self.schema();
        let codec = Arc::new(SortCodec::new(
            &schema,
            &self.keys,
            self.together.filter(|&len| len > 0),
        )?);
        let sorting = Arc::new(Sorting::<Rank>::new(!self.is_whole()));
        let runs = Runs {
            codec: Arc::clone(&codec),
            keys: self.keys.clone(),
            sorting: Arc::clone(&sorting),
            fetch: self.fetch,
        };
        let runs = self.input.clone().push(graph, Arc::new(runs))?;
        let split = match self.is_whole() {
            true => Split::At(Vec::new()),
            false => Split::Evenly(graph.layer(runs).task_count().clamp(1, RANGES_MAX)),
        };
        let barrier = sorting.close(graph, Location::caller(), runs, split);
        let inputs = vec![barrier, sorting.parts()?];
        let source = Arc::new(Ranges {
            name: self.name().to_owned(),
            schema,
            codec,
            sorting,
            fetch: self.fetch,
        });
        Ok(Bound { source, inputs })
    }
}
