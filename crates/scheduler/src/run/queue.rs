//! Which task is next: per-worker heaps of ready ranks, and a cursor over the roots.
//!
//! Roots (tasks that read nothing) are never all pushed: they are taken one by one in order of
//! rank, when no ready task ranks lower. So sources cannot be read faster than they are consumed.
//! A worker steals from its neighbours' heaps when a lower rank waits there, so that the static
//! order is obeyed across workers too: the head of the order is never hidden in the heap of a
//! worker that is busy or asleep.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use flagstone_graph::{Program, TaskId};

/// Ready tasks of one run.
pub(crate) struct Queue {
    heaps: Vec<BinaryHeap<Reverse<u32>>>,
    /// The next root, or the task count when there is none left.
    root: u32,
    roots_left: u32,
    heaped: usize,
}

/// Where a peeked rank came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Heap(usize),
    Root,
}

impl Queue {
    pub(crate) fn new(program: &Program, workers: usize) -> Self {
        let roots = program
            .tasks()
            .filter(|&t| program.dependencies(t).is_empty())
            .count();
        let mut queue = Queue {
            heaps: vec![BinaryHeap::new(); workers],
            root: 0,
            roots_left: roots as u32,
            heaped: 0,
        };
        queue.find_root(program);
        queue
    }

    fn find_root(&mut self, program: &Program) {
        let count = program.task_count() as u32;
        while self.root < count && !program.dependencies(TaskId(self.root)).is_empty() {
            self.root += 1;
        }
    }

    /// How many tasks could start now.
    pub(crate) fn len(&self) -> usize {
        self.heaped + self.roots_left as usize
    }

    #[inline]
    pub(crate) fn push(&mut self, worker: usize, rank: u32) {
        self.heaps[worker].push(Reverse(rank));
        self.heaped += 1;
    }

    /// The lowest rank that could start: of all workers' heaps and the roots.
    #[inline]
    pub(crate) fn peek(&self) -> Option<(u32, From)> {
        let mut lowest = (self.roots_left > 0).then_some((self.root, From::Root));
        if self.heaped == 0 {
            return lowest;
        }
        for (heap, ranks) in self.heaps.iter().enumerate() {
            if let Some(&Reverse(rank)) = ranks.peek()
                && lowest.is_none_or(|(lowest, _)| rank < lowest)
            {
                lowest = Some((rank, From::Heap(heap)));
            }
        }
        lowest
    }

    /// Removes what `peek` returned.
    pub(crate) fn pop(&mut self, from: From, program: &Program) {
        match from {
            From::Heap(heap) => {
                self.heaps[heap].pop();
                self.heaped -= 1;
            }
            From::Root => {
                self.root += 1;
                self.roots_left -= 1;
                self.find_root(program);
            }
        }
    }
}
