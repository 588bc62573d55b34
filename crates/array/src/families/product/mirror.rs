//! The two halves of a symmetric product from the one that was computed.

use std::marker::PhantomData;
use std::ops::Range;

use flagstone_common::{Error, Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Inputs, Layer};

use crate::chunk::Chunk;
use crate::chunk::buffer::Buffer;
use crate::elements::element::Element;
use crate::engine::evaluate::coords;
use crate::grid::{ChunkGrid, lengths, volume};

/// Cuts the tiles on and above the diagonal into pieces, and turns them over for those below.
pub(crate) struct Mirror<T> {
    pub(crate) tiles: ChunkGrid,
    /// How many tasks a tile has: [`Leaf::stride`](crate::fuse::tape::Leaf::stride).
    pub(crate) stride: u32,
    /// The pieces: each lies in one tile.
    pub(crate) grid: ChunkGrid,
    pub(crate) element: PhantomData<fn() -> T>,
}

impl<T> Mirror<T> {
    /// The tile a piece is made from, its place there, and whether it is turned over.
    fn origin(&self, task: u32) -> (usize, [Range<usize>; 2], bool) {
        let region = self.grid.region(task as usize);
        let tile = self.tiles.overlapping(&region)[0];
        let coords = self.tiles.coords(tile);
        let turned = coords[0] > coords[1];
        let (tile, region) = match turned {
            true => (
                coords[1] * self.tiles.counts()[1] + coords[0],
                [region[1].clone(), region[0].clone()],
            ),
            false => (tile, [region[0].clone(), region[1].clone()]),
        };
        let place = self.tiles.region(tile);
        let local = [0, 1].map(|axis| {
            region[axis].start - place[axis].start..region[axis].end - place[axis].start
        });
        (tile, local, turned)
    }
}

impl<T: Element> Layer for Mirror<T> {
    fn name(&self) -> &str {
        "mirror"
    }

    fn task_count(&self) -> u32 {
        self.grid.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let tile = self.origin(task).0 as u32;
        deps.push(0, tile * self.stride + self.stride - 1);
    }

    fn footprint(&self, task: u32) -> Footprint {
        let region = self.grid.region(task as usize);
        Footprint::exact((volume(&region) * size_of::<T>()) as u64)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let (tile, local, turned) = self.origin(task);
        let shape = lengths(&self.tiles.region(tile));
        let tile = Chunk::input(&inputs, 0, T::DTYPE, &shape)?.view::<T>()?;
        let tile = tile
            .into_dimensionality::<ndarray::Ix2>()
            .map_err(|_| Error::invalid("a tile has two axes"))?;
        let part = tile.slice(ndarray::s![local[0].clone(), local[1].clone()]);
        let part = if turned { part.reversed_axes() } else { part };
        let shape = lengths(&self.grid.region(task as usize));
        let mut values = Buffer::<T>::granted(shape.iter().product())?;
        let mut target = ndarray::ArrayViewMut2::from_shape((shape[0], shape[1]), &mut values)
            .map_err(|_| Error::invalid("a piece has two axes"))?;
        // by squares, so that both sides stay in cache
        const EDGE: usize = 32;
        for row in (0..shape[0]).step_by(EDGE) {
            for column in (0..shape[1]).step_by(EDGE) {
                let rows = row..(row + EDGE).min(shape[0]);
                let columns = column..(column + EDGE).min(shape[1]);
                let square = ndarray::s![rows, columns];
                target.slice_mut(square).assign(&part.slice(square));
            }
        }
        Ok(Block::new(Chunk::new(values, shape)))
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(&format!("{:?} {:?}", self.tiles, self.grid));
    }

    fn coords(&self, task: u32) -> Vec<u32> {
        coords(&self.grid, task)
    }
}
