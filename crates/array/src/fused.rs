//! Expressions as tasks evaluate them: one pass over one region, no block in between.
//!
//! Element-wise operations, transposes and slices of sources are *fused*: a task that needs a
//! region of the result asks each leaf for the region it needs and works on those. What cannot be
//! fused (a product, a sum) is a layer of its own; its blocks are leaves here.
//!
//! ```text
//!       -                       region (0..512, 0..1000)
//!     /   \
//!    T     leaf 0: mean         transposed: (0..1000, 0..512)     broadcast: (0..1000)
//!    |
//!  read-npy                     one window of the file
//! ```

use std::ops::Range;
use std::sync::Arc;

use flagstone_graph::{Deps, Error, Inputs, Result};
use flagstone_memory::Memory;

use crate::buffer::Buffer;
use crate::chunk::{Chunk, view_mut};
use crate::element::Element;
use crate::expression::Picks;
use crate::grid::{ChunkGrid, Region, lengths, volume};
use crate::kernels::elementwise::{self, Binary};
use crate::source::{Order, Source};
use crate::value::{Value, ViewOp};

/// An expression whose leaves are sources and blocks of other layers.
pub(crate) struct Fused<T: Element> {
    pub(crate) expr: Expr<T>,
    pub(crate) leaves: Vec<Leaf>,
}

/// The blocks of another layer.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    /// The dependency slot of the layer.
    pub(crate) slot: usize,
    /// How its blocks lie in the array.
    pub(crate) grid: ChunkGrid,
    /// Chunk `i` is the block of task `i * stride + stride - 1`: a layer that accumulates a chunk
    /// in several tasks gives it with the last.
    pub(crate) stride: u32,
}

pub(crate) struct Expr<T: Element> {
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind<T>,
}

pub(crate) enum Kind<T: Element> {
    Source(Arc<dyn Source<T>>),
    Leaf(usize),
    Scalar(T),
    Permute(Box<Expr<T>>, Vec<usize>),
    Pick(Box<Expr<T>>, Picks),
    Binary(Binary, Box<Expr<T>>, Box<Expr<T>>),
}

/// What evaluating a region allocates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// The most bytes held at once, the result included.
    pub(crate) peak_bytes: u64,
    /// The bytes of the result; 0 when it is borrowed from a block or from the caller's memory.
    owned_bytes: u64,
    /// Whether an owned result lies in C order without gaps.
    in_order: bool,
}

/// The blocks of a task, by leaf.
pub(crate) struct LeafBlocks<T> {
    blocks: Vec<Vec<LeafBlock<T>>>,
}

/// A chunk's number and its block, until it is taken.
type LeafBlock<T> = (usize, Option<Arc<Chunk<T>>>);

/// Called with every source of an expression and the region needed of it.
type VisitSource<'a, T> = dyn FnMut(&dyn Source<T>, &[Range<usize>]) + 'a;

/// What an evaluation may use and what it reports.
pub(crate) struct Scope<'a> {
    /// Where buffers are leased.
    pub(crate) memory: &'a dyn Memory,
    /// Called with the bytes read from storage.
    pub(crate) count_read: &'a (dyn Fn(u64) + Sync),
}

impl<T: Element> Expr<T> {
    /// The region of a child that a region of this expression needs.
    fn child_region(&self, child: &Expr<T>, region: &[Range<usize>]) -> Region {
        match &self.kind {
            Kind::Permute(_, axes) => {
                let mut mapped = vec![0..0; axes.len()];
                for (range, &axis) in region.iter().zip(axes) {
                    mapped[axis] = range.clone();
                }
                mapped
            }
            Kind::Pick(_, picks) => picks.region(region),
            _ => broadcast_region(region, &child.shape),
        }
    }

    /// Visits the leaves with the regions needed of them, in the order of evaluation.
    fn leaf_regions(&self, region: &[Range<usize>], visit: &mut dyn FnMut(usize, Region)) {
        match &self.kind {
            Kind::Source(_) | Kind::Scalar(_) => {}
            Kind::Leaf(leaf) => visit(*leaf, region.to_vec()),
            Kind::Permute(of, _) | Kind::Pick(of, _) => {
                of.leaf_regions(&self.child_region(of, region), visit);
            }
            Kind::Binary(_, left, right) => {
                for child in [left, right] {
                    child.leaf_regions(&self.child_region(child, region), visit);
                }
            }
        }
    }

    /// Visits the sources with the regions needed of them.
    fn source_regions(&self, region: &[Range<usize>], visit: &mut VisitSource<'_, T>) {
        match &self.kind {
            Kind::Source(source) => visit(&**source, region),
            Kind::Leaf(_) | Kind::Scalar(_) => {}
            Kind::Permute(of, _) | Kind::Pick(of, _) => {
                of.source_regions(&self.child_region(of, region), visit);
            }
            Kind::Binary(_, left, right) => {
                for child in [left, right] {
                    child.source_regions(&self.child_region(child, region), visit);
                }
            }
        }
    }

