//! How a product is cut: the tiles of C that stay in memory, and what that moves.
//!
//! C is cut into `r x c` tiles. While a tile stays, panels of A and B stream past it once, so A is
//! read `c` times and B `r` times: `c·mk + r·kn + mn` elements. Every `r x c` whose tile and panels
//! fit is compared and the one that moves least is taken; near-square tiles that use most of the
//! budget come close to the lower bound 2mnk/√S.
//!
//! Tiles are multiples of the gemm's block, so the calls, and with them the bits, are the same for
//! every choice.

use super::panel::GAP;
use crate::kernels::gemm::{self, BLOCK};

/// A choice of tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProductPlan {
    /// Rows and columns of a tile.
    pub(crate) tile: (usize, usize),
    /// How much of the contracted axis is loaded at once: a multiple of the gemm's panel.
    pub(crate) panel: usize,
    /// Two panels of each operand: one is loaded while the other is multiplied.
    pub(crate) double: bool,
    /// A tile and its panels, in bytes.
    pub(crate) bytes: u64,
    /// How many tiles fit beside each other: while one is written, another is multiplied.
    pub(crate) at_once: u32,
}

/// What is known of a product before it is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Problem {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) item_bytes: usize,
    /// Bytes that tile and panels may have together.
    pub(crate) budget_bytes: u64,
    /// `A.T · A`: half of the tiles, and one panel for both operands where C is one tile.
    pub(crate) symmetric: bool,
    /// Operands that are blocks of other layers hold their own memory beside each panel.
    pub(crate) block_operands: u64,
    /// How often panels have each element of the left and of the right operand.
    pub(crate) copies: (u64, u64),
    /// Whether the right operand's panels are turned over: their lines are the columns of a tile.
    pub(crate) turned_right: bool,
}

/// From this many tiles on, writing one while another is multiplied is worth smaller ones.
const TILES_MANY: usize = 4;
/// Panels are lengthened up to this size where there is room.
const PANEL_BYTES_WANTED: u64 = 16 << 20;
/// What a step takes of operands in memory; after it a run can be cancelled.
const RESIDENT_BYTES_WANTED: u64 = 256 << 20;
/// Rows of a panel shorter than this are read in pieces smaller than a page.
const PANEL_LEN_WANTED: usize = 512;

impl ProductPlan {
    /// The plan that moves the fewest elements. Where nothing fits, the smallest there is: the
    /// executor then refuses it and says what it needs.
    pub(crate) fn choose(problem: &Problem) -> ProductPlan {
        if problem.symmetric {
            return ProductPlan::choose_square(problem);
        }
        let Problem {
            m,
            n,
            k,
            budget_bytes,
            ..
        } = *problem;
        let mut best: Option<(u128, ProductPlan)> = None;
        let (rows_max, columns_max) = (m.div_ceil(BLOCK).max(1), n.div_ceil(BLOCK).max(1));
        for row_tiles in 1..=rows_max {
            let rows = edge(m, row_tiles);
            // fewer columns always fit where more do: find the fewest tiles in a row that fit
            let fits = |column_tiles: usize, double: bool| {
                let plan = problem.plan((rows, edge(n, column_tiles)), double);
                (plan.bytes <= budget_bytes).then_some(plan)
            };
            for double in [true, false] {
                let fewest = partition_point(columns_max, |tiles| fits(tiles, double).is_none());
                let Some(plan) = fits(fewest, double) else {
                    continue;
                };
                let row_tiles = m.div_ceil(plan.tile.0.max(1)) as u128;
                let column_tiles = n.div_ceil(plan.tile.1.max(1)) as u128;
                let (m, n, k) = (m as u128, n as u128, k as u128);
                let mut moved = column_tiles * m * k + row_tiles * k * n;
                // overlap is worth a tenth of the traffic
                moved += if double { 0 } else { moved / 10 };
                // at equal traffic prefer fewer passes over the rows of A: their reads are shorter
                let rank = moved * 1024 + column_tiles.min(1023);
                if best.is_none_or(|(least, _)| rank < least) {
                    best = Some((rank, plan));
                }
            }
        }
        let smallest = problem.plan((edge(m, rows_max), edge(n, columns_max)), false);
        let chosen = best.map_or(smallest, |(_, plan)| plan);
        problem.with_longer_panels(chosen, k)
    }
}

