//! Arrays from what others compute: closures, delayed values, blocks of other layers.
//!
//! What comes from outside is looked at before it becomes a chunk: its shape and its type are
//! promises that everything above relies on.

use std::ops::Range;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, Layer, LayerId, Lazy};
use ndarray::{ArrayD, ArrayViewD};

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::engine::evaluate::coords;
use crate::engine::lowering::check_count;
use crate::expr::lower::{Lower, Lowered, Lowering};
use crate::expr::node::Node;
use crate::grid::place::BlockPlace;
use crate::grid::{ChunkGrid, lengths, volume};

/// A block of elements from its place and its range of indices along each axis.
pub(crate) type OfPlace<T> = Arc<dyn Fn(&BlockPlace, &[Range<usize>]) -> ArrayD<T> + Send + Sync>;
/// Puts a layer into a graph.
pub(crate) type PushLayer = Arc<dyn Fn(&mut Graph) -> Result<LayerId> + Send + Sync>;
/// Fills the rows of a partition, in C order.
pub(crate) type ReadRows<T> = Arc<dyn Fn(&Block, &mut [T]) -> Result<()> + Send + Sync>;

fn chunk_of<T: Element>(values: ArrayViewD<'_, T>) -> Result<Block> {
    let mut out = Buffer::<T>::granted(values.len())?;
    for (to, &from) in out.iter_mut().zip(values.iter()) {
        *to = from;
    }
    Ok(Block::new(Chunk::new(out, values.shape().to_vec())))
}

fn check_shape(what: &str, found: &[usize], expected: &[usize]) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Invalid,
            format!("{what} has the shape {found:?} where {expected:?} was promised"),
        )),
    }
}

/// Blocks that a closure makes.
pub(crate) struct FromBlocks<T> {
    pub(crate) grid: ChunkGrid,
    pub(crate) function: OfPlace<T>,
}

impl<T: Element> Lower for FromBlocks<T> {
    fn name(&self) -> &'static str {
        "from-blocks"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        check_count(self.grid.len() as u64, node)?;
        let layer = FromBlocks {
            grid: self.grid.clone(),
            function: Arc::clone(&self.function),
        };
        Ok(Lowered {
            layer: lowering.push(layer, &[], node),
            grid: self.grid.clone(),
            stride: 1,
            item_bytes: size_of::<T>(),
        })
    }

    fn chunks(&self) -> Option<&ChunkGrid> {
        Some(&self.grid)
    }
}

impl<T: Element> Layer for FromBlocks<T> {
    fn name(&self) -> &str {
        "from-blocks"
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    /// The block, and what the closure returns.
    fn footprint(&self, task: u32) -> Footprint {
        let bytes = (volume(&self.grid.region(task as usize)) * size_of::<T>()) as u64;
        Footprint::exact(bytes).with_scratch(bytes)
    }

    fn run(&self, task: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let region = self.grid.region(task as usize);
        let place = BlockPlace::of(&self.grid, task as usize);
        let values = (self.function)(&place, &region);
        let what = format!("block {:?}", place.coords);
        check_shape(&what, values.shape(), &lengths(&region))?;
        chunk_of(values.view())
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }
}

/// An array that is a delayed value.
pub(crate) struct FromDelayed<T>(pub(crate) Lazy<ArrayD<T>>);

impl<T: Element> Lower for FromDelayed<T> {
    fn name(&self) -> &'static str {
        "from-delayed"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let value = self.0.push_into(lowering.graph);
        let layer = OfValue::<T> {
            shape: node.shape.clone(),
            element: std::marker::PhantomData,
        };
        Ok(Lowered {
            layer: lowering.push(layer, &[value], node),
            grid: ChunkGrid::new(&node.shape, &node.shape),
            stride: 1,
            item_bytes: size_of::<T>(),
        })
    }
}

struct OfValue<T> {
    shape: Vec<usize>,
    element: std::marker::PhantomData<fn() -> T>,
}

impl<T: Element> Layer for OfValue<T> {
    fn name(&self) -> &str {
        "from-delayed"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(0, 0);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact((self.shape.iter().product::<usize>() * size_of::<T>()) as u64)
    }

