//! How much states hold on the heap, where their type can.
//!
//! A closure's state is seen only after it has grown. It is measured at its first, second, fourth,
//! eighth ... row and taken for twice as large, so that measuring stays a small part of the work
//! and a state that grows evenly stays within what is leased.

use flagstone_common::TaskContext;

use super::table::Table;

/// Bytes and folds per state of a table.
pub(super) struct Weights {
    measured: bool,
    states: Vec<(u64, u32)>,
}

impl Weights {
    pub(super) fn of<V>() -> Self {
        Weights {
            measured: std::mem::needs_drop::<V>(),
            states: Vec::new(),
        }
    }

    /// What it keeps per state.
    pub(super) fn width(&self) -> u64 {
        if self.measured { 24 } else { 0 }
    }

    /// The heap of a new state.
    pub(super) fn enter(&mut self, measure: impl FnOnce() -> u64) -> u64 {
        if !self.measured {
            return 0;
        }
        let bytes = 2 * measure();
        self.states.push((bytes, 1));
        bytes
    }

    /// The heaviest state, when it has more than half of so many bytes.
    pub(super) fn heavy(&self, bytes: u64) -> Option<usize> {
        let heaviest = self
            .states
            .iter()
            .enumerate()
            .max_by_key(|(_, (bytes, _))| *bytes);
        let (at, (own, _)) = heaviest?;
        (*own > bytes / 2).then_some(at)
    }

    /// Something was folded into the state at this place; says whether there is room for it.
    pub(super) fn folded<K: Eq, V>(
        &mut self,
        at: usize,
        growth: Option<u64>,
        table: &mut Table<K, V>,
        measure: impl FnOnce(&V) -> u64,
        ctx: &TaskContext<'_>,
    ) -> bool {
        let Some((bytes, folds)) = self.states.get_mut(at) else {
            return true;
        };
        let before = *bytes;
        *folds = folds.saturating_add(1);
        match growth {
            Some(growth) => *bytes += growth,
            None if folds.is_power_of_two() => *bytes = 2 * measure(table.value(at)),
            None => {}
        }
        *bytes == before || table.grown(*bytes as i64 - before as i64, ctx)
    }
}
