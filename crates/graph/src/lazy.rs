//! Lazy values: each is a node that reads others, lowered once into a graph however many read it.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::{Error, Result, TaskContext};

use crate::block::{Block, Inputs, Value};
use crate::exec::Execute;
use crate::explicit::{ExplicitBuilder, Pick};
use crate::footprint::Footprint;
use crate::graph::Graph;
use crate::id::LayerId;
use crate::lower::{Lower, Planner};

/// A value that is not computed yet. Cloning shares it: it is computed once.
pub struct Lazy<T> {
    pub(crate) node: Arc<Node>,
    _type: PhantomData<fn() -> T>,
}

type Function = dyn Fn(&Inputs<'_>) -> Result<Block> + Send + Sync;

/// Lowers a layer, and names one of its tasks.
type LowerTask = dyn Fn(&mut Graph) -> Result<(LayerId, u32)> + Send + Sync;

pub(crate) struct Node {
    function: Box<Function>,
    deps: Vec<Arc<Node>>,
    /// The one input of a node that reads a task of a layer.
    from: Option<Box<LowerTask>>,
    location: &'static Location<'static>,
}

/// Long chains are taken apart in a loop, not by recursion.
impl Drop for Node {
    fn drop(&mut self) {
        let mut open = std::mem::take(&mut self.deps);
        while let Some(node) = open.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                open.append(&mut node.deps);
            }
        }
    }
}

impl<T> Clone for Lazy<T> {
    fn clone(&self) -> Self {
        Lazy {
            node: Arc::clone(&self.node),
            _type: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.node.location;
        write!(
            f,
            "Lazy<{}>({}:{})",
            std::any::type_name::<T>(),
            at.file(),
            at.line()
        )
    }
}

/// A value as a [`Lazy`].
#[track_caller]
pub fn lazy<T: Clone + Send + Sync + 'static>(value: T) -> Lazy<T> {
    Lazy::new(Vec::new(), Location::caller(), move |_| {
        Ok(Block::value(value.clone()))
    })
}

impl<T: Send + Sync + 'static> Lazy<T> {
    pub(crate) fn new(
        deps: Vec<Arc<Node>>,
        location: &'static Location<'static>,
        function: impl Fn(&Inputs<'_>) -> Result<Block> + Send + Sync + 'static,
    ) -> Self {
        let node = Node {
            function: Box::new(function),
            deps,
            from: None,
            location,
        };
        Lazy {
            node: Arc::new(node),
            _type: PhantomData,
        }
    }

    /// A value read from the block of a layer's task: how the parts of a collection become lazy
    /// values. `lower` puts the layer into a graph (once, however many values read it) and names
    /// the task; what it fails with becomes the error of computing the value.
    #[track_caller]
    pub fn of_task(
        lower: impl Fn(&mut Graph) -> Result<(LayerId, u32)> + Send + Sync + 'static,
        read: impl Fn(&Block) -> Result<Block> + Send + Sync + 'static,
    ) -> Self {
        let node = Node {
            function: Box::new(move |inputs| read(inputs.block(0)?)),
            deps: Vec::new(),
            from: Some(Box::new(lower)),
            location: Location::caller(),
        };
        Lazy {
            node: Arc::new(node),
            _type: PhantomData,
        }
    }

    /// Computes the value.
    ///
    /// # Errors
    /// A closure that panics, or the executor's.
    pub fn compute_with(&self, executor: &dyn Execute) -> Result<T>
    where
        T: Clone,
    {
        let mut values = compute_all(std::slice::from_ref(self), executor)?;
        values
            .pop()
            .ok_or_else(|| Error::invalid("one value was asked for and none came"))
    }
}

