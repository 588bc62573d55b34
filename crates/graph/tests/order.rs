//! The static order, by shapes: a graph in, an order and its peak out.

#[path = "common/shapes.rs"]
mod shapes;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{
    Block, Deps, ExplicitBuilder, Footprint, FreezeOptions, Graph, Inputs, Layer, Pick, Program,
};

use shapes::OneToOne;

/// Tasks by hand: (bytes of the block, scratch, what it reads).
struct Tasks(Vec<(u64, u64, Vec<u32>)>);

impl Layer for Tasks {
    fn name(&self) -> &str {
        "t"
    }

    fn task_count(&self) -> u32 {
        self.0.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        self.0[task as usize]
            .2
            .iter()
            .for_each(|&dep| deps.own(dep));
    }

    fn footprint(&self, task: u32) -> Footprint {
        let (output, scratch, _) = self.0[task as usize];
        Footprint::exact(output).with_scratch(scratch)
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Ok(Block::unit())
    }
}

fn freeze(tasks: Vec<(u64, u64, Vec<u32>)>, wanted: Vec<u32>) -> Program {
    let mut graph = Graph::new();
    let layer = graph.push(Tasks(tasks), &[]);
    let picked = graph.push(Pick::new(wanted, Footprint::exact(0)), &[layer]);
    graph
        .freeze(&[picked], &FreezeOptions::default())
        .expect("the graph is sound")
}

/// The tasks of the layer in the order they run.
fn order(program: &Program) -> Vec<u32> {
    program
        .tasks()
        .map(|task| program.place(task))
        .filter(|&(layer, _)| program.layer_name(layer) == "t")
        .map(|(_, index)| index)
        .collect()
}

#[test]
fn the_subtree_that_gives_back_most_runs_first() {
    // 0 (small) and 2 -> 3 (a large block shrinks to a small one) are added by 4: with the large
    // subtree first only one small block waits beside nothing
    let tasks = vec![
        (1, 0, vec![]),
        (0, 0, vec![]),
        (100, 0, vec![]),
        (1, 0, vec![2]),
        (1, 0, vec![0, 3]),
    ];
    let program = freeze(tasks, vec![4]);
    assert_eq!(order(&program), [2, 3, 0, 4]);
    assert_eq!(program.sequential_peak_bytes(), 101);
}

#[test]
fn a_reduction_holds_a_path_never_a_level() {
    // 64 leaves of 10 bytes, pairwise: at most one block per level and one leaf more
    let mut tasks: Vec<(u64, u64, Vec<u32>)> = (0..64).map(|_| (10, 0, vec![])).collect();
    let mut level: Vec<u32> = (0..64).collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| {
                tasks.push((10, 0, pair.to_vec()));
                tasks.len() as u32 - 1
            })
            .collect();
    }
    let program = freeze(tasks, vec![level[0]]);
    assert_eq!(program.sequential_peak_bytes(), 10 * (6 + 2));
}

#[test]
fn a_matrix_and_its_transpose_hold_two_blocks_not_half_the_matrix() {
    // loads x[i,j]; sums (i,j) = x[i,j] + x[j,i], each stored (no bytes left)
    let n = 8u32;
    let mut tasks: Vec<(u64, u64, Vec<u32>)> = (0..n * n).map(|_| (8, 0, vec![])).collect();
    let mut stored = Vec::new();
    for i in 0..n {
        for j in 0..n {
            stored.push(tasks.len() as u32);
            tasks.push((0, 8, vec![i * n + j, j * n + i]));
        }
    }
    let program = freeze(tasks, stored);
    // two loads and the scratch of one sum
    assert_eq!(program.sequential_peak_bytes(), 24);
}

#[test]
fn a_chain_over_many_sources_releases_each_as_it_goes() {
    let mut tasks = vec![(8, 0, vec![])];
    let mut last = 0;
    for _ in 0..100 {
        tasks.push((8, 0, vec![]));
        let source = tasks.len() as u32 - 1;
        tasks.push((8, 0, vec![last, source]));
        last = tasks.len() as u32 - 1;
    }
    assert_eq!(freeze(tasks, vec![last]).sequential_peak_bytes(), 24);
}