impl ProductPlan {
    /// The plan that moves the fewest elements, with tiles of which two fit where that costs little: where a tile is as wide
    /// (or as high) as the result, so that one operand is read once whatever the tiles, and the other
    /// is small enough to stay in the page cache.
    pub(crate) fn choose_with_overlap(problem: &Problem, threads: usize) -> ProductPlan {
        let one = ProductPlan::choose(problem);
        let Problem {
            m,
            n,
            k,
            item_bytes,
            ..
        } = *problem;
        let cached = |rows: usize, columns: usize| {
            (rows * columns * item_bytes) as u64 <= problem.budget_bytes
        };
        let again = |plan: &ProductPlan| {
            plan.tile.1 == n && cached(k, n) || plan.tile.0 == m && cached(m, k)
        };
        let tiles = m.div_ceil(one.tile.0.max(1)) * n.div_ceil(one.tile.1.max(1));
        if threads < 2 || problem.symmetric || tiles < TILES_MANY || !again(&one) {
            return one;
        }
        let two = ProductPlan::choose(&Problem {
            // the session needs some of it, too
            budget_bytes: problem.budget_bytes / 100 * 48,
            ..*problem
        });
        // with one panel each, one loads while the other multiplies
        match again(&two) && two.tile.0.min(two.tile.1) >= BLOCK {
            true => ProductPlan { at_once: 2, ..two },
            false => one,
        }
    }

    /// Square tiles, for a product of which only those on and above the diagonal are made: as few
    /// as fit.
    fn choose_square(problem: &Problem) -> ProductPlan {
        let (n, k) = (problem.n, problem.k);
        let tiles_max = n.div_ceil(BLOCK).max(1);
        let fits = |tiles: usize, double: bool| {
            let edge = edge(n, tiles);
            let plan = problem.plan((edge, edge), double);
            (plan.bytes <= problem.budget_bytes).then_some(plan)
        };
        let fewest = |double: bool| {
            let tiles = partition_point(tiles_max, |tiles| fits(tiles, double).is_none());
            Some((tiles, fits(tiles, double)?))
        };
        let chosen = match (fewest(true), fewest(false)) {
            // every panel is read once per tile in a row; overlap is worth a tenth of that
            (Some((tiles, plan)), Some((fewer, _))) if 10 * tiles <= 11 * fewer => plan,
            (_, Some((_, plan))) => plan,
            (Some((_, plan)), None) => plan,
            (None, None) => {
                let smallest = edge(n, tiles_max);
                problem.plan((smallest, smallest), false)
            }
        };
        problem.with_longer_panels(chosen, k)
    }
}

impl Problem {
    /// How much of the contracted axis one call takes.
    fn call_depth(&self) -> usize {
        gemm::call_depth(self.m, self.n, self.k)
    }

    /// Tiles with the shortest panels.
    fn plan(&self, tile: (usize, usize), double: bool) -> ProductPlan {
        self.plan_with(tile, self.call_depth(), double)
    }

    fn plan_with(&self, tile: (usize, usize), panel: usize, double: bool) -> ProductPlan {
        let item = self.item_bytes as u64;
        let depth = panel.min(self.k.max(1)) as u64;
        // one tile: its only panel is the left operand turned over, too
        let one = self.symmetric && tile.1 == self.n;
        let right = if one { 0 } else { tile.1 as u64 };
        let edges = tile.0 as u64 * self.copies.0 + right * self.copies.1;
        let gap = GAP as u64;
        let gaps = edges * gap + if self.turned_right { depth * gap } else { 0 };
        let panels = (edges * depth + gaps) * item * (1 + u64::from(double));
        let blocks = self.block_operands * (tile.0 as u64 + right) * depth * item;
        ProductPlan {
            tile,
            panel,
            double,
            bytes: tile.0 as u64 * tile.1 as u64 * item + panels + blocks,
            at_once: 1,
        }
    }

    /// Small tiles afford longer panels, which read in larger pieces.
    fn with_longer_panels(&self, plan: ProductPlan, k: usize) -> ProductPlan {
        if self.copies == (0, 0) {
            // nothing is loaded, so steps only cost: threads wait for each other between them
            let line = ((plan.tile.0 + plan.tile.1) * self.item_bytes).max(1) as u64;
            let depth = usize::try_from(RESIDENT_BYTES_WANTED / line).unwrap_or(k);
            let panel = depth.clamp(1, k.max(1)).next_multiple_of(plan.panel);
            return ProductPlan { panel, ..plan };
        }
        let mut best = plan;
        let mut panel = plan.panel * 2;
        while panel < 2 * k.max(1) {
            let longer = self.plan_with(plan.tile, panel, plan.double);
            let panels = longer.bytes - (plan.tile.0 * plan.tile.1 * self.item_bytes) as u64;
            let wanted = panel <= PANEL_LEN_WANTED
                || (panels <= 4 * PANEL_BYTES_WANTED && longer.bytes <= self.budget_bytes / 2);
            if !wanted || longer.bytes > self.budget_bytes {
                break;
            }
            best = longer;
            panel *= 2;
        }
        best
    }
}

