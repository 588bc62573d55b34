//! Quantiles of lines that are longer than memory, looked up in their sorted runs.

use std::marker::PhantomData;

use flagstone_common::{Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, Layer};

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::{Element, Float};
use crate::engine::evaluate::{coords, declared};
use crate::expr::lower::{Lowered, Lowering};
use crate::expr::node::Node;
use crate::families::sort::ranking::Ascending;
use crate::families::sort::runs::{inputs_of, runs_of, selection_bytes, tasks_of};
use crate::families::sort::select::Selection;
use crate::grid::{ChunkGrid, lengths, volume};

/// The layer: `qs` along the axis instead of the lines.
pub(crate) struct LineQuantiles<T, R> {
    runs: ChunkGrid,
    grid: ChunkGrid,
    axis: usize,
    qs: Vec<f64>,
    /// Leaves out what is not a number.
    skip: bool,
    between: Between,
    types: PhantomData<fn(T) -> R>,
}

/// The place below a quantile of this many numbers, and how far it is to the next.
pub(crate) fn place(count: usize, q: f64) -> (usize, f64) {
    let last = count.saturating_sub(1);
    let place = q * last as f64;
    let below = (place.floor() as usize).min(last);
    (below, place - below as f64)
}

/// What stands between two neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    /// A straight line, as NumPy's quantiles: from the nearer end, so that the result never leaves
    /// the two.
    Line,
    /// Their mean, as NumPy's median, which of an infinity beside a number is infinite.
    Mean,
}

impl Between {
    pub(crate) fn of<T: Element>(self, low: T, high: T, part: f64) -> f64 {
        let (low, high): (f64, f64) = (low.cast(), high.cast());
        match part {
            0.0 => low,
            _ if self == Between::Mean => match low + high {
                // of two numbers whose sum is too large
                sum if sum.is_infinite() => low / 2.0 + high / 2.0,
                sum => sum / 2.0,
            },
            part if part < 0.5 => low + (high - low) * part,
            part => high - (high - low) * (1.0 - part),
        }
    }
}

impl<T: Element, R: Float> LineQuantiles<T, R> {
    /// The quantiles of the node's operand along an axis.
    pub(crate) fn lower(
        lowering: &mut Lowering<'_>,
        node: &Node,
        axis: usize,
        (qs, skip, between): (&[f64], bool, Between),
    ) -> Result<Lowered> {
        let parts = lowering.operand(&node.inputs()[0])?;
        let (layer, runs) = runs_of::<Ascending<T>>(lowering, parts, axis, usize::MAX, node)?;
        let mut chunk = runs.chunk_shape().to_vec();
        chunk[axis] = qs.len();
        let grid = ChunkGrid::new(&node.shape, &chunk);
        let quantiles = LineQuantiles::<T, R> {
            runs,
            grid: grid.clone(),
            axis,
            qs: qs.to_vec(),
            skip,
            between,
            types: PhantomData,
        };
        Ok(Lowered {
            layer: lowering.push(quantiles, &[layer], node),
            grid,
            stride: 1,
            item_bytes: size_of::<R>(),
        })
    }
}

impl<T: Element, R: Float> Layer for LineQuantiles<T, R> {
    fn name(&self) -> &str {
        "quantile"
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let group = self.grid.coords(task as usize);
        for run in tasks_of(&self.runs, self.axis, &group) {
            deps.push(0, run);
        }
    }

    fn footprint(&self, task: u32) -> Footprint {
        let region = self.grid.region(task as usize);
        let output = (volume(&region) * size_of::<R>()) as u64;
        let scratch = selection_bytes::<T::Key>(&self.runs, self.axis, usize::MAX);
        Footprint::exact(output).with_scratch(scratch)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let memory = declared(self.footprint(task).scratch_bytes);
        let region = self.grid.region(task as usize);
        let (outer, inner) = (
            volume(&region[..self.axis]),
            volume(&region[self.axis + 1..]),
        );
        let count = self.runs.counts()[self.axis];
        let runs = inputs_of::<T::Key>(&inputs, count, outer * inner)?;
        let mut out = Buffer::<R>::granted(outer * self.qs.len() * inner)?;
        for line in 0..outer * inner {
            let known: usize = runs.iter().map(|runs| runs.runs[line].known).sum();
            let whole = self.skip || known == self.runs.shape()[self.axis];
            let mut selection = Selection::new(&runs, line, &memory)?;
            let (o, i) = (line / inner, line % inner);
            for (k, &q) in self.qs.iter().enumerate() {
                let value = match known {
                    0 => f64::NAN,
                    _ if !whole => f64::NAN,
                    known => {
                        let (below, part) = place(known, q);
                        let above = (below + 1).min(known - 1);
                        let low = selection.first(below)?.1.unwrap_or_default();
                        let high = match part == 0.0 {
                            true => low,
                            false => selection.first(above)?.1.unwrap_or_default(),
                        };
                        self.between.of(T::of_key(low), T::of_key(high), part)
                    }
                };
                out[(o * self.qs.len() + k) * inner + i] = R::from_f64(value);
            }
            ctx.check_cancelled()?;
        }
        Ok(Block::new(Chunk::new(out, lengths(&region))))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.unique();
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }
}
