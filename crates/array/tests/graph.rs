//! Graphs over a million chunks: layers answer by arithmetic, and what a slice does not need is not
//! in the program.

use std::collections::HashMap;

use flagstone_array::{Array, index};
use flagstone_common::{ErrorKind, SerialHost, TaskContext};
use flagstone_graph::{Block, FreezeOptions, Graph, Inputs, LayerId, Resources, SerialExecutor};

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
    let (all, program) = tasks(&(rows.sum(1) + 1.0).index(index![7..9]));
    assert!(all < 10 && program < 10, "{all} {program}");
}

/// The layers that an array is computed by, inputs first, with the blocks of all their tasks.
fn run_all(graph: &Graph, output: LayerId) -> HashMap<LayerId, Vec<Block>> {
    let mut blocks: HashMap<LayerId, Vec<Block>> = HashMap::new();
    let mut stack = vec![output];
    while let Some(&layer) = stack.last() {
        let missing = |input: &&LayerId| !blocks.contains_key(input);
        let missing: Vec<LayerId> = graph
            .inputs(layer)
            .iter()
            .filter(missing)
            .copied()
            .collect();
        if !missing.is_empty() {
            stack.extend(missing);
            continue;
        }
        stack.pop();
        let mut own: Vec<Block> = Vec::new();
        for task in 0..graph.layer(layer).task_count() {
            let deps = graph.deps(layer, task).unwrap().into_iter();
            let block = |(of, task): (LayerId, u32)| match of == layer {
                true => own[task as usize].clone(),
                false => blocks[&of][task as usize].clone(),
            };
            let mut inputs: Vec<Option<Block>> = deps.map(block).map(Some).collect();
            own.push(run(graph, layer, task, &mut inputs).unwrap());
        }
        blocks.insert(layer, own);
    }
    blocks
}

fn run(
    graph: &Graph,
    layer: LayerId,
    task: u32,
    inputs: &mut [Option<Block>],
) -> flagstone_common::Result<Block> {
    let (host, key) = (SerialHost::new(), || "a task".to_owned());
    let context = TaskContext::new(&host, &key);
    graph.layer(layer).run(task, Inputs::new(inputs), &context)
}

/// Gives every task of an array the blocks of another array that is made the same way.
fn mixed_up<T: flagstone_array::Element>(name: &str, make: &dyn Fn(usize) -> Array<T>) {
    let resources = Resources {
        budget_bytes: 16 << 10,
        threads: 1,
    };
    let (mut graph, mut other) = (Graph::new(), Graph::new());
    let output = make(40).push_whole(&mut graph, resources).unwrap();
    let other_output = make(67).push_whole(&mut other, resources).unwrap();
    let own = run_all(&graph, output);
    let others = run_all(&other, other_output);
    let mut refused = 0;
    for &layer in own
        .keys()
        .filter(|layer| layer.index() < other.layer_count())
    {
        let count = graph.layer(layer).task_count();
        for task in (0..count).step_by((count as usize / 3).max(1)) {
            let deps = graph.deps(layer, task).unwrap();
            for (i, &(of, dep)) in deps.iter().enumerate().take(3) {
                let strange = others
                    .get(&of)
                    .map(|blocks| &blocks[dep as usize % blocks.len()]);
                for strange in [strange.cloned(), Some(Block::value(7u8))]
                    .into_iter()
                    .flatten()
                {
                    let mut inputs: Vec<Option<Block>> = (deps.iter())
                        .map(|&(of, dep)| Some(own[&of][dep as usize].clone()))
                        .collect();
                    inputs[i] = Some(strange);
                    // what happens to be of the same type and shape is taken
                    if let Err(error) = run(&graph, layer, task, &mut inputs) {
                        let of_kind = matches!(error.kind(), ErrorKind::Bug | ErrorKind::Invalid);
                        assert!(of_kind, "{name}: {error:?}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 0, "{name}");
}

#[test]
fn tasks_refuse_blocks_of_another_array() {
    let x = |n: usize| Array::from_fn(&[n, 30], |i| (i[0] * 31 + i[1]) as f64);
    mixed_up("place", &|n| x(n) * 2.0);
    mixed_up("sum", &|n| x(n).sum(0));
    mixed_up("sum of all", &|n| x(n).sum(..));
    mixed_up("cumsum", &|n| x(n).cumsum(0) + 1.0);
    mixed_up("product of blocks", &|n| {
        x(n).cumsum(0).t().dot(&x(n).cumsum(1))
    });
    mixed_up("symmetric", &|n| {
        let blocks = x(n).cumsum(0);
        blocks.t().dot(&blocks)
    });
    mixed_up("concatenate", &|n| {
        let blocks = x(n).cumsum(0);
        Array::concatenate(&[&blocks, &blocks.flip(0)], 0)
    });
    mixed_up("rechunk", &|n| x(n).cumsum(0).rechunk([7, 7]));
    mixed_up("blocks", &|n| {
        x(n).cumsum(1)
            .map_blocks(&[9, 30], |_, block| block.to_owned())
    });
    mixed_up("filter", &|n| {
        let mask = x(n).index(index![.., 0]).greater(&Array::scalar(100.0));
        x(n).index(index![&mask])
            .compute_chunk_sizes(&SerialExecutor)
            .unwrap()
    });
}
