//! Explicit layers: hand-made graphs, for everything that follows no index arithmetic.
//!
//! [`ExplicitBuilder`] numbers tasks as they are added, so a task can only read tasks that exist:
//! there is nothing to check. [`KeyedGraph`] takes tasks by key in any order, as dask's graphs do,
//! and reports missing keys and cycles when it is built.

use std::collections::HashMap;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result, TaskContext};

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

/// A graph by keys: tasks in any order, each naming the keys it reads.
///
/// ```
/// use flagstone_graph::{Block, Footprint, KeyedGraph, SerialExecutor};
///
/// let mut graph = KeyedGraph::new("sums", Footprint::exact(8).resident());
/// graph.task("z", &["x", "y"], |inputs| {
///     Ok(Block::value(inputs.value::<i64>(0)? + inputs.value::<i64>(1)?))
/// });
/// graph.value("x", 1i64);
/// graph.alias("y", "w");
/// graph.value("w", 10i64);
/// let blocks = graph.compute_with(&SerialExecutor, &["z"])?;
/// assert_eq!(blocks[0].value_ref::<i64>(), Some(&11));
/// # Ok::<(), flagstone_common::Error>(())
/// ```
pub struct KeyedGraph {
    name: String,
    footprint: Footprint,
    index: HashMap<String, usize>,
    tasks: Vec<KeyedTask>,
}

struct KeyedTask {
    key: String,
    deps: Vec<String>,
    function: Arc<dyn Fn(Inputs<'_>) -> Result<Block> + Send + Sync>,
}

impl KeyedGraph {
    /// A graph without tasks; `footprint` is that of each task.
    pub fn new(name: impl Into<String>, footprint: Footprint) -> Self {
        KeyedGraph {
            name: name.into(),
            footprint,
            index: HashMap::new(),
            tasks: Vec::new(),
        }
    }

    /// Adds a task; a later one with the same key replaces it.
    pub fn task(
        &mut self,
        key: impl Into<String>,
        deps: &[&str],
        function: impl Fn(Inputs<'_>) -> Result<Block> + Send + Sync + 'static,
    ) {
        let key = key.into();
        let deps = deps.iter().map(|&dep| dep.to_owned()).collect();
        let task = KeyedTask {
            key: key.clone(),
            deps,
            function: Arc::new(function),
        };
        match self.index.get(&key) {
            Some(&at) => self.tasks[at] = task,
            None => {
                self.index.insert(key, self.tasks.len());
                self.tasks.push(task);
            }
        }
    }

    /// Adds a value.
    pub fn value<T: Clone + Send + Sync + 'static>(&mut self, key: impl Into<String>, value: T) {
        self.task(key, &[], move |_| Ok(Block::value(value.clone())));
    }

    /// Gives a task a second key.
    pub fn alias(&mut self, key: impl Into<String>, of: &str) {
        self.task(key, &[of], |mut inputs| inputs.take(0));
    }

    /// Numbers the tasks that `outputs` need so that each reads only lower ones.
    ///
    /// # Errors
    /// `MissingDependency` with the key that does not exist and who reads it; `Cycle` with the
    /// keys of the cycle.
    pub fn build(&self, outputs: &[&str]) -> Result<(Explicit, Vec<u32>)> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done(u32),
        }
        let mut marks = vec![Mark::New; self.tasks.len()];
        let mut builder = ExplicitBuilder::new(self.name.clone(), self.footprint);
        let find = |key: &str, reader: Option<&str>| {
            self.index.get(key).copied().ok_or_else(|| {
                let reader = match reader {
                    Some(reader) => format!("which {reader:?} reads"),
                    None => "which was asked for".to_owned(),
                };
                Error::new(
                    ErrorKind::MissingDependency,
                    format!("{}: there is no task {key:?}, {reader}", self.name),
                )
            })
        };
        for &output in outputs {
            // (task, next dependency to look at)
            let mut stack = vec![(find(output, None)?, 0usize)];
            while let Some(&mut (task, ref mut next)) = stack.last_mut() {
                let keyed = &self.tasks[task];
                if matches!(marks[task], Mark::Done(_)) {
                    stack.pop();
                    continue;
                }
                marks[task] = Mark::Open;
                if let Some(dep) = keyed.deps.get(*next) {
                    *next += 1;
                    let dep = find(dep, Some(&keyed.key))?;
                    match marks[dep] {
                        Mark::Done(_) => {}
                        Mark::New => stack.push((dep, 0)),
                        Mark::Open => return Err(self.cycle(&stack, dep)),
                    }
                    continue;
                }
                let deps: Vec<u32> = keyed
                    .deps
                    .iter()
                    .filter_map(|dep| match marks[self.index[dep]] {
                        Mark::Done(index) => Some(index),
                        _ => None,
                    })
                    .collect();
                let run = Arc::clone(&keyed.function);
                let function = builder.function(move |_, inputs, _| run(inputs));
                marks[task] = Mark::Done(builder.task(function, &deps));
                stack.pop();
            }
        }
        let indices = outputs
            .iter()
            .filter_map(|&output| match marks[self.index[output]] {
                Mark::Done(index) => Some(index),
                _ => None,
            })
            .collect();
        Ok((builder.build(), indices))
    }

    fn cycle(&self, stack: &[(usize, usize)], back_to: usize) -> Error {
        let start = stack
            .iter()
            .position(|&(task, _)| task == back_to)
            .unwrap_or(0);
        let mut keys: Vec<&str> = stack[start..]
            .iter()
            .map(|&(task, _)| self.tasks[task].key.as_str())
            .collect();
        keys.push(&self.tasks[back_to].key);
        Error::new(
            ErrorKind::Cycle,
            format!(
                "{}: the tasks read each other in a cycle: {}",
                self.name,
                keys.join(" -> ")
            ),
        )
    }

    /// Computes the tasks with these keys.
    ///
    /// # Errors
    /// Those of [`build`](Self::build) and of the tasks.
    pub fn compute_with(
        &self,
        executor: &dyn crate::Execute,
        outputs: &[&str],
    ) -> Result<Vec<Block>> {
        let (layer, indices) = self.build(outputs)?;
        let mut graph = crate::Graph::new();
        let tasks = graph.push(layer, &[]);
        let picked = graph.push(Pick::new(indices, self.footprint), &[tasks]);
        let mut blocks = executor.execute(&graph, &[picked])?;
        Ok(blocks.pop().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FreezeOptions, Graph, SerialExecutor};

    fn keyed() -> KeyedGraph {
        KeyedGraph::new("g", Footprint::exact(8).resident())
    }

    #[test]
    fn a_cycle_is_printed() {
        let mut graph = keyed();
        graph.alias("a", "b");
        graph.alias("b", "c");
        graph.alias("c", "a");
        let error = graph.build(&["a"]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Cycle);
        assert!(error.message().ends_with("a -> b -> c -> a"), "{error}");
    }

    #[test]
    fn a_missing_key_is_named_with_its_reader() {
        let mut graph = keyed();
        graph.alias("a", "nowhere");
        let message = graph.build(&["a"]).err().unwrap().to_string();
        assert!(
            message.contains("\"nowhere\"") && message.contains("\"a\" reads"),
            "{message}"
        );
        assert!(graph.build(&["b"]).is_err());
    }

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
