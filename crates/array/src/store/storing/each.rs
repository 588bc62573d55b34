//! A user's function as a sink.

use std::sync::Arc;

use flagstone_common::{Error, Memory, Result, TaskContext};
use ndarray::{ArrayViewD, IxDyn};

use super::sink::{Cell, Sink};
use crate::elements::bytes::from_bytes;
use crate::elements::element::Element;
use crate::grid::place::BlockPlace;
use crate::grid::{ChunkGrid, lengths};

/// Takes a chunk away.
pub(crate) type TakeChunk<T> =
    Arc<dyn Fn(&BlockPlace, ArrayViewD<'_, T>) -> Result<()> + Send + Sync>;

/// Calls the function with every chunk.
pub(crate) struct EachSink<T> {
    pub(crate) grid: ChunkGrid,
    pub(crate) function: TakeChunk<T>,
}

impl<T: Element> Sink for EachSink<T> {
    fn name(&self) -> &'static str {
        "store-each"
    }

    fn write(&self, cell: &Cell<'_>, _: &dyn Memory, _: &TaskContext<'_>) -> Result<u64> {
        let mut chunk = 0;
        for (axis, range) in cell.region.iter().enumerate() {
            let count = self.grid.counts()[axis];
            let coord = self.grid.coord_at(axis, range.start).min(count - 1);
            chunk = chunk * count + coord;
        }
        let place = BlockPlace::of(&self.grid, chunk);
        let values: &[T] = from_bytes(cell.bytes);
        let view = ArrayViewD::from_shape(IxDyn(&lengths(cell.region)), values);
        (self.function)(&place, view.map_err(Error::failed)?)?;
        Ok(cell.bytes.len() as u64)
    }
}
