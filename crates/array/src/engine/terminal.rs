//! Terminals: where an expression is lowered, executed, and its result handed out.

use flagstone_common::Result;
use flagstone_graph::{Block, Execute, Graph, LayerId, Lower, Planner, Resources};
use ndarray::ArrayD;

use super::collect::{collect, collected, gathered};
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::lower::Lowering;
use crate::grid::ChunkGrid;
use crate::grid::plan::Plan;

/// A built graph: what [`Array::build`] returns.
pub struct Built {
    /// The layers.
    pub graph: Graph,
    /// The layer whose blocks are the array's chunks.
    pub output: LayerId,
    /// How the chunks lie in the array.
    pub grid: ChunkGrid,
    /// What the plan has to say of itself, in sentences.
    pub notes: Vec<String>,
}

impl<T: Element> Array<T> {
    /// Lowers the array for an executor without running it.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::{Execute, Resources, SerialExecutor};
    ///
    /// let built = Array::<f64>::ones(&[4]).build(Resources::UNLIMITED)?;
    /// let chunks = SerialExecutor.execute(&built.graph, &[built.output])?.remove(0);
    /// assert_eq!(chunks.len(), built.grid.len());
    /// assert_eq!(Array::<f64>::assemble(chunks, &built.grid)?[[3]], 1.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built.
    pub fn build(&self, resources: Resources) -> Result<Built> {
        let mut graph = Graph::new();
        let mut lowering = Lowering::new(&mut graph, Plan::new(resources));
        let lowered = lowering.lower_chunks(&self.node)?;
        let notes = lowering.notes;
        Ok(Built {
            graph,
            output: lowered.layer,
            grid: lowered.grid,
            notes,
        })
    }

    /// Lowers the array into a graph that others share; also says how its chunks lie.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::{Execute, Graph, Resources, SerialExecutor};
    ///
    /// let mut graph = Graph::new();
    /// let (ones, _) = Array::<f64>::ones(&[4]).push_with(&mut graph, Resources::UNLIMITED)?;
    /// let (zeros, _) = Array::<f64>::zeros(&[4]).push_with(&mut graph, Resources::UNLIMITED)?;
    /// assert_eq!(SerialExecutor.execute(&graph, &[ones, zeros])?.len(), 2);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built.
    pub fn push_with(
        &self,
        graph: &mut Graph,
        resources: Resources,
    ) -> Result<(LayerId, ChunkGrid)> {
        let lowered = Lowering::new(graph, Plan::new(resources)).lower_chunks(&self.node)?;
        Ok((lowered.layer, lowered.grid))
    }

    /// Puts the chunks of a layer that [`Array::push_with`] made together, in memory that nobody
    /// counts; see [`Array::push_whole`].
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::{Execute, Graph, Resources, SerialExecutor};
    ///
    /// let mut graph = Graph::new();
    /// let (layer, grid) = Array::<f64>::ones(&[4]).push_with(&mut graph, Resources::UNLIMITED)?;
    /// let chunks = SerialExecutor.execute(&graph, &[layer])?.remove(0);
    /// assert_eq!(Array::<f64>::assemble(chunks, &grid)?.len(), 4);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// When they are not this layer's.
    pub fn assemble(chunks: Vec<Block>, grid: &ChunkGrid) -> Result<ArrayD<T>> {
        gathered(chunks, grid)
    }

    /// Lowers the array into a graph that others share, ending in a layer of one block that is the
    /// whole array: its memory is part of the plan, and chunks are put in their places as they are
    /// computed. [`Array::whole`] reads the block.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::{Execute, Graph, Resources, SerialExecutor};
    ///
    /// let x = Array::<f64>::ones(&[4]);
    /// let mut graph = Graph::new();
    /// let layer = x.push_whole(&mut graph, Resources::UNLIMITED)?;
    /// let blocks = SerialExecutor.execute(&graph, &[layer])?.remove(0);
    /// assert_eq!(x.whole(blocks)?[[0]], 1.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built.
    pub fn push_whole(&self, graph: &mut Graph, resources: Resources) -> Result<LayerId> {
        self.try_shape()?;
        let plan = Plan::new(resources).beside(self.nbytes());
        let lowered = Lowering::new(graph, plan).lower_chunks(&self.node)?;
        Ok(collect::<T>(graph, &lowered, self.node.location))
    }

    /// The array from the blocks of the layer that [`Array::push_whole`] made.
    ///
    /// ```
    /// use flagstone_array::Array;
    ///
    /// assert!(Array::<f64>::ones(&[4]).whole(Vec::new()).is_err());
    /// ```
    ///
    /// # Errors
    /// When they are not this layer's.
    pub fn whole(&self, blocks: Vec<Block>) -> Result<ArrayD<T>> {
        collected(blocks)
    }

    /// Computes the array and returns it as one in memory. The memory is part of the plan: chunks
    /// are put in their places as they are computed.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 2]);
    /// assert_eq!(x.compute_with(&SerialExecutor)?, array![1, 2].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, and those of the run.
    pub fn compute_with(&self, executor: &dyn Execute) -> Result<ArrayD<T>> {
        Lower::compute_with(self, executor)
    }
}

impl<T: Element> Lower for Array<T> {
    type Output = ArrayD<T>;

    fn planner<'a>(&'a self, executor: &'a dyn Execute) -> Result<Planner<'a>> {
        let array = self.compute_chunk_sizes_whole(executor)?;
        Ok(Box::new(move |graph, resources| {
            Ok(vec![array.push_whole(graph, resources)?])
        }))
    }

    fn read(&self, blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Result<ArrayD<T>> {
        self.whole(blocks.next().unwrap_or_default())
    }
}
