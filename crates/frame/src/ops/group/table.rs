//! Groups and their states in memory: leased before they grow, and it says when there is no room
//! rather than fail.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{filter, prep_null_mask_filter};
use flagstone_common::{Error, Lease, Result, TaskContext};

use super::plan::{Aggregation, GroupPlan};
use crate::error::arrow_error;
use crate::kernels::group::GroupTable;
use crate::kernels::state::{Fields, Rows, States};

/// Groups in the order in which they came.
pub(super) struct Table {
    groups: GroupTable,
    states: Vec<Box<dyn States>>,
    /// For so many groups there is room.
    capacity: usize,
    /// What the states of a group take.
    width: usize,
    /// Whether some states grow beside that.
    grows: bool,
    lease: Lease,
    /// No more than this, however much is free.
    bytes_max: u64,
}

/// The rows of an aggregation, and its arguments there.
struct Own<'r> {
    groups: Cow<'r, [u32]>,
    runs: Cow<'r, [(usize, u64)]>,
    args: Vec<ArrayRef>,
}

impl Table {
    pub(super) fn new(plan: &GroupPlan, bytes_max: u64, ctx: &TaskContext<'_>) -> Result<Self> {
        let states = plan.aggregations.iter().map(|own| (own.states)());
        let states = states.collect::<Result<Vec<_>>>()?;
        Ok(Table {
            groups: GroupTable::default(),
            width: states.iter().map(|states| states.width()).sum(),
            grows: states.iter().any(|states| states.grows()),
            states,
            capacity: 0,
            lease: ctx.reserve(0)?,
            bytes_max,
        })
    }

    pub(super) fn groups(&self) -> &GroupTable {
        &self.groups
    }

    pub(super) fn states(&self) -> &[Box<dyn States>] {
        &self.states
    }

    /// Whether states grow beside what they have for each group.
    pub(super) fn grows(&self) -> bool {
        self.grows
    }

    /// Forgets all groups and keeps the room for them; for states that do not grow.
    pub(super) fn clear(&mut self) {
        debug_assert!(!self.grows);
        self.groups.clear();
        for states in &mut self.states {
            states.resize(0);
            states.resize(self.capacity);
        }
    }

    /// What it leased.
    pub(super) fn leased_bytes(&self) -> u64 {
        self.lease.bytes()
    }

    /// What is allocated.
    fn bytes(&self) -> u64 {
        let heap: usize = self.states.iter().map(|states| states.heap_bytes()).sum();
        self.fixed_bytes(self.capacity) + (self.groups.key_bytes() + heap) as u64
    }

    fn fixed_bytes(&self, groups: usize) -> u64 {
        (GroupTable::bytes_of(groups) + groups * self.width) as u64
    }

    /// Adds a key that is not there, if there is room.
    pub(super) fn enter(&mut self, hash: u64, key: &[u8], ctx: &TaskContext<'_>) -> Option<u32> {
        if self.groups.len() == self.capacity {
            let capacity = self.capacity + (self.capacity / 2).max(16);
            // while they grow, the old ones live beside the new ones
            let more = self.fixed_bytes(capacity);
            if capacity > u32::MAX as usize || !self.lease_more(self.bytes() + more, ctx) {
                return None;
            }
            self.groups.reserve(capacity);
            for states in &mut self.states {
                states.reserve(capacity);
                states.resize(capacity);
            }
            self.capacity = capacity;
            self.lease.shrink_to(self.bytes());
        }
        let growth = self.groups.key_growth(key.len());
        if growth > 0 {
            if !self.lease_more(self.bytes() + growth as u64, ctx) {
                return None;
            }
            self.groups.grow_keys(key.len());
        }
        Some(self.groups.insert(hash, key))
    }

