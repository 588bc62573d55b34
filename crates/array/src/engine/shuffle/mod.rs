//! Rows at places that are listed in any order, of arrays and by lists larger than memory.
//!
//! Read one by one, places from everywhere would need a chunk of the array each. So both sides are
//! gone through once: each chunk of the list is put in the order of the array's chunks and written
//! down; each chunk of the array then writes the rows that are wanted of it, in the order in which
//! the list's chunks want them; and each chunk of the result reads what is its own and puts it in
//! place.
//!
//! ```text
//! list  [7 0 4 | 1 1 6]   array [a b c d | e f g h]
//! sorted by chunk of the array      0:1  4:2 7:0 | 1:0 1:1  6:2        (place : where it goes)
//! rows written by the array's       a  b b       |  e h  g             (for chunk 0, then 1)
//! put                               [h a e | b b g]
//! ```
//!
//! An index costs eight bytes written and read twice, a row itself written and read once. What stays
//! in memory is how many rows go from each chunk to each: a number a pair of chunks. A barrier hands
//! those out, so that edges are as many as chunks, not as pairs.

pub(crate) mod places;
pub(crate) mod put;
pub(crate) mod rows;
pub(crate) mod scattered;

use std::sync::Arc;

use flagstone_common::{Error, Result, Spool};

use super::lowering::check_count;
use super::piecewise::Tasks;
use crate::expr::lower::{Lowered, Lowering};
use crate::expr::node::Node;
use crate::grid::{ChunkGrid, volume};
use places::{Collected, SortPlaces};
use put::PutRows;
use rows::{CollectRows, CutRows};

/// How chunks of the array and of the list lie, for all layers.
#[derive(Clone)]
struct Layout {
    /// The array's.
    rows: ChunkGrid,
    /// The list's, of one axis.
    places: ChunkGrid,
    /// The result's: along the first axis as the list, along the others as the array.
    results: ChunkGrid,
    item_bytes: usize,
}

impl Layout {
    /// How many chunks of the array there are along the first axis.
    fn row_chunks(&self) -> usize {
        self.rows.counts()[0]
    }

    /// The bytes of a row of a chunk of the array or of the result.
    fn row_bytes(&self, region: &[std::ops::Range<usize>]) -> usize {
        volume(&region[1..]) * self.item_bytes
    }

    /// The rows that are written at once, for rows of so many bytes: at least as many as a chunk of
    /// the result has, so that there are never more pieces than such chunks.
    fn segment_rows(&self) -> usize {
        self.places.chunk_shape()[0]
            .max(self.rows.chunk_shape()[0])
            .max(1)
    }
}

/// Adds the layers of an operation on `rows` and `places`; errors name the line of `node`.
pub(crate) fn take_rows(
    lowering: &mut Lowering<'_>,
    rows: &Arc<Node>,
    places: &Arc<Node>,
    node: &Node,
) -> Result<Lowered> {
    let count = places.shape[0];
    let of_rows = lowering.operand(rows)?;
    let of_places = lowering.operand(places)?;
    let (shape, item_bytes) = (&rows.shape, rows.dtype.size());
    let grid = lowering.evaluation_grid(&of_rows.fused);
    let irregular = |shape: &[usize], lists: &[Vec<usize>]| {
        ChunkGrid::irregular(shape, lists)
            .map_err(|message| Error::invalid(message).with_location(node.location))
    };
    let whole: Vec<Vec<usize>> = (0..shape.len()).map(|i| grid.chunk_lengths(i)).collect();
    let row_bytes = (volume(&grid.region(0)[1..]) * item_bytes).max(1);
    let (budget, chunk_bytes) = (lowering.plan.budget_bytes, lowering.plan.chunk_bytes());
    let length = (chunk_bytes as usize / (row_bytes + 8)).max(1);
    // the table has a number for every pair of chunks: fewer and larger ones where it is large
    let (mut times, mut lists, mut list);
    times = 1;
    loop {
        lists = whole.clone();
        lists[0] = lists[0]
            .chunks(times)
            .map(|some| some.iter().sum())
            .collect();
        list = ChunkGrid::new(&[count], &[length.saturating_mul(times)]);
        let table = 4 * lists[0].len() as u64 * list.len() as u64;
        if table <= budget / 16 || (16 * times as u64).saturating_mul(chunk_bytes) > budget {
            break;
        }
        times *= 2;
    }
    let grid = irregular(shape, &lists)?;
    let mut shape = shape.clone();
    shape[0] = count;
    lists[0] = list.chunk_lengths(0);
    let layout = Layout {
        results: irregular(&shape, &lists)?,
        rows: grid,
        places: list,
        item_bytes,
    };
    for grid in [&layout.rows, &layout.places, &layout.results] {
        check_count(grid.len() as u64, node)?;
        if u32::try_from(grid.chunk_shape()[0]).is_err() {
            let message = "a chunk of more than 2^32 rows cannot be taken from";
            return Err(Error::invalid(message).with_location(node.location));
        }
    }
    lowering.notes.push(format!(
        "{count} rows of an array of shape {:?} are taken in any order: written to the spill \
         directory once, from {} chunks for {}",
        rows.shape,
        layout.rows.len(),
        layout.results.len()
    ));
    let (sorted, cut) = (Arc::new(Spool::default()), Spool::default());
    let cut = Arc::new(cut);
    let inputs = of_places.inputs();
    let sort = SortPlaces {
        fused: of_places.fused,
        layout: layout.clone(),
        file: Arc::clone(&sorted),
    };
    let places = lowering.push(Tasks(sort), &inputs, node);
    let collected = Collected {
        layout: layout.clone(),
        file: Arc::clone(&sorted),
    };
    let table = lowering.push(collected, &[places], node);
    let mut inputs = of_rows.inputs();
    let slot = inputs.len();
    inputs.push(table);
    let rows = CutRows {
        fused: of_rows.fused,
        layout: layout.clone(),
        table_slot: slot,
        sorted: Arc::clone(&sorted),
        file: Arc::clone(&cut),
    };
    let rows = lowering.push(Tasks(rows), &inputs, node);
    let segments = lowering.push(CollectRows(layout.clone()), &[rows], node);
    let results = layout.results.clone();
    let put = PutRows {
        layout,
        dtype: node.dtype,
        sorted,
        file: cut,
    };
    Ok(Lowered {
        layer: lowering.push(put, &[table, segments], node),
        grid: results,
        stride: 1,
        item_bytes,
    })
}
