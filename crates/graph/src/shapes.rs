//! The shapes that layers come in: one to one, and trees.

use std::sync::Arc;

use crate::block::{Block, Inputs};
use crate::context::TaskContext;
use crate::error::Result;
use crate::footprint::Footprint;
use crate::graph::Graph;
use crate::id::LayerId;
use crate::layer::{Deps, Layer};
use crate::token::TokenHasher;

type Run = dyn Fn(u32, Inputs<'_>, &TaskContext<'_>) -> Result<Block> + Send + Sync;
type Size = dyn Fn(u32) -> Footprint + Send + Sync;

/// A layer whose task *i* reads task *i* of its input (or nothing, as a source). Fused with it.
pub struct OneToOne {
    name: String,
    count: u32,
    reads: bool,
    version: Option<String>,
    size: Box<Size>,
    run: Box<Run>,
}

impl OneToOne {
    /// A layer of `count` tasks over one input with as many.
    pub fn new(
        name: impl Into<String>,
        count: u32,
        size: impl Fn(u32) -> Footprint + Send + Sync + 'static,
        run: impl Fn(u32, Inputs<'_>, &TaskContext<'_>) -> Result<Block> + Send + Sync + 'static,
    ) -> Self {
        OneToOne {
            name: name.into(),
            count,
            reads: true,
            version: None,
            size: Box::new(size),
            run: Box::new(run),
        }
    }

    /// The same without an input: a source.
    pub fn source(
        name: impl Into<String>,
        count: u32,
        size: impl Fn(u32) -> Footprint + Send + Sync + 'static,
        run: impl Fn(u32, Inputs<'_>, &TaskContext<'_>) -> Result<Block> + Send + Sync + 'static,
    ) -> Self {
        OneToOne {
            reads: false,
            ..OneToOne::new(name, count, size, run)
        }
    }

    /// Names what the closure computes: layers with the same name, version and inputs get the
    /// same token, also in another process.
    pub fn named(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}

impl Layer for OneToOne {
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        self.count
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        if self.reads {
            deps.push(0, task);
        }
    }

    fn footprint(&self, task: u32) -> Footprint {
        (self.size)(task)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        (self.run)(task, inputs, ctx)
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        match &self.version {
            Some(version) => hasher.str(version).u64(self.count.into()),
            None => hasher.unique(),
        };
    }

    fn one_to_one(&self) -> Option<usize> {
        self.reads.then_some(0)
    }
}

/// One level of a reduction tree: task *i* reads up to `fan_in` consecutive tasks of its input.
struct Level {
    name: Arc<str>,
    inputs: u32,
    fan_in: u32,
    size: Arc<Size>,
    run: Arc<Run>,
}

impl Layer for Level {
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        self.inputs.div_ceil(self.fan_in)
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let from = task * self.fan_in;
        deps.range(0, from..(from + self.fan_in).min(self.inputs));
    }

    fn footprint(&self, task: u32) -> Footprint {
        (self.size)(task)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        (self.run)(task, inputs, ctx)
    }
}

/// The children per node of reduction trees when nothing else is known (dask's `split_every`).
pub const FAN_IN: u32 = 8;

impl Graph {
    /// Reduces the blocks of `input` to one along a fixed tree: the same shape for every number of
    /// threads and every budget. `combine` always gets its blocks in order of their tasks. An
    /// input of one task is combined too (with itself alone), so `combine` may also finish;
    /// an empty input gives a layer without tasks.
    ///
    /// # Panics
    /// When `fan_in` is less than 2.
    pub fn reduce(
        &mut self,
        name: &str,
        input: LayerId,
        fan_in: u32,
        size: impl Fn(u32) -> Footprint + Send + Sync + 'static,
        combine: impl Fn(u32, Inputs<'_>, &TaskContext<'_>) -> Result<Block> + Send + Sync + 'static,
    ) -> LayerId {
        assert!(fan_in >= 2, "a tree needs a fan-in of at least 2");
        let name: Arc<str> = name.into();
        let (size, run): (Arc<Size>, Arc<Run>) = (Arc::new(size), Arc::new(combine));
        let mut input = input;
        loop {
            let inputs = self.layer(input).task_count();
            let level = Level {
                name: Arc::clone(&name),
                inputs,
                fan_in,
                size: Arc::clone(&size),
                run: Arc::clone(&run),
            };
            input = self.push(level, &[input]);
            if inputs <= fan_in {
                return input;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Execute, FreezeOptions, SerialExecutor};

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
            let root = graph.reduce(
                "sum",
                leaves,
                FAN_IN,
                |_| Footprint::exact(8).resident(),
                sum,
            );
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

    impl crate::Layer for Running {
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
}
