//! The steps from one chunking to another: which chunks are made in between, in how many passes.
//!
//! Nothing here knows layers: grids go in, grids and a sentence come out.

use flagstone_common::format_bytes;

use crate::grid::ChunkGrid;

/// Smaller pieces cost more to spill than an additional pass.
const PIECE_BYTES_MIN: u64 = 64 << 10;
/// Fewer pieces than this are cheap, however small.
const PIECES_FREE: u64 = 4096;
/// Passes beyond this are not planned; pieces are then as small as they are.
const PASSES_MAX: usize = 4;
/// Parts of a stored chunk that lie apart are read where they have at least this.
const RUN_BYTES_MIN: usize = 4 << 10;

/// A step from one chunking to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Each chunk from the old ones that have a part of it.
    Join(ChunkGrid),
    /// Each piece from the one old chunk that has it, old chunk by old chunk.
    Split(ChunkGrid),
}

/// The parts of stored chunks that bands of new ones are made of, if they are worth a read each.
pub(super) fn parts_read(
    stored: &ChunkGrid,
    to: &ChunkGrid,
    item: u64,
    budget: u64,
) -> Option<ChunkGrid> {
    // a band, the next one's pieces and the chunks that are written
    let band = widened(to, stored, item, budget / 3);
    if grid_bytes(&band, item) > budget / 3 {
        return None;
    }
    let pieces = crossed(stored, &band);
    let mut run = item as usize;
    for axis in (0..pieces.shape().len()).rev() {
        run *= pieces.chunk_shape()[axis];
        if pieces.chunk_shape()[axis] < stored.chunk_shape()[axis] {
            break;
        }
    }
    let count = pieces.len() as u64;
    let bytes = pieces.shape().iter().product::<usize>() as u64 * item;
    let few = count <= PIECES_FREE || bytes / count.max(1) >= PIECE_BYTES_MIN;
    (few && run >= RUN_BYTES_MIN).then_some(pieces)
}

/// The most bytes of old chunks that a new one has a part of.
fn joined_bytes(from: &ChunkGrid, to: &ChunkGrid, item: u64) -> u64 {
    let along = |axis: usize| {
        let covered = |coord: usize| {
            let span = to.span(axis, coord);
            if span.is_empty() {
                return 0;
            }
            let first = from.span(axis, from.coord_at(axis, span.start)).start;
            from.span(axis, from.coord_at(axis, span.end - 1)).end - first
        };
        // of even chunks a few tell of all; the others are looked at one by one
        let count = to.counts()[axis];
        (0..count).map(covered).max().unwrap_or(0) as u64
    };
    (0..to.shape().len()).map(along).product::<u64>() * item
}

/// How many new chunks, at most, have a part of an old one.
fn readers(from: &ChunkGrid, to: &ChunkGrid) -> u64 {
    let along = |axis: usize| {
        let met = |coord: usize| {
            let span = from.span(axis, coord);
            match span.is_empty() {
                true => 1,
                false => to.coord_at(axis, span.end - 1) - to.coord_at(axis, span.start) + 1,
            }
        };
        (0..from.counts()[axis]).map(met).max().unwrap_or(1) as u64
    };
    (0..from.shape().len()).map(along).product()
}

fn grid_bytes(grid: &ChunkGrid, item: u64) -> u64 {
    grid.chunk_volume() as u64 * item
}

/// Chunks of multiples of a grid's, longer where those of `toward` are, of at most `most` bytes.
fn widened(grid: &ChunkGrid, toward: &ChunkGrid, item: u64, most: u64) -> ChunkGrid {
    if !grid.is_regular() {
        return grid.clone();
    }
    let mut chunk = grid.chunk_shape().to_vec();
    let mut rest = (most / grid_bytes(grid, item).max(1)) as usize;
    for axis in (0..chunk.len()).rev() {
        let wanted = toward.chunk_shape()[axis].div_ceil(chunk[axis]);
        let times = wanted.min(rest).max(1);
        chunk[axis] *= times;
        rest /= times;
    }
    ChunkGrid::new(grid.shape(), &chunk)
}

/// The cells that lie in one chunk of either grid.
fn crossed(a: &ChunkGrid, b: &ChunkGrid) -> ChunkGrid {
    let lists: Vec<Vec<usize>> = (0..a.shape().len())
        .map(|axis| {
            let ends = |grid: &ChunkGrid| -> Vec<usize> {
                let count = grid.counts()[axis];
                (0..count).map(|coord| grid.span(axis, coord).end).collect()
            };
            let mut ends = [ends(a), ends(b)].concat();
            ends.sort_unstable();
            ends.dedup();
            let starts = std::iter::once(0).chain(ends.iter().copied());
            ends.iter()
                .zip(starts)
                .map(|(end, start)| end - start)
                .collect()
        })
        .collect();
    ChunkGrid::irregular(a.shape(), &lists).unwrap_or_else(|_| b.clone())
}

/// How to get from one chunking to another.
pub(super) fn steps(
    from: &ChunkGrid,
    to: &ChunkGrid,
    item: u64,
    between: u64,
    budget: u64,
) -> Vec<Step> {
    if from == to {
        return Vec::new();
    }
    let total = from.shape().iter().product::<usize>() as u64 * item;
    let joined = joined_bytes(from, to, item);
    // old chunks that many new ones need are kept, or spilled once and read again
    let near = readers(from, to) <= 4 || joined_bytes(to, from, item) <= 2 * between;
    if total <= budget / 8 || joined <= 2 * between && near {
        return vec![Step::Join(to.clone())];
    }
    let mut steps = Vec::new();
    passes(from, to, item, between, PASSES_MAX, &mut steps);
    steps
}