    fn cost(&self, region: &[Range<usize>], leaves: &[Leaf], donated: Option<usize>) -> Cost {
        let bytes = |region: &[Range<usize>]| (volume(region) * size_of::<T>()) as u64;
        let borrowed = Cost {
            peak_bytes: 0,
            owned_bytes: 0,
            in_order: false,
        };
        let fresh = |bytes: u64, in_order| Cost {
            peak_bytes: bytes,
            owned_bytes: bytes,
            in_order,
        };
        match &self.kind {
            Kind::Scalar(_) => borrowed,
            Kind::Source(source) => match source.view() {
                Some(_) => borrowed,
                None => fresh(
                    bytes(region),
                    source.order() == Order::C || region.len() < 2,
                ),
            },
            Kind::Leaf(leaf) => match leaves[*leaf].grid.overlapping(region).len() {
                1 if donated == Some(*leaf) => fresh(bytes(region), true),
                1 => borrowed,
                _ => fresh(bytes(region), true),
            },
            Kind::Permute(of, _) | Kind::Pick(of, _) => {
                let cost = of.cost(&self.child_region(of, region), leaves, donated);
                Cost {
                    in_order: false,
                    ..cost
                }
            }
            Kind::Binary(_, left, right) => {
                let out = bytes(region);
                let costs = [left, right].map(|child| {
                    let mapped = self.child_region(child, region);
                    let whole = lengths(&mapped) == lengths(region);
                    (child.cost(&mapped, leaves, donated), whole)
                });
                let [(left, left_whole), (right, right_whole)] = costs;
                let held = left.owned_bytes + right.owned_bytes;
                let in_place = [(left, left_whole), (right, right_whole)]
                    .into_iter()
                    .find(|(cost, whole)| *whole && cost.owned_bytes > 0);
                let result = match in_place {
                    Some((cost, _)) => cost,
                    None => fresh(out, true),
                };
                let own = held + if in_place.is_some() { 0 } else { out };
                Cost {
                    peak_bytes: left
                        .peak_bytes
                        .max(left.owned_bytes + right.peak_bytes)
                        .max(own),
                    ..result
                }
            }
        }
    }

    fn eval<'a>(
        &'a self,
        region: &[Range<usize>],
        leaves: &[Leaf],
        blocks: &mut LeafBlocks<T>,
        scope: &Scope<'_>,
    ) -> Result<Value<'a, T>> {
        match &self.kind {
            Kind::Scalar(value) => Ok(Value::borrowed(ndarray::aview0(value).into_dyn())),
            Kind::Source(source) => match source.view() {
                Some(whole) => Ok(Value::borrowed(whole).part(region)),
                None => {
                    let mut values = Buffer::leased(volume(region), scope.memory)?;
                    (scope.count_read)(source.read(region, &mut values)?);
                    Ok(Value::owned(values, lengths(region), source.order()))
                }
            },
            Kind::Leaf(leaf) => blocks.assemble(*leaf, &leaves[*leaf].grid, region, scope.memory),
            Kind::Permute(of, axes) => {
                let value = of.eval(&self.child_region(of, region), leaves, blocks, scope)?;
                Ok(value.then(ViewOp::Permute(axes.clone())))
            }
            Kind::Pick(of, picks) => {
                let value = of.eval(&self.child_region(of, region), leaves, blocks, scope)?;
                Ok(value.then(picks.view_op()))
            }
            Kind::Binary(op, left, right) => {
                let left = left.eval(&self.child_region(left, region), leaves, blocks, scope)?;
                let right = right.eval(&self.child_region(right, region), leaves, blocks, scope)?;
                combine(*op, left, right, &lengths(region), scope.memory)
            }
        }
    }
}

/// The part of an operand that is broadcast to `region`.
fn broadcast_region(region: &[Range<usize>], shape: &[usize]) -> Region {
    let skip = region.len() - shape.len();
    region[skip..]
        .iter()
        .zip(shape)
        .map(|(range, &length)| if length == 1 { 0..1 } else { range.clone() })
        .collect()
}

fn combine<'a, T: Element>(
    op: Binary,
    mut left: Value<'a, T>,
    mut right: Value<'a, T>,
    shape: &[usize],
    memory: &dyn Memory,
) -> Result<Value<'a, T>> {
    if left.is_owned()
        && left.view().shape() == shape
        && let Some(target) = left.view_mut()
    {
        elementwise::into_left(op, target, right.view());
        return Ok(left);
    }
    if right.is_owned()
        && right.view().shape() == shape
        && let Some(target) = right.view_mut()
    {
        elementwise::into_right(op, left.view(), target);
        return Ok(right);
    }
    let mut values = Buffer::leased(shape.iter().product(), memory)?;
    elementwise::into_new(op, left.view(), right.view(), view_mut(&mut values, shape));
    Ok(Value::owned(values, shape.to_vec(), Order::C))
}

