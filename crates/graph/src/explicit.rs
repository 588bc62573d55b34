//! Explicit layers: hand-made graphs, for everything that follows no index arithmetic.
//!
//! [`ExplicitBuilder`] numbers tasks as they are added, so a task can only read tasks that exist:
//! there is nothing to check. [`KeyedGraph`](crate::KeyedGraph) takes tasks by key in any order.

use flagstone_common::{Result, TaskContext};

use crate::block::{Block, Inputs};
use crate::footprint::Footprint;
use crate::layer::{Deps, Layer};

/// What a hand-made task does: its index, its inputs and the context give a block.
pub type TaskFn = dyn Fn(u32, Inputs<'_>, &TaskContext<'_>) -> Result<Block> + Send + Sync;

/// A layer with its own dependency lists: 4 bytes an edge and 8 a task.
pub struct Explicit {
    name: String,
    functions: Vec<Box<TaskFn>>,
    function_of: Vec<u32>,
    offsets: Vec<u32>,
    /// Tasks of this layer, or, with [`OF_INPUT`] set, positions in `of_inputs`.
    deps: Vec<u32>,
    /// Tasks of other layers: input slot and task.
    of_inputs: Vec<(u32, u32)>,
    footprint: Footprint,
}

const OF_INPUT: u32 = 1 << 31;

/// An operation of an [`ExplicitBuilder`]: one closure, used by many tasks.
#[derive(Debug, Clone, Copy)]
pub struct FunctionId(u32);

/// Builds an [`Explicit`] layer task by task.
///
/// ```
/// use flagstone_graph::{Block, Execute, ExplicitBuilder, Footprint, Graph, SerialExecutor};
///
/// let mut builder = ExplicitBuilder::new("add", Footprint::exact(8).resident());
/// let one = builder.function(|_, _, _| Ok(Block::value(1u64)));
/// let add = builder.function(|_, inputs, _| {
///     let mut sum = 0;
///     for i in 0..inputs.len() {
///         sum += inputs.value::<u64>(i)?;
///     }
///     Ok(Block::value(sum))
/// });
/// let a = builder.task(one, &[]);
/// let b = builder.task(add, &[a, a]);
/// let mut graph = Graph::new();
/// let layer = graph.push(builder.build(), &[]);
/// let blocks = SerialExecutor.execute(&graph, &[layer])?;
/// assert_eq!(blocks[0][b as usize].value_ref::<u64>(), Some(&2));
/// # Ok::<(), flagstone_common::Error>(())
/// ```
pub struct ExplicitBuilder(Explicit);

impl ExplicitBuilder {
    /// A layer without tasks; `footprint` is that of each task.
    pub fn new(name: impl Into<String>, footprint: Footprint) -> Self {
        ExplicitBuilder(Explicit {
            name: name.into(),
            functions: Vec::new(),
            function_of: Vec::new(),
            offsets: vec![0],
            deps: Vec::new(),
            of_inputs: Vec::new(),
            footprint,
        })
    }

    /// Room for this many tasks and edges, so that building does not reallocate.
    pub fn with_capacity(mut self, tasks: usize, edges: usize) -> Self {
        self.0.function_of.reserve_exact(tasks);
        self.0.offsets.reserve_exact(tasks);
        self.0.deps.reserve_exact(edges);
        self
    }

    /// Registers an operation.
    pub fn function(
        &mut self,
        function: impl Fn(u32, Inputs<'_>, &TaskContext<'_>) -> Result<Block> + Send + Sync + 'static,
    ) -> FunctionId {
        self.0.functions.push(Box::new(function));
        FunctionId(self.0.functions.len() as u32 - 1)
    }

    /// A task of another layer, to be named as a dependency: the layer is the `slot`-th input given
    /// when this layer is pushed to a graph.
    pub fn of_input(&mut self, slot: usize, task: u32) -> u32 {
        self.0.of_inputs.push((slot as u32, task));
        OF_INPUT | (self.0.of_inputs.len() as u32 - 1)
    }

