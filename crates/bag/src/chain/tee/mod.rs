//! Tees: several outputs that read a source once.
//!
//! When outputs that are computed together grow from one shared source, the source becomes *one*
//! layer, whose task runs the partition once and pushes every item to every branch. Its block holds
//! one block per branch; a `pick` task per branch takes its own out. The number of records parsed
//! is then the number of records, however many outputs there are.
//!
//! TeeBlock are added while the outputs are lowered, one after the other, to the layer that the
//! first of them made; freezing comes after that, so footprints see all of them.

mod block;

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Block, Deps, Flow, Footprint, Graph, Inputs, Layer, LayerId, Stop};

use self::block::TeeBlock;
use super::plan::{Step, name_of};
use super::run::Run;
use super::stage::{Branch, Consumer, Root, Source, Started};

/// The tees that a source has in the graphs it was lowered to.
pub struct Tees<R: Root>(Mutex<Vec<Entry<R>>>);

/// A tee, and the layer by which it is found in its graph. A weak reference keeps the layer's
/// address from being used again.
struct Entry<R: Root> {
    tee: Weak<Tee<R>>,
    layer: Weak<dyn Layer>,
}

impl<R: Root> Default for Tees<R> {
    fn default() -> Self {
        Tees(Mutex::new(Vec::new()))
    }
}

impl<R: Root> Tees<R> {
    /// Adds a branch to the source's tee in this graph. The first branch makes the tee: `lower`
    /// is given it and makes the layer that runs it.
    pub(crate) fn attach<B: Branch<R>>(
        &self,
        root: &Arc<R>,
        graph: &mut Graph,
        branch: B,
        lower: impl FnOnce(&mut Graph, Arc<Tee<R>>) -> Result<LayerId>,
    ) -> Result<LayerId> {
        let id = graph.lower_once(root, |graph| {
            let mut steps = Vec::new();
            root.steps(&mut steps);
            let (branches, running) = (Mutex::default(), OnceLock::new());
            let tee = Arc::new(Tee {
                steps,
                branches,
                running,
            });
            let id = lower(graph, Arc::clone(&tee))?;
            let (tee, layer) = (Arc::downgrade(&tee), Arc::downgrade(graph.layer(id)));
            self.list(|tees| tees.push(Entry { tee, layer }));
            Ok(id)
        })?;
        let layer = Arc::downgrade(graph.layer(id));
        let tee = self.list(|tees| {
            tees.retain(|entry| entry.tee.strong_count() > 0);
            let found = tees.iter().find(|entry| Weak::ptr_eq(&entry.layer, &layer));
            found.and_then(|entry| entry.tee.upgrade())
        });
        let tee = tee.ok_or_else(|| Error::invalid("the shared bag's layer is gone"))?;
        let steps = branch.steps();
        let branch: Arc<dyn Branch<R>> = Arc::new(branch);
        let index = tee.branches(|branches| {
            branches.push(Arc::clone(&branch));
            branches.len() - 1
        });
        // the branch's own steps; the source's are in the name of the layer that it picks from
        let name = name_of(steps.get(tee.steps.len()..).unwrap_or_default());
        let count = graph.layer(id).task_count();
        let pick = Pick {
            name,
            index,
            count,
            branch,
        };
        Ok(graph.push_at(
            Arc::new(pick),
            &[id],
            steps.last().map(|step| step.location),
        ))
    }

