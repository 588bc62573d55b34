//! Layers of common shapes, frozen and run: what is fused, and what is not.

#[path = "common/shapes.rs"]
mod shapes;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{
    Block, Deps, Execute, Footprint, FreezeOptions, Graph, Inputs, Layer, LayerId, SerialExecutor,
};

use shapes::{OneToOne, Reduce};

fn numbers(count: u32) -> OneToOne {
    let size = |_| Footprint::exact(8).resident();
    OneToOne::source("numbers", count, size, |task, _, _| {
        Ok(Block::value(task as u64))
    })
}

fn sum(_: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
    (0..inputs.len())
        .try_fold(0, |sum, i| Ok(sum + *inputs.value::<u64>(i)?))
        .map(Block::value::<u64>)
}

#[test]
fn a_tree_of_any_width_sums_every_leaf_once() {
    for count in [0u32, 1, 2, 7, 8, 9, 64, 65, 1000] {
        let mut graph = Graph::new();
        let leaves = graph.push(numbers(count), &[]);
        let root = graph.reduce("sum", leaves, 8, |_| Footprint::exact(8).resident(), sum);
        let blocks = SerialExecutor.execute(&graph, &[root]).unwrap();
        let sums: Vec<u64> = blocks[0]
            .iter()
            .filter_map(|b| b.value_ref().copied())
            .collect();
        let expected = (0..u64::from(count)).sum::<u64>();
        assert_eq!(sums, if count == 0 { vec![] } else { vec![expected] });
    }
}

#[test]
fn one_to_one_layers_are_fused_unless_shared_or_too_large() {
    let add = |bytes| {
        OneToOne::new(
            "add",
            4,
            move |_| Footprint::exact(bytes).resident(),
            |_, inputs, _| Ok(Block::value(inputs.value::<u64>(0)? + 1)),
        )
    };
    let mut graph = Graph::new();
    let source = graph.push(numbers(4), &[]);
    let one = graph.push(add(8), &[source]);
    let two = graph.push(add(8), &[one]);
    let options = FreezeOptions::default();
    let tasks = |graph: &Graph, outputs: &[LayerId], options: &FreezeOptions| {
        graph.freeze(outputs, options).unwrap().task_count()
    };
    assert_eq!(tasks(&graph, &[two], &options), 4);
    assert_eq!(
        tasks(
            &graph,
            &[two],
            &FreezeOptions {
                fuse: false,
                ..options
            }
        ),
        12
    );
    // asked for: must be made
    assert_eq!(tasks(&graph, &[one, two], &options), 8);
    // the fused task would hold 8 + 8 bytes
    assert_eq!(
        tasks(
            &graph,
            &[two],
            &FreezeOptions {
                fused_bytes_max: 15,
                ..options
            }
        ),
        12
    );
    // shared: two readers
    let three = graph.push(add(8), &[one]);
    assert_eq!(tasks(&graph, &[two, three], &options), 12);
    let blocks = SerialExecutor.execute(&graph, &[two, three, one]).unwrap();
    let values: Vec<_> = blocks
        .iter()
        .map(|b| *b[3].value_ref::<u64>().unwrap())
        .collect();
    assert_eq!(values, [5, 5, 4]);
}

/// A running count: each task reads the one before.
struct Running;

impl Layer for Running {
    fn name(&self) -> &str {
        "running"
    }

    fn task_count(&self) -> u32 {
        5
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        if task > 0 {
            deps.own(task - 1);
        }
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(8).resident()
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let before = match task {
            0 => 0,
            _ => *inputs.value::<u64>(0)?,
        };
        Ok(Block::value(before + 1))
    }
}

#[test]
fn a_layer_whose_tasks_read_each_other_is_not_fused_into_its_reader() {
    let mut graph = Graph::new();
    let running = graph.push(Running, &[]);
    let text = OneToOne::new(
        "text",
        5,
        |_| Footprint::exact(8).resident(),
        |_, inputs, _| Ok(Block::value(inputs.value::<u64>(0)?.to_string())),
    );
    let text = graph.push(text, &[running]);
    let blocks = SerialExecutor.execute(&graph, &[text]).unwrap();
    let values: Vec<&String> = blocks[0].iter().map(|b| b.value_ref().unwrap()).collect();
    assert_eq!(values, ["1", "2", "3", "4", "5"]);
}