impl<T: Element> Fused<T> {
    pub(crate) fn shape(&self) -> &[usize] {
        &self.expr.shape
    }

    /// Names the blocks that a region needs; `Fused::blocks` finds them in the same order.
    pub(crate) fn deps(&self, region: &[Range<usize>], deps: &mut Deps<'_>) {
        self.expr.leaf_regions(region, &mut |leaf, region| {
            let leaf = &self.leaves[leaf];
            for chunk in leaf.grid.overlapping(&region) {
                deps.push(leaf.slot, chunk as u32 * leaf.stride + leaf.stride - 1);
            }
        });
    }

    /// Takes the blocks of a region from a task's inputs, from position `*next` on.
    pub(crate) fn blocks(
        &self,
        region: &[Range<usize>],
        inputs: &mut Inputs<'_>,
        next: &mut usize,
    ) -> Result<LeafBlocks<T>> {
        let mut blocks = Vec::with_capacity(self.leaves.len());
        blocks.resize_with(self.leaves.len(), Vec::new);
        let mut failed = None;
        self.expr.leaf_regions(region, &mut |leaf, region| {
            for chunk in self.leaves[leaf].grid.overlapping(&region) {
                let position = *next;
                *next += 1;
                let wrong = || Error::invalid(format!("input {position} is not a chunk"));
                match inputs
                    .take(position)
                    .and_then(|block| block.downcast().map_err(|_| wrong()))
                {
                    Ok(block) => blocks[leaf].push((chunk, Some(block))),
                    Err(error) => failed = failed.take().or(Some(error)),
                }
            }
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(LeafBlocks { blocks }),
        }
    }

    /// What a region costs; `donated` is the leaf whose only block becomes the result's buffer.
    pub(crate) fn cost(&self, region: &[Range<usize>], donated: Option<usize>) -> Cost {
        self.expr.cost(region, &self.leaves, donated)
    }

    /// The bytes held at once until the result is a chunk in C order, the chunk included.
    pub(crate) fn chunk_peak_bytes(&self, region: &[Range<usize>], donated: Option<usize>) -> u64 {
        let cost = self.cost(region, donated);
        let out = (volume(region) * size_of::<T>()) as u64;
        match cost.in_order && cost.owned_bytes == out {
            true => cost.peak_bytes,
            false => cost.peak_bytes.max(cost.owned_bytes + out),
        }
    }

    /// Bytes that evaluating a region reads from storage.
    pub(crate) fn storage_bytes(&self, region: &[Range<usize>]) -> u64 {
        let mut bytes = 0;
        self.expr.source_regions(region, &mut |source, region| {
            bytes += source.storage_bytes(region)
        });
        bytes
    }

    pub(crate) fn eval(
        &self,
        region: &[Range<usize>],
        blocks: &mut LeafBlocks<T>,
        scope: &Scope<'_>,
    ) -> Result<Value<'_, T>> {
        self.expr.eval(region, &self.leaves, blocks, scope)
    }

    /// Whether the result has a leaf's blocks as they are, possibly combined with others: then a
    /// task that works on one block can work in place.
    pub(crate) fn in_place_leaf(&self) -> Option<usize> {
        fn walk<T: Element>(expr: &Expr<T>, shape: &[usize]) -> Option<usize> {
            match &expr.kind {
                Kind::Leaf(leaf) if expr.shape == shape => Some(*leaf),
                // the left operand's blocks are named first, which one-to-one layers need
                Kind::Binary(_, left, right) => {
                    walk(left, shape).or_else(|| match has_leaf(left) {
                        true => None,
                        false => walk(right, shape),
                    })
                }
                _ => None,
            }
        }
        walk(&self.expr, &self.expr.shape)
    }

    /// Whether the expression is a leaf and nothing else.
    pub(crate) fn is_leaf(&self) -> bool {
        matches!(self.expr.kind, Kind::Leaf(_))
    }

    /// The source that holds a window of a matrix as it is, with the window's place there and
    /// whether it lies transposed.
    pub(crate) fn window(
        &self,
        region: &[Range<usize>],
    ) -> Option<(&Arc<dyn Source<T>>, Region, bool)> {
        let (mut expr, mut region, mut transposed) = (&self.expr, region.to_vec(), false);
        loop {
            match &expr.kind {
                Kind::Source(source) => return Some((source, region, transposed)),
                Kind::Permute(of, axes) => {
                    region = expr.child_region(of, &region);
                    transposed ^= axes[..] == [1, 0];
                    expr = of;
                }
                Kind::Pick(of, picks) if picks.is_window() => {
                    region = picks.region(&region);
                    expr = of;
                }
                _ => return None,
            }
        }
    }