#[test]
fn only_what_outputs_need_is_kept() {
    let mut builder = ExplicitBuilder::new("t", Footprint::exact(1));
    let unit = builder.function(|_, _, _| Ok(Block::unit()));
    for _ in 0..1000 {
        builder.task(unit, &[]);
    }
    let end = builder.task(unit, &[3, 997]);
    let mut graph = Graph::new();
    let layer = graph.push(builder.build(), &[]);
    let picked = graph.push(Pick::new(vec![end], Footprint::exact(1)), &[layer]);
    let program = graph
        .freeze(&[picked], &FreezeOptions::default())
        .expect("sound");
    assert_eq!(
        (program.task_count(), order(&program)),
        (4, vec![3, 997, end])
    );
}

/// A layer that knows a better order than depth first.
struct Backwards(u32);

impl Layer for Backwards {
    fn name(&self) -> &str {
        "t"
    }

    fn task_count(&self) -> u32 {
        self.0
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(1)
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Ok(Block::unit())
    }

    fn suggested_order(&self) -> Option<Box<dyn Iterator<Item = u32> + '_>> {
        Some(Box::new((0..self.0).rev()))
    }

    fn insists_on_order(&self) -> bool {
        true
    }
}

#[test]
fn a_layer_that_insists_gets_its_order() {
    let mut graph = Graph::new();
    let layer = graph.push(Backwards(5), &[]);
    let program = graph
        .freeze(&[layer], &FreezeOptions::default())
        .expect("sound");
    assert_eq!(order(&program), [4, 3, 2, 1, 0]);
}

#[test]
fn ranks_are_topological_and_dependents_are_the_future_uses() {
    let tasks = vec![
        (5, 0, vec![]),
        (1, 0, vec![0]),
        (9, 2, vec![0, 1]),
        (1, 0, vec![]),
        (2, 0, vec![2, 3, 0, 0]),
    ];
    let program = freeze(tasks, vec![4, 1, 4]);
    for task in program.tasks() {
        assert!(program.dependencies(task).iter().all(|&dep| dep < task));
        assert!(
            program
                .dependents(task)
                .windows(2)
                .all(|pair| pair[0] <= pair[1])
        );
        for &dep in program.dependencies(task) {
            assert!(program.dependents(dep).contains(&task));
        }
    }
    let edges: usize = program
        .tasks()
        .map(|task| program.dependents(task).len())
        .sum();
    assert_eq!(edges, program.edge_count());
}

#[test]
fn tokens_cover_parameters_and_inputs() {
    let source = |version: &str| {
        OneToOne::source(
            "load",
            3,
            |_| Footprint::exact(1),
            |_, _, _| Ok(Block::unit()),
        )
        .named(version)
    };
    let mut graph = Graph::new();
    let (a, b, c) = (
        graph.push(source("v1"), &[]),
        graph.push(source("v1"), &[]),
        graph.push(source("v2"), &[]),
    );
    assert_eq!(graph.token(a), graph.token(b));
    assert_ne!(graph.token(a), graph.token(c));
    let map = || {
        OneToOne::new(
            "map",
            3,
            |_| Footprint::exact(1),
            |_, _, _| Ok(Block::unit()),
        )
        .named("x")
    };
    let (d, e) = (graph.push(map(), &[a]), graph.push(map(), &[c]));
    assert_ne!(graph.token(d), graph.token(e));
    let unnamed = || {
        OneToOne::source(
            "load",
            3,
            |_| Footprint::exact(1),
            |_, _, _| Ok(Block::unit()),
        )
    };
    let (f, g) = (graph.push(unnamed(), &[]), graph.push(unnamed(), &[]));
    assert_ne!(graph.token(f), graph.token(g));
}