    fn list<T>(&self, body: impl FnOnce(&mut Vec<Entry<R>>) -> T) -> T {
        body(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All branches of a source, as one branch.
pub struct Tee<R: Root> {
    steps: Vec<Step>,
    branches: Mutex<Vec<Arc<dyn Branch<R>>>>,
    /// The branches when the first task ran; none is added after that.
    running: OnceLock<Vec<Arc<dyn Branch<R>>>>,
}

impl<R: Root> Tee<R> {
    pub(crate) fn running(&self) -> &[Arc<dyn Branch<R>>] {
        self.running
            .get_or_init(|| self.branches(|branches| branches.clone()))
    }

    fn branches<T>(&self, body: impl FnOnce(&mut Vec<Arc<dyn Branch<R>>>) -> T) -> T {
        body(&mut self.branches.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The steps of the source, then those of every branch.
    pub(crate) fn all_steps(&self) -> Vec<Step> {
        let mut steps = self.steps.clone();
        for branch in self.branches(|branches| branches.clone()) {
            steps.extend_from_slice(branch.steps().get(self.steps.len()..).unwrap_or_default());
        }
        steps
    }

    /// Whether some branch sees the order of the items.
    pub(crate) fn needs_order(&self) -> bool {
        self.branches(|branches| branches.iter().any(|branch| branch.needs_order()))
    }

    pub(crate) fn size(&self) -> Footprint {
        let outputs = self.branches(|branches| {
            branches
                .iter()
                .map(|branch| branch.output())
                .reduce(|a, b| Footprint {
                    output_bytes: a.output_bytes.saturating_add(b.output_bytes),
                    scratch_bytes: a.scratch_bytes.saturating_add(b.scratch_bytes),
                    certainty: a.certainty.max(b.certainty),
                    spillable: a.spillable && b.spillable,
                    reuse: None,
                })
        });
        outputs.unwrap_or(Footprint::exact(0))
    }

    /// Starts every branch. The consumer must be dropped before the end is called.
    pub(crate) fn start_all<'s>(&'s self, run: &'s Run<'s>) -> Result<(Split<'s, R>, End<'s>)> {
        let (mut consumers, mut ends) = (Vec::new(), Vec::new());
        for branch in self.running() {
            let Started { consumer, finish } = branch.start(run)?;
            consumers.push(Some(consumer));
            ends.push(finish);
        }
        let end = move || {
            let blocks = ends
                .into_iter()
                .map(|finish| finish())
                .collect::<Result<_>>()?;
            Ok(Block::new(TeeBlock(blocks)))
        };
        Ok((Split { consumers }, Box::new(end)))
    }
}

/// Runs all branches of a tee over what `drive` pushes.
pub(crate) fn split_all<'s, R: Root>(
    tee: &'s Tee<R>,
    run: &'s Run<'s>,
    drive: impl FnOnce(Split<'s, R>) -> Result<()>,
) -> Result<Block> {
    let (split, end) = tee.start_all(run)?;
    drive(split)?;
    run.end_reading();
    end()
}

/// Makes a branch's block.
pub(crate) type End<'s> = Box<dyn FnOnce() -> Result<Block> + 's>;

impl<R: Root> Branch<R> for Arc<Tee<R>>
where
    for<'a> R::Item<'a>: Copy,
{
    fn steps(&self) -> Vec<Step> {
        self.all_steps()
    }

    fn output(&self) -> Footprint {
        self.size()
    }

    fn needs_order(&self) -> bool {
        Tee::needs_order(self)
    }

    fn run_alone(
        &self,
        root: &R,
        plan: &R::Plan,
        run: &Run<'_>,
        inputs: Inputs<'_>,
    ) -> Result<Block> {
        if let [branch] = self.running() {
            // nothing to split: the branch's own loop
            let block = branch.run_alone(root, plan, run, inputs)?;
            return Ok(Block::new(TeeBlock(vec![block])));
        }
        split_all(self, run, |split| root.drive(plan, run, inputs, split))
    }

    fn start<'s>(&'s self, run: &'s Run<'s>) -> Result<Started<'s, R>> {
        let (split, finish) = self.start_all(run)?;
        Ok(Started {
            consumer: Box::new(split),
            finish,
        })
    }
}

/// Pushes each item to every branch that still wants items.
pub(crate) struct Split<'s, R: Root> {
    consumers: Vec<Option<Box<dyn Consumer<Source<R>> + 's>>>,
}

impl<R: Root> Consumer<Source<R>> for Split<'_, R>
where
    for<'a> R::Item<'a>: Copy,
{
    fn push(&mut self, item: R::Item<'_>) -> Flow {
        let mut wanted = false;
        for slot in &mut self.consumers {
            let Some(consumer) = slot else { continue };
            match consumer.push(item) {
                Ok(()) => wanted = true,
                Err(Stop::Enough) => *slot = None,
                Err(failed) => return Err(failed),
            }
        }
        if wanted { Ok(()) } else { Err(Stop::Enough) }
    }

    fn finish(&mut self) -> Flow {
        for consumer in self.consumers.iter_mut().flatten() {
            match consumer.finish() {
                Ok(()) | Err(Stop::Enough) => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(())
    }
}

/// Takes one branch's block out of a tee's.
struct Pick<R: Root> {
    name: String,
    index: usize,
    count: u32,
    branch: Arc<dyn Branch<R>>,
}

impl<R: Root> Layer for Pick<R> {
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        self.count
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        deps.push(0, task);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint {
            scratch_bytes: 0,
            ..self.branch.output()
        }
    }

    fn one_to_one(&self) -> Option<usize> {
        Some(0)
    }

    fn run(&self, _: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let branches = inputs.get::<TeeBlock>(0)?;
        let missing = || Error::invalid("a branch was added to a shared bag after it ran");
        branches.0.get(self.index).cloned().ok_or_else(missing)
    }
}