/// The edge of a tile when an axis is cut in `tiles`: a multiple of the gemm's block, or the axis.
fn edge(length: usize, tiles: usize) -> usize {
    length.div_ceil(tiles).next_multiple_of(BLOCK).min(length)
}

/// The first count in `1..=max` for which `too_few` is false; `max` if there is none.
fn partition_point(max: usize, too_few: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, max);
    while low < high {
        let middle = low + (high - low) / 2;
        if too_few(middle) {
            low = middle + 1
        } else {
            high = middle
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(m: usize, n: usize, k: usize, budget_bytes: u64) -> Problem {
        Problem {
            m,
            n,
            k,
            item_bytes: 8,
            budget_bytes,
            symmetric: false,
            block_operands: 0,
            copies: (1, 1),
            turned_right: false,
        }
    }

    fn moved(p: &Problem, plan: &ProductPlan) -> f64 {
        let (m, n, k) = (p.m as f64, p.n as f64, p.k as f64);
        let rows = p.m.div_ceil(plan.tile.0) as f64;
        let columns = p.n.div_ceil(plan.tile.1) as f64;
        columns * m * k + rows * k * n + m * n
    }

    #[test]
    fn large_products_move_little_more_than_the_bound() {
        for (m, n, k) in [
            (16384, 16384, 16384),
            (32768, 8192, 16384),
            (4000, 200_000, 4000),
        ] {
            for budget_mib in [64u64, 128, 256, 500, 512, 1024, 4096] {
                let p = problem(m, n, k, budget_mib << 20);
                let plan = ProductPlan::choose(&p);
                assert!(plan.bytes <= p.budget_bytes);
                let s = p.budget_bytes as f64 / 8.0;
                let (m, n, k) = (m as f64, n as f64, k as f64);
                let bound = (2.0 * m * n * k / s.sqrt()).max(m * k + k * n) + m * n;
                let ratio = moved(&p, &plan) / bound;
                // at 1 GiB the best integer tiling of 16384 is 1.306; at 64 MiB panels weigh more
                let most = if budget_mib == 64 { 1.4 } else { 1.31 };
                assert!(
                    ratio <= most,
                    "{m} {n} {k} {budget_mib} MiB: {ratio} {plan:?}"
                );
            }
        }
    }

    #[test]
    fn tall_and_wide_products_have_two_tiles_at_once() {
        for (m, n) in [(200_000, 4000), (4000, 200_000)] {
            let p = problem(m, n, 4000, 256 << 20);
            for budget_bytes in [200 << 20, 240 << 20, 256 << 20, 1 << 30] {
                let p = Problem { budget_bytes, ..p };
                let plan = ProductPlan::choose_with_overlap(&p, 2);
                assert_eq!(plan.at_once, 2, "{plan:?}");
                assert!(2 * plan.bytes <= p.budget_bytes);
                assert!(plan.tile.0 == m || plan.tile.1 == n, "{plan:?}");
            }
            assert_eq!(
                ProductPlan::choose_with_overlap(&p, 1),
                ProductPlan::choose(&p)
            );
        }
        // square ones move more with smaller tiles
        let p = problem(16384, 16384, 16384, 256 << 20);
        assert_eq!(
            ProductPlan::choose_with_overlap(&p, 2),
            ProductPlan::choose(&p)
        );
    }

    #[test]
    fn a_result_that_fits_stays_whole() {
        let p = Problem {
            symmetric: true,
            ..problem(1000, 1000, 1_000_000, 256 << 20)
        };
        let plan = ProductPlan::choose(&p);
        assert_eq!((plan.tile, plan.double), ((1000, 1000), true));
        assert!(plan.panel > p.call_depth() && plan.panel.is_multiple_of(p.call_depth()));
    }

    #[test]
    fn without_room_the_smallest_plan_is_given() {
        let plan = ProductPlan::choose(&problem(5000, 5000, 5000, 1000));
        assert_eq!(
            (plan.tile, plan.panel, plan.double),
            ((512, 512), gemm::call_depth(5000, 5000, 5000), false)
        );
        assert_eq!(
            ProductPlan::choose(&problem(0, 5, 0, u64::MAX)).tile,
            (0, 5)
        );
    }
}