fn passes(
    from: &ChunkGrid,
    to: &ChunkGrid,
    item: u64,
    between: u64,
    passes_left: usize,
    steps: &mut Vec<Step>,
) {
    let fine = |a: &ChunkGrid, b: &ChunkGrid| {
        let pieces = crossed(a, b);
        let count = pieces.len() as u64;
        let bytes = pieces.shape().iter().product::<usize>() as u64 * item;
        count <= PIECES_FREE || bytes / count.max(1) >= PIECE_BYTES_MIN
    };
    let (mut wide_from, mut wide_to) = (from.clone(), to.clone());
    if !fine(&wide_from, &wide_to) {
        wide_from = widened(from, to, item, between);
    }
    if !fine(&wide_from, &wide_to) {
        wide_to = widened(to, from, item, between);
    }
    if wide_from != *from {
        steps.push(Step::Join(wide_from.clone()));
    }
    if fine(&wide_from, &wide_to) || passes_left <= 1 {
        let pieces = crossed(&wide_from, &wide_to);
        steps.push(Step::Split(pieces.clone()));
        // chunks that lie in one old one each are pieces themselves
        if pieces != wide_to {
            steps.push(Step::Join(wide_to.clone()));
        }
    } else {
        // half way by ratio: no larger than the larger of both, and pieces are as long on both ways
        let half: Vec<usize> = wide_from
            .chunk_shape()
            .iter()
            .zip(wide_to.chunk_shape())
            .map(|(&a, &b)| ((a as f64 * b as f64).sqrt() as usize).max(1))
            .collect();
        let half = ChunkGrid::new(from.shape(), &half);
        passes(&wide_from, &half, item, between, passes_left / 2, steps);
        passes(&half, &wide_to, item, between, passes_left / 2, steps);
    }
    if wide_to != *to {
        steps.push(Step::Join(to.clone()));
    }
}

/// The plan in a sentence.
pub(super) fn describe(from: &ChunkGrid, to: &ChunkGrid, steps: &[Step], item: u64) -> String {
    let total = from.shape().iter().product::<usize>() as u64 * item;
    let mut passes = 0;
    let mut ways = vec![format!("chunks of {:?}", from.chunk_shape())];
    for step in steps {
        match step {
            Step::Join(grid) => ways.push(format!("chunks of {:?}", grid.chunk_shape())),
            Step::Split(grid) => {
                passes += 1;
                ways.push(format!(
                    "{} pieces of up to {}",
                    grid.len(),
                    format_bytes(grid_bytes(grid, item))
                ));
            }
        }
    }
    format!(
        "rechunk {} of shape {:?} to {:?} in {passes} pass{} through memory and spill files: {}",
        format_bytes(total),
        from.shape(),
        to.chunk_shape(),
        if passes == 1 { "" } else { "es" },
        ways.join(" -> ")
    )
}

/// The plan in a sentence, where stored chunks are read in parts.
pub(super) fn describe_read(
    stored: &ChunkGrid,
    to: &ChunkGrid,
    pieces: &ChunkGrid,
    item: u64,
) -> String {
    let total = stored.shape().iter().product::<usize>() as u64 * item;
    format!(
        "rechunk {} of shape {:?} to {:?} in 1 pass without spill files: {} pieces of up to {} \
         read from stored chunks of {:?}",
        format_bytes(total),
        stored.shape(),
        to.chunk_shape(),
        pieces.len(),
        format_bytes(grid_bytes(pieces, item)),
        stored.chunk_shape()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_chunks_go_through_pieces_and_near_ones_do_not() {
        let shape = [4096, 4096];
        let rows = ChunkGrid::new(&shape, &[32, 4096]);
        let columns = ChunkGrid::new(&shape, &[4096, 32]);
        let near = ChunkGrid::new(&shape, &[48, 4096]);
        let budget = 32 << 20;
        assert_eq!(steps(&rows, &rows, 8, budget / 12, budget), []);
        assert_eq!(
            steps(&rows, &near, 8, budget / 12, budget),
            [Step::Join(near)]
        );
        let plan = steps(&rows, &columns, 8, budget / 12, budget);
        let splits = plan.iter().filter(|step| matches!(step, Step::Split(_)));
        assert_eq!(splits.count(), 1, "{plan:?}");
        assert_eq!(plan.last(), Some(&Step::Join(columns.clone())));
        // all of it fits
        let plan = steps(&rows, &columns, 8, 1 << 30, 2 << 30);
        assert_eq!(plan, [Step::Join(columns)]);
    }

    #[test]
    fn passes_stay_few_as_arrays_outgrow_the_budget() {
        let budget: u64 = 1 << 30;
        for (edge, most) in [(22_000, 1), (100_000, 1), (1_000_000, 2), (4_000_000, 4)] {
            let shape = [edge, edge];
            let rows = ChunkGrid::new(&shape, &[8, edge]);
            let columns = ChunkGrid::new(&shape, &[edge, 8]);
            let plan = steps(&rows, &columns, 8, budget / 12, budget);
            let splits = plan
                .iter()
                .filter(|step| matches!(step, Step::Split(_)))
                .count();
            assert!((1..=most).contains(&splits), "{edge}: {splits}");
            for step in &plan {
                let (Step::Join(grid) | Step::Split(grid)) = step;
                assert!(grid_bytes(grid, 8) <= (budget / 12).max(8 * 8 * edge as u64));
            }
        }
    }
}
