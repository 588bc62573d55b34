//! Executing a graph: the seam, and the reference that every other executor must equal bit for bit.

use flagstone_common::{Error, Result, SerialHost, TaskContext, catch};

use crate::block::{Block, Inputs};
use crate::graph::Graph;
use crate::id::LayerId;
use crate::program::{FreezeOptions, Program};

/// What a plan may count on while it is lowered.
///
/// Plans may use it to choose tiles and partitions, never to change how a result is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Bytes that blocks and tasks may hold at once; `u64::MAX` when there is no limit.
    pub budget_bytes: u64,
    /// Threads that run tasks.
    pub threads: usize,
}

impl Resources {
    /// No limit, one thread.
    pub const UNLIMITED: Resources = Resources {
        budget_bytes: u64::MAX,
        threads: 1,
    };
}

/// Runs graphs. Collections compute through this trait and know no executor.
pub trait Execute {
    /// What plans may count on.
    fn resources(&self) -> Resources;

    /// Computes all tasks of the layers `outputs` and returns their blocks, per layer, in task
    /// order. Work that several outputs share is done once.
    ///
    /// # Errors
    /// The first error by rank, with the key of its task.
    fn execute(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Vec<Block>>>;

    /// This executor with other budgets; `None` where nothing is refused for want of memory.
    fn budgets(&self) -> Option<&dyn Budgets> {
        None
    }
}

/// What an executor would do with another budget. See [`advised`](crate::advised).
pub trait Budgets {
    /// The budget that it has.
    fn budget_bytes(&self) -> u64;

    /// What plans could count on at another one.
    fn resources_at(&self, budget_bytes: u64) -> Resources;

    /// The smallest budget in which a graph runs that was planned for this one.
    ///
    /// # Errors
    /// Plans that cannot be made at this budget.
    fn needed_at(&self, graph: &Graph, outputs: &[LayerId], budget_bytes: u64) -> Result<u64>;
}

/// Runs one task after the other in the static order, on the calling thread, without a budget.
///
/// The reference: a computation's result on any executor equals this one's, bit for bit.
#[derive(Debug, Default, Clone, Copy)]
pub struct SerialExecutor;

impl Execute for SerialExecutor {
    fn resources(&self) -> Resources {
        Resources::UNLIMITED
    }

    fn execute(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Vec<Block>>> {
        let program = graph.freeze(outputs, &FreezeOptions::default())?;
        run_serially(&program, &SerialHost::new())
    }
}

/// Runs a frozen program on the calling thread, with a host of the caller's.
///
/// # Errors
/// The first error, with its task's key.
pub fn run_serially(program: &Program, host: &SerialHost) -> Result<Vec<Vec<Block>>> {
    let mut uses: Vec<u32> = program
        .tasks()
        .map(|task| program.use_count(task))
        .collect();
    let mut blocks: Vec<Option<Block>> = vec![None; program.task_count()];
    let mut inputs = Vec::new();
    for task in program.tasks() {
        inputs.clear();
        for &dep in program.dependencies(task) {
            uses[dep.index()] -= 1;
            // the last use takes the block itself: donation
            let block = match uses[dep.index()] {
                0 => blocks[dep.index()].take(),
                _ => blocks[dep.index()].clone(),
            };
            inputs.push(block);
        }
        let key = || program.key(task).to_string();
        let context = TaskContext::new(host, &key);
        let block = catch(|| program.run(task, Inputs::new(&mut inputs), &context))
            .map_err(|error| program.locate(error, task))?;
        if uses[task.index()] > 0 {
            blocks[task.index()] = Some(block);
        }
    }
    let mut take = |task: crate::TaskId| {
        uses[task.index()] -= 1;
        let block = &mut blocks[task.index()];
        let block = if uses[task.index()] == 0 {
            block.take()
        } else {
            block.clone()
        };
        block.ok_or_else(|| Error::invalid("an output was not computed"))
    };
    program
        .outputs()
        .iter()
        .map(|layer| layer.iter().map(|&task| take(task)).collect())
        .collect()
}
