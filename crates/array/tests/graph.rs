//! Graphs over a million chunks: layers answer by arithmetic, and what a slice does not need is not
//! in the program.

use flagstone_array::{Array, index};
use flagstone_graph::{FreezeOptions, Resources};

/// So small that a chunk has an element or a few.
const TINY: Resources = Resources {
    budget_bytes: 4096,
    threads: 1,
};
const CHUNKS: usize = 1_000_000;

fn tasks<T: flagstone_array::Element>(array: &Array<T>) -> (usize, usize) {
    let built = array.build(TINY).unwrap();
    // every layer below the last one
    let (mut all, mut below) = (0, vec![built.output]);
    while let Some(layer) = below.pop() {
        all += built.graph.layer(layer).task_count() as usize;
        below.extend(built.graph.inputs(layer));
    }
    let program = built
        .graph
        .freeze(&[built.output], &FreezeOptions::default());
    (all, program.unwrap().task_count())
}

#[test]
fn one_chunk_of_a_million_touches_only_its_ancestors() {
    let x = Array::from_fn(&[CHUNKS], |i| i[0] as f64);
    let built = (&x * 2.0).build(TINY).unwrap();
    assert!(built.grid.len() >= CHUNKS);
    // fused into one task
    let (_, program) = tasks(&(&x * 2.0).index(index![3200..3232]));
    assert!(program <= 32, "{program}");
    // running sums are layers of a million tasks each, of which a chunk at the start needs few
    let running = x.cumsum(0).cumsum(0);
    let (all, program) = tasks(&running.index(index![64..96]));
    assert!(all >= CHUNKS / 8 && program < 1000, "{all} {program}");
    // a reduction is cut to what is asked of it
    let rows = x.reshape(&[CHUNKS / 4, 4]);
    let (all, program) = tasks(&(rows.sum_axis(1) + 1.0).index(index![7..9]));
    assert!(all < 10 && program < 10, "{all} {program}");
}
