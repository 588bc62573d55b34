//! Terminals: where an expression is lowered, executed, and its result handed out.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use flagstone_graph::{Block, Error, ErrorKind, Execute, Graph, LayerId, Result};
use flagstone_io::{AtomicFile, OutputOptions};
use ndarray::{ArrayD, IxDyn};

use crate::array::Array;
use crate::chunk::Chunk;
use crate::element::Element;
use crate::fused::Leaf;
use crate::grid::ChunkGrid;
use crate::layers::{Sink, Store, write_error};
use crate::lower::Lowering;
use crate::plan::Plan;
use crate::source::header_bytes;

/// A built graph: what [`Array::build`] returns.
pub struct Built {
    /// The layers.
    pub graph: Graph,
    /// The layer whose blocks are the array's chunks.
    pub output: LayerId,
    /// How the chunks lie in the array.
    pub grid: ChunkGrid,
}

impl<T: Element> Array<T> {
    /// Lowers the array for an executor without running it.
    ///
    /// # Errors
    /// A mistake in how the array was built.
    pub fn build(&self, resources: flagstone_graph::Resources) -> Result<Built> {
        let mut graph = Graph::new();
        let lowered = Lowering::new(&mut graph, Plan::new(resources)).lower(self)?;
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
        resources: flagstone_graph::Resources,
    ) -> Result<(LayerId, ChunkGrid)> {
        let lowered = Lowering::new(graph, Plan::new(resources)).lower(self)?;
        Ok((lowered.layer, lowered.grid))
    }

    /// Puts the chunks of a layer that [`Array::push_with`] made together.
    ///
    /// # Errors
    /// When they are not this layer's.
    pub fn assemble(chunks: Vec<Block>, grid: &ChunkGrid) -> Result<ArrayD<T>> {
        gather(chunks, grid)
    }

    /// Computes the array and returns it as one in memory.
    ///
    /// # Errors
    /// A mistake in how the array was built, and those of the run.
    pub fn compute_with(&self, executor: &dyn Execute) -> Result<ArrayD<T>> {
        let mut graph = Graph::new();
        let plan = Plan::new(executor.resources());
        let lowered = Lowering::new(&mut graph, plan).lower(self)?;
        let blocks = executor.execute(&graph, &[lowered.layer])?;
        let blocks = blocks.into_iter().next().unwrap_or_default();
        gather(blocks, &lowered.grid)
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
        let path = path.as_ref();
        let mut graph = Graph::new();
        let plan = Plan::new(executor.resources());
        let lowered = Lowering::new(&mut graph, plan).lower(self)?;
        let failed = |error: std::io::Error| {
            let message = write_error(&path.display().to_string(), &error);
            Error::new(ErrorKind::Failed, message).with_source(error)
        };
        let header = header_bytes(T::NPY_CODE, self.shape());
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
            },
            item_bytes: size_of::<T>(),
            write: Store::write_chunk::<T>,
        };
        let output = graph.push_at(Arc::new(store), &[lowered.layer], Some(self.node.location));
        executor.execute(&graph, &[output])?;
        target.commit().map_err(Error::failed)
    }
}

/// Puts chunks together.
fn gather<T: Element>(blocks: Vec<Block>, grid: &ChunkGrid) -> Result<ArrayD<T>> {
    let mut result = ArrayD::from_elem(IxDyn(grid.shape()), T::ZERO);
    for chunk in 0..grid.len() {
        let block: &Chunk<T> = blocks
            .get(chunk)
            .and_then(Block::downcast_ref)
            .ok_or_else(|| Error::invalid("the executor returned no chunk"))?;
        let region = grid.region(chunk);
        result
            .slice_each_axis_mut(|axis| region[axis.axis.index()].clone().into())
            .assign(&block.view());
    }
    Ok(result)
}
