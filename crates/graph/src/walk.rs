//! Depth-first from the outputs, without recursion.

use flagstone_common::Result;

use crate::order::Tasks;
use crate::sequence::Sequence;

/// A depth-first walk that ranks tasks as it leaves them.
pub(crate) struct Walk<'a> {
    tasks: Tasks<'a>,
    /// The peak of each task's subtree: where there are any, the child that needs most beyond what
    /// it leaves is visited first.
    peaks: Option<&'a [u64]>,
    sequence: Sequence,
    stack: Vec<u32>,
    children: Vec<u32>,
}

/// Set on a stack entry when the task's dependencies were already pushed.
const LEAVING: u32 = 1 << 31;

impl<'a> Walk<'a> {
    /// `renumbers` as in [`Sequence::new`].
    pub(crate) fn new(tasks: Tasks<'a>, peaks: Option<&'a [u64]>, renumbers: bool) -> Self {
        Walk {
            tasks,
            peaks,
            sequence: Sequence::new(tasks, renumbers),
            stack: Vec::new(),
            children: Vec::new(),
        }
    }

    /// Ranks a task after all that it needs.
    ///
    /// # Errors
    /// That of whoever looks on.
    pub(crate) fn from(&mut self, root: u32) -> Result<()> {
        if self.sequence.is_ranked(root) {
            return Ok(());
        }
        if self.tasks.kept.deps(root).is_empty() {
            self.sequence.push(self.tasks, root);
            return self.tasks.planning.step();
        }
        self.stack.push(root);
        while let Some(&top) = self.stack.last() {
            self.tasks.planning.step()?;
            let task = top & !LEAVING;
            if top & LEAVING != 0 || self.sequence.is_ranked(task) {
                self.stack.pop();
                self.leave(task);
                continue;
            }
            let deps = self.tasks.kept.deps(task);
            let mut unranked = deps.iter().filter(|&&dep| !self.sequence.is_ranked(dep));
            match (unranked.next(), unranked.next()) {
                (None, _) => {
                    self.stack.pop();
                    self.leave(task);
                }
                (Some(&dep), None) => {
                    *self.stack.last_mut().expect("the task is on the stack") |= LEAVING;
                    self.stack.push(dep);
                }
                _ => {
                    *self.stack.last_mut().expect("the task is on the stack") |= LEAVING;
                    self.push_children(task);
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn leave(&mut self, task: u32) {
        if !self.sequence.is_ranked(task) {
            self.sequence.push(self.tasks, task);
        }
    }

    fn push_children(&mut self, task: u32) {
        self.children.clear();
        let sequence = &self.sequence;
        self.children.extend(
            self.tasks
                .kept
                .deps(task)
                .iter()
                .copied()
                .filter(|&dep| !sequence.is_ranked(dep)),
        );
        if let Some(peaks) = self.peaks {
            let footprints = self.tasks.footprints;
            self.children.sort_by_key(|&dep| {
                std::cmp::Reverse(peaks[dep as usize].saturating_sub(footprints.output(dep)))
            });
        }
        // the stack gives back the last first
        self.stack.extend(self.children.iter().rev());
    }

    /// Ranks the outputs that are left.
    ///
    /// # Errors
    /// That of whoever looks on.
    pub(crate) fn finish(mut self) -> Result<Sequence> {
        let tasks = self.tasks;
        for task in tasks.wanted() {
            self.from(task)?;
        }
        Ok(self.sequence)
    }
}
