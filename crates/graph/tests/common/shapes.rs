//! The shapes that layers of tests come in: one to one, and trees.

#![allow(dead_code, reason = "not every test has layers of all shapes")]

use std::sync::Arc;

use flagstone_common::{Result, TaskContext, TokenHasher};
use flagstone_graph::{Block, Deps, Footprint, Graph, Inputs, Layer, LayerId};

type Run = dyn Fn(u32, Inputs<'_>, &TaskContext<'_>) -> Result<Block> + Send + Sync;
type Size = dyn Fn(u32) -> Footprint + Send + Sync;

/// A layer whose task *i* reads task *i* of its input (or nothing, as a source). Fused with it.
pub(crate) struct OneToOne {
    name: String,
    count: u32,
    reads: bool,
    version: Option<String>,
    size: Box<Size>,
    run: Box<Run>,
}

impl OneToOne {
    /// A layer of `count` tasks over one input with as many.
    pub(crate) fn new(
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

    /// A layer of `count` tasks without an input: a source.
    pub(crate) fn source(
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
    pub(crate) fn named(mut self, version: impl Into<String>) -> Self {
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

/// Trees of a graph's layers.
pub(crate) trait Reduce {
    /// Reduces the blocks of `input` to one along a fixed tree: the same shape for every number of
    /// threads and every budget. `combine` always gets its blocks in order of their tasks. An
    /// input of one task is combined too (with itself alone), so `combine` may also finish;
    /// an empty input gives a layer without tasks.
    ///
    /// # Panics
    /// When `fan_in` is less than 2.
    fn reduce(
        &mut self,
        name: &str,
        input: LayerId,
        fan_in: u32,
        size: impl Fn(u32) -> Footprint + Send + Sync + 'static,
        combine: impl Fn(u32, Inputs<'_>, &TaskContext<'_>) -> Result<Block> + Send + Sync + 'static,
    ) -> LayerId;
}

impl Reduce for Graph {
    fn reduce(
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