    /// Folds rows, if there is room for what they add.
    pub(super) fn fold(
        &mut self,
        plan: &GroupPlan,
        rows: Rows<'_>,
        inputs: &[ArrayRef],
        ctx: &TaskContext<'_>,
    ) -> Result<bool> {
        let owns = plan.aggregations.iter().map(|own| own.rows(rows, inputs));
        let owns = owns.collect::<Result<Vec<_>>>()?;
        if self.grows {
            let states = self.states.iter_mut().zip(&owns);
            let added = states.map(|(states, own)| states.prepare(&own.args));
            let added = added.collect::<Result<Vec<_>>>()?;
            if !self.make_room(&added, ctx) {
                return Ok(false);
            }
        }
        for (states, own) in self.states.iter_mut().zip(&owns) {
            let rows = Rows {
                groups: &own.groups,
                runs: &own.runs,
            };
            states.update(rows, &own.args)?;
        }
        Ok(true)
    }

    /// Folds a written state, if there is room for what it adds.
    pub(super) fn merge(
        &mut self,
        group: u32,
        state: &[u8],
        ctx: &TaskContext<'_>,
    ) -> Result<bool> {
        if self.grows {
            let mut fields = Fields(state);
            let added = self
                .states
                .iter()
                .map(|states| states.added_by(&mut fields));
            let added = added.collect::<Result<Vec<_>>>()?;
            if !self.make_room(&added, ctx) {
                return Ok(false);
            }
        }
        let mut fields = Fields(state);
        for states in &mut self.states {
            states.merge(group as usize, &mut fields)?;
        }
        Ok(true)
    }

    /// Makes room for so many more values and bytes of each aggregation.
    fn make_room(&mut self, added: &[(usize, usize)], ctx: &TaskContext<'_>) -> bool {
        let each = self.states.iter().zip(added);
        let growth = each.map(|(states, &(values, bytes))| states.growth(values, bytes));
        let growth: usize = growth.sum();
        if growth == 0 {
            return true;
        }
        if !self.lease_more(self.bytes() + growth as u64, ctx) {
            return false;
        }
        for (states, &(values, bytes)) in self.states.iter_mut().zip(added) {
            states.grow(values, bytes);
        }
        true
    }

    /// Leases so many bytes, if a part is left for whoever takes the results.
    fn lease_more(&mut self, bytes: u64, ctx: &TaskContext<'_>) -> bool {
        if bytes <= self.lease.bytes() {
            return true;
        }
        if bytes > self.bytes_max {
            return false;
        }
        let more = bytes - self.lease.bytes();
        let generous = more.max(self.lease.bytes() / 4).max(16 << 10);
        [generous, more].into_iter().any(|more| {
            // dropped at once: only to see that it could be had
            let left = ctx.reserve(more.saturating_add(bytes / 2));
            left.is_ok() && {
                drop(left);
                self.lease.try_grow(more).is_ok()
            }
        })
    }
}

impl Aggregation {
    /// The rows that it folds.
    fn rows<'r>(&self, rows: Rows<'r>, inputs: &[ArrayRef]) -> Result<Own<'r>> {
        let args = self.args.iter().map(|&at| inputs[at].clone()).collect();
        let Some(condition) = self.filter else {
            return Ok(Own {
                groups: Cow::Borrowed(rows.groups),
                runs: Cow::Borrowed(rows.runs),
                args,
            });
        };
        let condition = inputs[condition].as_boolean_opt();
        let condition = condition.ok_or_else(|| Error::bug("a filter is no condition"))?;
        let condition = match condition.null_count() {
            0 => condition.clone(),
            _ => prep_null_mask_filter(condition),
        };
        let args = args.iter().map(|arg| filter(arg, &condition));
        let args = args
            .collect::<std::result::Result<_, _>>()
            .map_err(arrow_error)?;
        let kept = condition.values();
        let groups = kept.set_indices().map(|row| rows.groups[row]).collect();
        let (mut start, mut end, mut runs) = (0, 0, Vec::with_capacity(rows.runs.len()));
        for &(until, stamp) in rows.runs {
            end += kept.slice(start, until - start).count_set_bits();
            runs.push((end, stamp));
            start = until;
        }
        Ok(Own {
            groups: Cow::Owned(groups),
            runs: Cow::Owned(runs),
            args,
        })
    }
}
