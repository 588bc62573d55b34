//! The blocks in memory, as the static order would hold them: what is predicted to be spilled.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use flagstone_graph::{Program, TaskId};

/// The data part of the budget, with furthest-next-use eviction.
pub(super) struct Heap<'a> {
    program: &'a Program,
    budget: u64,
    resident: u64,
    bytes: Vec<u64>,
    /// In memory, and whether a copy is on disk.
    in_memory: Vec<bool>,
    on_disk: Vec<bool>,
    /// Resident blocks by next use, furthest first; the position among dependents is advanced as
    /// uses pass.
    by_next_use: BTreeSet<(Reverse<u32>, u32)>,
    next_use: Vec<u32>,
    pub(super) spilled: u64,
    pub(super) reloaded: u64,
}

impl<'a> Heap<'a> {
    pub(super) fn new(program: &'a Program, budget: u64) -> Self {
        let count = program.task_count();
        Heap {
            program,
            budget,
            resident: 0,
            bytes: vec![0; count],
            in_memory: vec![false; count],
            on_disk: vec![false; count],
            by_next_use: BTreeSet::new(),
            next_use: vec![u32::MAX; count],
            spilled: 0,
            reloaded: 0,
        }
    }

    pub(super) fn run(&mut self, task: TaskId, own: u64, output: u64) {
        let deps = self.program.dependencies(task);
        // inputs cannot be victims while they are used
        for dep in deps {
            self.by_next_use
                .remove(&(Reverse(self.next_use[dep.index()]), dep.0));
        }
        for dep in deps {
            if !self.in_memory[dep.index()] {
                let bytes = self.bytes[dep.index()];
                self.make_room(bytes);
                self.in_memory[dep.index()] = true;
                self.resident += bytes;
                self.reloaded += bytes;
            }
        }
        self.make_room(own);
        self.bytes[task.index()] = output;
        self.in_memory[task.index()] = true;
        self.resident += output;
        for &dep in deps.iter().chain([&task]) {
            let readers = self.program.dependents(dep);
            let next = readers.partition_point(|reader| reader.0 <= task.0);
            let next = readers.get(next).map_or(u32::MAX, |reader| reader.0);
            self.next_use[dep.index()] = next;
            self.by_next_use.insert((Reverse(next), dep.0));
        }
    }

    fn make_room(&mut self, bytes: u64) {
        while self.resident.saturating_add(bytes) > self.budget {
            let Some((_, victim)) = self.by_next_use.pop_first() else {
                return;
            };
            let i = victim as usize;
            self.in_memory[i] = false;
            self.resident -= self.bytes[i];
            if !self.on_disk[i] {
                self.on_disk[i] = true;
                self.spilled += self.bytes[i];
            }
        }
    }

    pub(super) fn release(&mut self, task: TaskId) {
        let i = task.index();
        self.by_next_use
            .remove(&(Reverse(self.next_use[i]), task.0));
        if self.in_memory[i] {
            self.in_memory[i] = false;
            self.resident -= self.bytes[i];
        }
    }
}