impl<T: Clone + Send + Sync + 'static> Lower for Lazy<T> {
    type Output = T;

    fn planner<'a>(&'a self, _: &'a dyn Execute) -> Result<Planner<'a>> {
        Ok(Box::new(move |graph, _| Ok(vec![self.push_into(graph)])))
    }

    fn read(&self, blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Result<T> {
        let block = blocks.next().into_iter().flatten().next();
        let missing = || Error::bug("a lazy value has no block");
        block.ok_or_else(missing).and_then(Lazy::value)
    }

    fn compute_with(&self, executor: &dyn Execute) -> Result<T> {
        self.compute_with(executor)
    }
}

impl<T: Clone + Send + Sync + 'static> Lazy<T> {
    /// Appends what computes the value to a graph, as a layer of one task.
    pub fn push_into(&self, graph: &mut Graph) -> LayerId {
        push_all(graph, std::slice::from_ref(self))
    }

    /// Takes the value out of the block of [`push_into`](Self::push_into)'s layer.
    ///
    /// # Errors
    /// When it is not this layer's.
    pub fn value(block: Block) -> Result<T> {
        match block.take::<Value<T>>() {
            Ok(value) => Ok(value.value),
            Err(shared) => shared
                .value_ref::<T>()
                .cloned()
                .ok_or_else(|| Error::invalid("a delayed value has another type")),
        }
    }

    /// Many lazy values as one lazy vector.
    #[track_caller]
    pub fn all(items: &[Lazy<T>]) -> Lazy<Vec<T>> {
        let deps = items.iter().map(|item| Arc::clone(&item.node)).collect();
        Lazy::new(deps, Location::caller(), |inputs| {
            let values = (0..inputs.len()).map(|i| inputs.value::<T>(i).cloned());
            values.collect::<Result<Vec<T>>>().map(Block::value)
        })
    }
}

/// Computes several values at once; what they share is computed once.
///
/// # Errors
/// A closure that panics, or the executor's.
pub fn compute_all<T: Clone + Send + Sync + 'static>(
    items: &[Lazy<T>],
    executor: &dyn Execute,
) -> Result<Vec<T>> {
    let mut graph = Graph::new();
    let picked = push_all(&mut graph, items);
    let blocks = executor.execute(&graph, &[picked])?;
    blocks.into_iter().flatten().map(Lazy::value).collect()
}

