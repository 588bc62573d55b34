//! How long it takes to build a graph over a million chunks, and to freeze one chunk of it.

use std::time::Instant;

use flagstone_array::{Array, index};
use flagstone_common::Result;
use flagstone_graph::{FreezeOptions, Resources};

fn main() -> Result<()> {
    let resources = Resources {
        budget_bytes: 4096,
        threads: 1,
    };
    let start = Instant::now();
    let x = Array::from_fn(&[1_000_000], |i| i[0] as f64);
    let running = (x.cumsum(0) * 2.0).cumsum(0);
    let built = running.build(resources)?;
    let building = start.elapsed();
    let chunks = built.grid.len();
    let part = running.index(index![64..96]).build(resources)?;
    let start = Instant::now();
    let options = FreezeOptions::default();
    let program = part.graph.freeze(&[part.output], &options)?;
    println!(
        "{chunks} chunks in {} layers built in {building:?}; one chunk of them: {} tasks, frozen in {:?}",
        built.graph.layer_count(),
        program.task_count(),
        start.elapsed()
    );
    Ok(())
}
