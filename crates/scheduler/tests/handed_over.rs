//! What a session hands over belongs to the caller alone: results are taken out of their blocks.

#[path = "../../graph/tests/common/shapes.rs"]
mod shapes;

use flagstone_graph::{Block, Execute, Footprint, Graph};
use flagstone_scheduler::Session;

use shapes::OneToOne;

#[test]
fn a_result_has_no_other_holder() {
    let session = Session::builder().memory("64 MiB").threads(4);
    let session = session.build().expect("a session");
    for _ in 0..3000 {
        let mut graph = Graph::new();
        let size = |_| Footprint::exact(8).resident();
        let source = graph.push(
            OneToOne::source("source", 8, size, |task, _, _| Ok(Block::value(task))),
            &[],
        );
        let blocks = session.execute(&graph, &[source]).expect("results");
        for block in blocks.into_iter().flatten() {
            assert!(block.is_last_holder());
        }
    }
}