    fn run(&self, _: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let value: &ArrayD<T> = inputs.value(0)?;
        check_shape("the delayed array", value.shape(), &self.shape)?;
        chunk_of(value.view())
    }
}

/// Blocks that were computed before, or are by a layer of somebody else's.
pub(crate) struct FromLayer {
    pub(crate) grid: ChunkGrid,
    pub(crate) push: PushLayer,
}

impl Lower for FromLayer {
    fn name(&self) -> &'static str {
        "from-layer"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let given = (self.push)(lowering.graph)?;
        check_tasks(lowering.graph, given, self.grid.len(), node)?;
        let layer = Looked {
            grid: self.grid.clone(),
            dtype: node.dtype,
        };
        Ok(Lowered {
            layer: lowering.push(layer, &[given], node),
            grid: self.grid.clone(),
            stride: 1,
            item_bytes: node.dtype.size(),
        })
    }

    fn chunks(&self) -> Option<&ChunkGrid> {
        Some(&self.grid)
    }
}

fn check_tasks(graph: &Graph, layer: LayerId, expected: usize, node: &Node) -> Result<()> {
    let found = graph.layer(layer).task_count() as usize;
    match found == expected {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Invalid,
            format!("a layer of {found} blocks was given for an array of {expected}"),
        )
        .with_location(node.location)),
    }
}

/// Hands on a block that is what it was said to be.
struct Looked {
    grid: ChunkGrid,
    dtype: crate::elements::dtype::DType,
}

impl Layer for Looked {
    fn name(&self) -> &str {
        "from-layer"
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        deps.push(0, task);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let bytes = volume(&self.grid.region(task as usize)) * self.dtype.size();
        Footprint::exact(bytes as u64).reusing(0)
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        inputs
            .get::<Chunk>(0)?
            .check_is(self.dtype, &lengths(&self.grid.region(task as usize)))?;
        inputs.take(0)
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }

    fn one_to_one(&self) -> Option<usize> {
        Some(0)
    }
}

/// Rows that partitions of another collection hold.
pub(crate) struct FromPartitions<T> {
    /// Partitions with rows are chunks.
    pub(crate) grid: ChunkGrid,
    /// The partition of each chunk.
    pub(crate) partitions: Vec<u32>,
    /// How many partitions there are.
    pub(crate) count: usize,
    pub(crate) push: PushLayer,
    pub(crate) read: ReadRows<T>,
}

impl<T: Element> Lower for FromPartitions<T> {
    fn name(&self) -> &'static str {
        "from-partitions"
    }

    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered> {
        let given = (self.push)(lowering.graph)?;
        check_tasks(lowering.graph, given, self.count, node)?;
        let layer = Rows {
            grid: self.grid.clone(),
            partitions: self.partitions.clone(),
            read: Arc::clone(&self.read),
        };
        Ok(Lowered {
            layer: lowering.push(layer, &[given], node),
            grid: self.grid.clone(),
            stride: 1,
            item_bytes: size_of::<T>(),
        })
    }

    fn chunks(&self) -> Option<&ChunkGrid> {
        Some(&self.grid)
    }
}

struct Rows<T> {
    grid: ChunkGrid,
    partitions: Vec<u32>,
    read: ReadRows<T>,
}

impl<T: Element> Layer for Rows<T> {
    fn name(&self) -> &str {
        "from-partitions"
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        // an array without rows has a chunk, but no partition
        if let Some(&partition) = self.partitions.get(task as usize) {
            deps.push(0, partition);
        }
    }

    fn footprint(&self, task: u32) -> Footprint {
        let elements = volume(&self.grid.region(task as usize));
        Footprint::exact((elements * size_of::<T>()) as u64)
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let region = self.grid.region(task as usize);
        let mut out = Buffer::<T>::granted(volume(&region))?;
        if !inputs.is_empty() {
            (self.read)(&inputs.take(0)?, &mut out)?;
        }
        Ok(Block::new(Chunk::new(out, lengths(&region))))
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }
}