    /// Appends a task that reads tasks made before, or of other layers, and returns its index.
    ///
    /// # Panics
    /// When a dependency is not a task of this builder: indices come from earlier calls.
    pub fn task(&mut self, function: FunctionId, deps: &[u32]) -> u32 {
        let index = self.0.function_of.len() as u32;
        assert!(
            deps.iter().all(|&dep| match dep & OF_INPUT {
                0 => dep < index,
                _ => ((dep & !OF_INPUT) as usize) < self.0.of_inputs.len(),
            }),
            "task {index} reads a task not made before it"
        );
        self.0.function_of.push(function.0);
        self.0.deps.extend_from_slice(deps);
        self.0.offsets.push(self.0.deps.len() as u32);
        index
    }

    /// The finished layer.
    pub fn build(self) -> Explicit {
        self.0
    }
}

impl Explicit {
    fn deps_of(&self, task: u32) -> &[u32] {
        let i = task as usize;
        &self.deps[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }
}

impl Layer for Explicit {
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        self.function_of.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        for &dep in self.deps_of(task) {
            if dep & OF_INPUT == 0 {
                deps.own(dep);
            } else {
                let (slot, task) = self.of_inputs[(dep & !OF_INPUT) as usize];
                deps.push(slot as usize, task);
            }
        }
    }

    fn footprint(&self, _: u32) -> Footprint {
        self.footprint
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let function = self.function_of[task as usize];
        (self.functions[function as usize])(task, inputs, ctx)
    }
}

/// Passes chosen tasks of other layers on, so that they can be asked for as an output.
pub struct Pick {
    /// Input slot and task.
    tasks: Vec<(u32, u32)>,
    footprint: Footprint,
}

impl Pick {
    /// One task for each of `tasks`, whose blocks need `footprint`.
    pub fn new(tasks: Vec<u32>, footprint: Footprint) -> Self {
        let tasks = tasks.into_iter().map(|task| (0, task)).collect();
        Pick { tasks, footprint }
    }

    /// One task for each of `tasks` of several layers, each with the input slot of its layer.
    pub fn of_inputs(tasks: Vec<(u32, u32)>, footprint: Footprint) -> Self {
        Pick { tasks, footprint }
    }
}

impl Layer for Pick {
    fn name(&self) -> &str {
        "pick"
    }

    fn task_count(&self) -> u32 {
        self.tasks.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        let (slot, task) = self.tasks[task as usize];
        deps.push(slot as usize, task);
    }

    fn footprint(&self, _: u32) -> Footprint {
        self.footprint
    }

    fn run(&self, _: u32, mut inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        inputs.take(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FreezeOptions, Graph, SerialExecutor};

    #[test]
    fn a_chain_of_a_million_tasks_does_not_recurse() {
        let count = 1_000_000u32;
        let mut builder = ExplicitBuilder::new("chain", Footprint::exact(8).resident());
        let add = builder.function(|_, inputs, _| {
            let before = if inputs.is_empty() {
                0
            } else {
                *inputs.value::<u64>(0)?
            };
            Ok(Block::value(before + 1))
        });
        let mut last = builder.task(add, &[]);
        for _ in 1..count {
            last = builder.task(add, &[last]);
        }
        let mut graph = Graph::new();
        let chain = graph.push(builder.build(), &[]);
        let end = graph.push(
            Pick::new(vec![last], Footprint::exact(8).resident()),
            &[chain],
        );
        let program = graph.freeze(&[end], &FreezeOptions::default()).unwrap();
        assert_eq!(program.task_count(), count as usize + 1);
        let blocks = crate::Execute::execute(&SerialExecutor, &graph, &[end]).unwrap();
        assert_eq!(blocks[0][0].value_ref::<u64>(), Some(&u64::from(count)));
    }
}
