//! Programs as drawings.

#[path = "common/shapes.rs"]
mod shapes;

use flagstone_graph::{Block, Footprint, FreezeOptions, Graph, Program};

use shapes::{OneToOne, Reduce};

fn program(leaves: u32) -> Program {
    let mut graph = Graph::new();
    let size = |_| Footprint::exact(8).resident();
    let source = graph.push(
        OneToOne::source("load", leaves, size, |_, _, _| Ok(Block::unit())),
        &[],
    );
    let root = graph.reduce("sum", source, 8, size, |_, _, _| Ok(Block::unit()));
    graph.freeze(&[root], &FreezeOptions::default()).unwrap()
}

#[test]
fn small_programs_show_tasks_and_large_ones_layers() {
    let dot = program(3).to_dot();
    assert_eq!(dot.matches(" -> ").count(), 3);
    assert!(dot.contains("load-") && dot.contains("[2] #2"), "{dot}");
    let dot = program(1000).to_dot();
    assert!(dot.contains("load (1000 tasks)"), "{dot}");
}

#[test]
fn the_svg_names_every_task() {
    let svg = program(3).to_svg().unwrap();
    assert!(
        svg.contains("<svg") && svg.matches("load-").count() >= 3,
        "{svg}"
    );
}
