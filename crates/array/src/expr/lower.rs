//! What an expression and the engine agree on: an operation is handed a [`Lowering`] and gives a layer
//! of chunks, [`Lowered`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Graph, LayerId};

use super::node::Node;
use super::view::View;
use crate::grid::ChunkGrid;
use crate::grid::plan::Plan;

/// A layer that holds an array in chunks.
#[derive(Clone)]
pub(crate) struct Lowered {
    pub(crate) layer: LayerId,
    pub(crate) grid: ChunkGrid,
    /// Chunk `i` is the block of task `i * stride + stride - 1`: a layer that accumulates a chunk in
    /// several tasks gives it with the last.
    pub(crate) stride: u32,
    pub(crate) item_bytes: usize,
}

impl Lowered {
    pub(crate) fn chunk_bytes(&self) -> u64 {
        (self.grid.chunk_volume() * self.item_bytes) as u64
    }

    pub(crate) fn nbytes(&self) -> u64 {
        (self.grid.shape().iter().product::<usize>() * self.item_bytes) as u64
    }
}

/// A reader of stored chunks, of which any part can be read alone.
pub(crate) trait ReadParts {
    /// The stored chunks.
    fn stored_grid(&self) -> &ChunkGrid;

    /// A layer that reads pieces, of which none lies in two stored chunks; `banded` if all of them
    /// will be read, those at the start of each chunk first.
    ///
    /// # Errors
    /// Too many pieces, and codecs that promise no bound.
    fn read_pieces(
        &self,
        lowering: &mut Lowering<'_>,
        grid: ChunkGrid,
        banded: bool,
        node: &Node,
    ) -> Result<Lowered>;
}

/// Lowers one computation: what an operation is handed. Its methods are the engine's.
pub(crate) struct Lowering<'g> {
    pub(crate) graph: &'g mut Graph,
    pub(crate) plan: Plan,
    /// Layers of nodes with how often they are used, by the node's address. The caller's handles
    /// keep nodes alive.
    pub(crate) done: HashMap<*const Node, (Lowered, u32)>,
    /// Layers that cut another's chunks into smaller ones.
    pub(crate) cut: HashMap<LayerId, Lowered>,
    /// Layers that have another's elements in other chunks.
    pub(crate) regridded: HashMap<(LayerId, ChunkGrid), Lowered>,
    /// Layers that read stored chunks, of which any part can be read alone.
    pub(crate) readers: HashMap<LayerId, Arc<dyn ReadParts>>,
    /// What the plan has to say of itself, in sentences.
    pub(crate) notes: Vec<String>,
}

impl<'g> Lowering<'g> {
    pub(crate) fn new(graph: &'g mut Graph, plan: Plan) -> Self {
        Lowering {
            graph,
            plan,
            done: HashMap::new(),
            cut: HashMap::new(),
            regridded: HashMap::new(),
            readers: HashMap::new(),
            notes: Vec::new(),
        }
    }
}

/// An operation that becomes layers of its own.
pub(crate) trait Lower: Send + Sync {
    /// The operation's name in keys and messages.
    fn name(&self) -> &'static str;

    /// Lowers the operation; `node` is the one that holds it, with its operands.
    ///
    /// # Errors
    /// A mistake further down, and plans that cannot be made.
    fn lower(&self, lowering: &mut Lowering<'_>, node: &Node) -> Result<Lowered>;

    /// This operation on less of its operands, where only a view of its result is wanted and
    /// that saves work: a node with the view's shape and the same bits.
    fn viewed(&self, _node: &Node, _view: &View, _shape: &[usize]) -> Option<Arc<Node>> {
        None
    }

    /// The chunks that somebody asked for.
    fn chunks(&self) -> Option<&ChunkGrid> {
        None
    }

    /// The chunks that its elements are stored in.
    fn stored_chunks(&self) -> Option<ChunkGrid> {
        None
    }

    /// The file or directory that it reads.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// Whether it changes nothing but chunks.
    fn is_rechunk(&self) -> bool {
        false
    }
}