/// Appends what computes the values, less what this graph has already: a layer with a task for
/// each.
fn push_all<T>(graph: &mut Graph, items: &[Lazy<T>]) -> LayerId {
    let footprint = Footprint::estimated(size_of::<T>() as u64).resident();
    let mut builder = ExplicitBuilder::new("delayed", footprint);
    // the layers that hold what was lowered before, and this layer's nodes in order of task
    let mut inputs: Vec<LayerId> = Vec::new();
    let mut nodes: Vec<Arc<Node>> = Vec::new();
    let mut numbers = std::collections::HashMap::new();
    let mut of_layer = |builder: &mut ExplicitBuilder, layer: LayerId, task: u32| {
        let slot = inputs.iter().position(|&input| input == layer);
        let slot = slot.unwrap_or_else(|| {
            inputs.push(layer);
            inputs.len() - 1
        });
        builder.of_input(slot, task)
    };
    for item in items {
        let mut stack = vec![(Arc::clone(&item.node), false)];
        while let Some((node, ready)) = stack.pop() {
            let address = Arc::as_ptr(&node) as usize;
            if numbers.contains_key(&address) {
                continue;
            }
            if let Some((layer, task)) = graph.placed(&node) {
                numbers.insert(address, of_layer(&mut builder, layer, task));
                continue;
            }
            if !ready {
                let deps = node.deps.clone();
                stack.push((node, true));
                stack.extend(deps.into_iter().rev().map(|dep| (dep, false)));
                continue;
            }
            let mut deps: Vec<u32> = node
                .deps
                .iter()
                .map(|dep| numbers[&(Arc::as_ptr(dep) as usize)])
                .collect();
            let location = node.location;
            match node.from.as_ref().map(|lower| lower(graph)) {
                None => {}
                Some(Ok((layer, task))) => deps.push(of_layer(&mut builder, layer, task)),
                Some(Err(error)) => {
                    let (kind, message) = (error.kind(), error.message().to_owned());
                    let run = move |_: u32, _: Inputs<'_>, _: &TaskContext<'_>| {
                        Err(Error::new(kind, message.clone()).with_location(location))
                    };
                    nodes.push(Arc::clone(&node));
                    let function = builder.function(run);
                    numbers.insert(address, builder.task(function, &[]));
                    continue;
                }
            }
            nodes.push(Arc::clone(&node));
            let run = move |_: u32, inputs: Inputs<'_>, _: &TaskContext<'_>| {
                (node.function)(&inputs).map_err(|error| error.with_location(location))
            };
            let function = builder.function(run);
            numbers.insert(address, builder.task(function, &deps));
        }
    }
    let tasks = graph.push(builder.build(), &inputs);
    for (task, node) in nodes.iter().enumerate() {
        graph.place(node, tasks, task as u32);
    }
    // every wanted value has a place now, in this layer or in an earlier one
    let mut layers = Vec::new();
    let mut wanted = Vec::with_capacity(items.len());
    for item in items {
        let (layer, task) = graph.placed(&item.node).unwrap_or((tasks, 0));
        let slot = layers.iter().position(|&known| known == layer);
        let slot = slot.unwrap_or_else(|| {
            layers.push(layer);
            layers.len() - 1
        });
        wanted.push((slot as u32, task));
    }
    graph.push(Pick::of_inputs(wanted, footprint), &layers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SerialExecutor, delayed};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn shared_values_are_computed_once() {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let load = delayed(|| {
            CALLS.fetch_add(1, Ordering::Relaxed);
            String::from("ab")
        });
        let text = load.call(());
        let len = delayed(|text: &String| text.len()).call((&text,));
        let twice = delayed(|text: &String, n: &usize| text.len() * n).call((&text, &len));
        assert_eq!(CALLS.load(Ordering::Relaxed), 0);
        assert_eq!(compute_all(&[len, twice], &SerialExecutor).unwrap(), [2, 4]);
        assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn values_of_different_types_share_their_work_in_one_graph() {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let text = delayed(|| {
            CALLS.fetch_add(1, Ordering::Relaxed);
            String::from("abc")
        })
        .call(());
        let len = delayed(|text: &String| text.len()).call((&text,));
        let first = delayed(|text: &String, len: &usize| text.chars().nth(len - 3));
        let first = first.call((&text, &len));
        let mut graph = Graph::new();
        let outputs = [
            text.push_into(&mut graph),
            first.push_into(&mut graph),
            len.push_into(&mut graph),
            text.push_into(&mut graph),
        ];
        let blocks = SerialExecutor.execute(&graph, &outputs).unwrap();
        let mut blocks = blocks.into_iter().flatten();
        let mut next = || blocks.next().unwrap();
        assert_eq!(Lazy::<String>::value(next()).unwrap(), "abc");
        assert_eq!(Lazy::<Option<char>>::value(next()).unwrap(), Some('a'));
        assert_eq!(Lazy::<usize>::value(next()).unwrap(), 3);
        assert_eq!(Lazy::<String>::value(next()).unwrap(), "abc");
        assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_long_chain_neither_computes_nor_drops_recursively() {
        let add = delayed(|a: &u64| a + 1);
        let mut value = lazy(0u64);
        for _ in 0..200_000 {
            value = add.call((&value,));
        }
        assert_eq!(value.compute_with(&SerialExecutor).unwrap(), 200_000);
    }

    #[test]
    fn many_values_gather_into_one_vector() {
        let items: Vec<Lazy<u32>> = (0..5).map(lazy).collect();
        assert_eq!(
            Lazy::all(&items).compute_with(&SerialExecutor).unwrap(),
            [0, 1, 2, 3, 4]
        );
    }
}
