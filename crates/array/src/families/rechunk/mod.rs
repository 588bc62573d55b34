//! Chunks as the user wants them.
//!
//! The planner chooses chunks, and users need not see them. Where they show (in a function of
//! blocks, in a store, between programs) [`Array::rechunk`] says what they are.

pub(crate) mod lower;

use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::Resources;
use ndarray::{ArrayD, ArrayViewD};

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::deferred::defer;
use crate::expr::node::Op;
use crate::families::blocks::layer::{MapBlocks, OfBlock, Overlap};
use crate::grid::ChunkGrid;
use crate::grid::chunks::Chunks;
use crate::grid::place::BlockPlace;
use lower::Rechunk;

impl<T: Element> Array<T> {
    /// This array in other chunks: a length (`300`), a length an axis (`[100, -1]`, where -1 is
    /// the whole axis), or any other [`Chunks`].
    ///
    /// Chunks show in [`Array::map_chunks`] and in what is stored; everything else computes the same
    /// in any chunks, and chooses better ones by itself. An array far larger than the budget is
    /// rechunked in few passes through the spill files; [`Array::notes_with`] says how.
    ///
    /// Chunks that do not fit the shape are a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::ones(&[400, 30]).rechunk([100, -1]);
    /// assert_eq!(x.chunks().unwrap().counts(), [4, 1]);
    /// ```
    #[track_caller]
    pub fn rechunk(&self, chunks: impl Into<Chunks>) -> Self {
        let chunks = chunks.into();
        defer!(self, chunks = chunks.clone(); |array| array.rechunk(chunks.clone()));
        // the grid of `auto` follows from the budget
        let grid = match chunks.grid(self.shape(), size_of::<T>(), 1) {
            Ok(grid) => (!chunks.is_auto()).then_some(grid),
            Err(message) => return Array::invalid(message),
        };
        // chunks that nobody saw
        let of = match &self.node.op {
            Op::Layer { lower, inputs } if lower.is_rechunk() => &inputs[0],
            _ => &self.node,
        };
        Array::layer(
            self.shape().to_vec(),
            Rechunk { chunks, grid },
            vec![Arc::clone(of)],
        )
    }

    /// The chunks of an array that was rechunked, unless the plan is to choose them.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// let x = Array::<f64>::ones(&[400, 30]);
    /// assert!(x.chunks().is_none());
    /// assert_eq!(x.rechunk(200).chunks().unwrap().counts(), [2, 1]);
    /// ```
    ///
    /// # Panics
    /// A mistaken array, and one whose lengths were not counted: see [`Array::shape`].
    #[track_caller]
    pub fn chunks(&self) -> Option<&ChunkGrid> {
        match &self.known().op {
            Op::Layer { lower, .. } => lower.chunks(),
            _ => None,
        }
    }

    /// A function of each chunk of a rechunked array; otherwise as [`Array::map_blocks`].
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let x = Array::<f64>::ones(&[10, 6]).rechunk((4, -1));
    /// let counts = x.map_chunks(|_, chunk| chunk.mapv(|_| chunk.len() as i64));
    /// let counts = counts.compute_with(&SerialExecutor)?;
    /// assert_eq!((counts[[0, 0]], counts[[9, 5]]), (24, 12));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// An array that was not rechunked, or to chunks that the plan is to choose, is a mistake.
    #[track_caller]
    pub fn map_chunks<U: Element>(
        &self,
        function: impl Fn(&BlockPlace, ArrayViewD<'_, T>) -> ArrayD<U> + Send + Sync + 'static,
    ) -> Array<U> {
        self.map_own_chunks(Arc::new(function))
    }

    #[track_caller]
    fn map_own_chunks<U: Element>(&self, function: OfBlock<T, U>) -> Array<U> {
        defer!(self, function = Arc::clone(&function); |array| {
            array.map_own_chunks(Arc::clone(&function))
        });
        let Some(grid) = self.chunks() else {
            return Array::invalid(
                "only chunks that were given can be mapped: give them to `rechunk` first, or \
                 blocks to `map_blocks`",
            );
        };
        let lower = MapBlocks {
            name: "map_chunks",
            grid: grid.clone(),
            overlap: Overlap::none(self.ndim()),
            results: grid.clone(),
            function,
        };
        Array::layer(self.shape().to_vec(), lower, vec![Arc::clone(&self.node)])
    }

    /// What the plan for these resources has to say of itself: how arrays are rechunked on the way,
    /// with sizes and passes.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::Resources;
    ///
    /// let rows = Array::<f64>::ones(&[1000, 1000]).rechunk([10, -1]);
    /// let resources = Resources { budget_bytes: 1 << 20, threads: 1 };
    /// let notes = rows.rechunk([-1, 10]).notes_with(resources)?;
    /// assert!(notes.iter().all(|note| !note.is_empty()));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built.
    pub fn notes_with(&self, resources: Resources) -> Result<Vec<String>> {
        Ok(self.build(resources)?.notes)
    }
}
