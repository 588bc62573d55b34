//! Graphs by keys, as dask's are: tasks in any order, each naming what it reads.
//!
//! A user's own graph may name keys that nobody made, or read itself in a circle. Both are found when
//! the graph is built into an [`Explicit`] layer, in which a task can only read tasks before it.

use std::collections::HashMap;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result};

use crate::block::{Block, Inputs};
use crate::exec::Execute;
use crate::explicit::{Explicit, ExplicitBuilder, Pick};
use crate::footprint::Footprint;
use crate::graph::Graph;

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
    pub fn compute_with(&self, executor: &dyn Execute, outputs: &[&str]) -> Result<Vec<Block>> {
        let (layer, indices) = self.build(outputs)?;
        let mut graph = Graph::new();
        let tasks = graph.push(layer, &[]);
        let picked = graph.push(Pick::new(indices, self.footprint), &[tasks]);
        let mut blocks = executor.execute(&graph, &[picked])?;
        Ok(blocks.pop().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