    /// Whether some axes are read in another order than they are stored in.
    pub(crate) fn is_permuted(&self) -> bool {
        fn walk<T: Element>(expr: &Expr<T>) -> bool {
            match &expr.kind {
                Kind::Source(source) => source.order() == Order::Fortran && expr.shape.len() > 1,
                Kind::Permute(of, axes) => !axes.is_sorted() || walk(of),
                Kind::Pick(of, _) => walk(of),
                Kind::Binary(_, left, right) => walk(left) || walk(right),
                Kind::Leaf(_) | Kind::Scalar(_) => false,
            }
        }
        walk(&self.expr)
    }

    pub(crate) fn hash(&self, hasher: &mut flagstone_graph::TokenHasher) {
        fn walk<T: Element>(expr: &Expr<T>, hasher: &mut flagstone_graph::TokenHasher) {
            match &expr.kind {
                Kind::Source(source) => source.hash(hasher.str("source")),
                Kind::Leaf(leaf) => _ = hasher.str("leaf").u64(*leaf as u64),
                Kind::Scalar(value) => _ = hasher.str(T::NAME).u64(value.token_bits()),
                Kind::Permute(of, axes) => walk(of, hasher.str(&format!("permute {axes:?}"))),
                Kind::Pick(of, picks) => walk(of, hasher.str(&format!("pick {picks:?}"))),
                Kind::Binary(op, left, right) => {
                    walk(left, hasher.str(op.name()));
                    walk(right, hasher);
                }
            }
        }
        walk(&self.expr, hasher);
        hasher.str(&format!("{:?}", self.leaves));
    }
}

fn has_leaf<T: Element>(expr: &Expr<T>) -> bool {
    match &expr.kind {
        Kind::Leaf(_) => true,
        Kind::Source(_) | Kind::Scalar(_) => false,
        Kind::Permute(of, _) | Kind::Pick(of, _) => has_leaf(of),
        Kind::Binary(_, left, right) => has_leaf(left) || has_leaf(right),
    }
}

impl<T: Element> LeafBlocks<T> {
    /// For an expression that is not evaluated.
    pub(crate) fn none() -> Self {
        LeafBlocks { blocks: Vec::new() }
    }

    /// A copy of the handles, for evaluating parts of the region one by one.
    pub(crate) fn shared(&self) -> Self {
        LeafBlocks {
            blocks: self.blocks.clone(),
        }
    }

    fn assemble<'a>(
        &mut self,
        leaf: usize,
        grid: &ChunkGrid,
        region: &[Range<usize>],
        memory: &dyn Memory,
    ) -> Result<Value<'a, T>> {
        let mut find = |chunk: usize| {
            self.blocks[leaf]
                .iter_mut()
                .find(|(number, _)| *number == chunk)
                .and_then(|(_, block)| block.take())
                .ok_or_else(|| {
                    Error::invalid(format!("the block of chunk {chunk} is not an input"))
                })
        };
        let chunks = grid.overlapping(region);
        if let [chunk] = chunks[..] {
            let local = local_region(&grid.region(chunk), region);
            return Ok(match Arc::try_unwrap(find(chunk)?) {
                Ok(chunk) => {
                    let shape = chunk.shape().to_vec();
                    Value::owned(chunk.into_values(), shape, Order::C).part(&local)
                }
                Err(shared) => Value::shared(shared).part(&local),
            });
        }
        let shape = lengths(region);
        let mut values = Buffer::leased(volume(region), memory)?;
        let mut target = view_mut(&mut values, &shape);
        for chunk in chunks {
            let block = find(chunk)?;
            let place = grid.region(chunk);
            let common: Region = place
                .iter()
                .zip(region)
                .map(|(a, b)| a.start.max(b.start)..a.end.min(b.end))
                .collect();
            let source = Value::borrowed(block.view()).part(&local_region(&place, &common));
            let local = local_region(region, &common);
            target
                .slice_each_axis_mut(|axis| local[axis.axis.index()].clone().into())
                .assign(&source.view());
        }
        Ok(Value::owned(values, shape, Order::C))
    }
}

/// `inner` as seen from the start of `outer`.
fn local_region(outer: &[Range<usize>], inner: &[Range<usize>]) -> Region {
    outer
        .iter()
        .zip(inner)
        .map(|(outer, inner)| inner.start - outer.start..inner.end - outer.start)
        .collect()
}
