//! Terminals: where an expression is lowered, executed, and its result handed out.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use flagstone_graph::{Block, Error, ErrorKind, Execute, Graph, LayerId, Resources, Result};
use flagstone_io::{AtomicFile, OutputOptions};
use ndarray::ArrayD;

use crate::array::Array;
use crate::element::Element;
use crate::grid::ChunkGrid;
use crate::layers::{Sink, Store, collect, collected, gathered, write_error};
use crate::lower::Lowering;
use crate::plan::Plan;
use crate::source::header_bytes;
use crate::tape::Leaf;

/// A built graph: what [`Array::build`] returns.
pub struct Built {
    /// The layers.
    pub graph: Graph,
    /// The layer whose blocks are the array's chunks.
    pub output: LayerId,
    /// How the chunks lie in the array.
    pub grid: ChunkGrid,
}

/// A built store: what [`Array::build_store`] returns.
pub struct BuiltStore {
    /// The layers.
    pub graph: Graph,
    /// The layer that writes.
    pub output: LayerId,
    target: AtomicFile,
}

impl<T: Element> Array<T> {
    /// Lowers the array for an executor without running it.
    ///
    /// # Errors
    /// A mistake in how the array was built.
    pub fn build(&self, resources: Resources) -> Result<Built> {
        let mut graph = Graph::new();
        let lowered = Lowering::new(&mut graph, Plan::new(resources)).lower_chunks(&self.node)?;
        Ok(Built {
            graph,
            output: lowered.layer,
            grid: lowered.grid,
        })
    }

    /// Lowers the array into a graph that others share; also says how its chunks lie.
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
    /// # Errors
    /// When they are not this layer's.
    pub fn assemble(chunks: Vec<Block>, grid: &ChunkGrid) -> Result<ArrayD<T>> {
        gathered(chunks, grid)
    }

    /// Lowers the array into a graph that others share, ending in a layer of one block that is the
    /// whole array: its memory is part of the plan, and chunks are put in their places as they are
    /// computed. [`Array::whole`] reads the block.
    ///
    /// # Errors
    /// A mistake in how the array was built.
    pub fn push_whole(&self, graph: &mut Graph, resources: Resources) -> Result<LayerId> {
        let plan = Plan::new(resources).beside(self.nbytes());
        let lowered = Lowering::new(graph, plan).lower_chunks(&self.node)?;
        Ok(collect::<T>(graph, &lowered, self.node.location))
    }

    /// The array from the blocks of the layer that [`Array::push_whole`] made.
    ///
    /// # Errors
    /// When they are not this layer's.
    pub fn whole(&self, blocks: Vec<Block>) -> Result<ArrayD<T>> {
        collected(blocks)
    }

    /// Computes the array and returns it as one in memory. The memory is part of the plan: chunks
    /// are put in their places as they are computed.
    ///
    /// # Errors
    /// A mistake in how the array was built, and those of the run.
    pub fn compute_with(&self, executor: &dyn Execute) -> Result<ArrayD<T>> {
        let mut graph = Graph::new();
        let array = self.counted_with(executor)?;
        let layer = array.push_whole(&mut graph, executor.resources())?;
        let blocks = executor.execute(&graph, &[layer])?;
        self.whole(blocks.into_iter().next().unwrap_or_default())
    }

    /// Computes the array into an npy file, which appears whole or not at all. An existing file is
    /// an error.
    ///
    /// # Errors
    /// A mistake in how the array was built, those of the run, and those of writing.
    pub fn store_npy_with(&self, executor: &dyn Execute, path: impl AsRef<Path>) -> Result<()> {
        self.store_npy_options_with(executor, path, OutputOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Array::store_npy_with`].
    pub fn store_npy_options_with(
        &self,
        executor: &dyn Execute,
        path: impl AsRef<Path>,
        options: OutputOptions,
    ) -> Result<()> {
        let array = self.counted_with(executor)?;
        let store = array.build_store(executor.resources(), path, options)?;
        executor.execute(&store.graph, &[store.output])?;
        store.target.commit().map_err(Error::failed)
    }

    /// Lowers the computation of the array into an npy file without running it, and opens the
    /// file: what stands in the way of the output is an error here already. Dropped, it leaves
    /// nothing.
    ///
    /// # Errors
    /// A mistake in how the array was built, and an output that cannot be written.
    pub fn build_store(
        &self,
        resources: Resources,
        path: impl AsRef<Path>,
        options: OutputOptions,
    ) -> Result<BuiltStore> {
        let path = path.as_ref();
        let mut graph = Graph::new();
        let plan = Plan::new(resources);
        let lowered = Lowering::new(&mut graph, plan).lower_chunks(&self.node)?;
        let failed = |error: std::io::Error| {
            let message = write_error(&path.display().to_string(), &error);
            Error::new(ErrorKind::Failed, message).with_source(error)
        };
        let header = header_bytes(T::DTYPE.npy_code(), self.shape());
        let mut target = AtomicFile::create(path, options).map_err(Error::failed)?;
        target.write_all(&header).map_err(failed)?;
        let file = target.file().try_clone().map_err(failed)?;
        let bytes = (self.len() * size_of::<T>()) as u64;
        file.set_len(header.len() as u64 + bytes).map_err(failed)?;
        let store = Store {
            sink: Arc::new(Sink {
                file,
                data_offset: header.len() as u64,
                path: path.display().to_string(),
            }),
            leaf: Leaf {
                slot: 0,
                grid: lowered.grid.clone(),
                stride: lowered.stride,
                dtype: T::DTYPE,
            },
        };
        let output = graph.push_at(Arc::new(store), &[lowered.layer], Some(self.node.location));
        Ok(BuiltStore {
            graph,
            output,
            target,
        })
    }
}
