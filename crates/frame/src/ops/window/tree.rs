//! Partial results of blocks of rows, so that a frame is put together from few of them.

use std::collections::VecDeque;

use flagstone_common::{Lease, Result};

use super::fold::{Fold, Partial};

/// So many rows are a block, and so many blocks a larger one.
const FAN: u64 = 32;

/// The blocks of a window partition that are whole, of those that frames may still have.
pub(super) struct Tree {
    fold: Fold,
    levels: Vec<Level>,
    lease: Lease,
    bytes: u64,
}

/// Blocks of a size.
#[derive(Default)]
struct Level {
    /// How many blocks there were before those that are kept.
    dropped: u64,
    blocks: VecDeque<Partial>,
    open: Partial,
    open_len: u64,
}

impl Tree {
    pub(super) fn new(fold: Fold, lease: Lease) -> Self {
        Tree {
            fold,
            levels: Vec::new(),
            lease,
            bytes: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.levels.clear();
        self.bytes = 0;
        self.lease.shrink_to(0);
    }

    /// The next row's value.
    pub(super) fn push(&mut self, value: Partial) -> Result<()> {
        let (mut value, mut at) = (value, 0);
        loop {
            if self.levels.len() == at {
                self.levels.push(Level::default());
            }
            let level = &mut self.levels[at];
            level.open.add(&value, self.fold)?;
            level.open_len += 1;
            if level.open_len < FAN {
                return Ok(());
            }
            level.open_len = 0;
            value = std::mem::take(&mut level.open);
            self.bytes += value.bytes();
            // lists grow by doubling
            self.lease.ensure(2 * self.bytes)?;
            level.blocks.push_back(value.clone());
            at += 1;
        }
    }

    /// Forgets blocks that begin before this row.
    pub(super) fn forget(&mut self, row: u64) {
        let mut size = FAN;
        for level in &mut self.levels {
            while level.dropped * size < row
                && let Some(block) = level.blocks.pop_front()
            {
                level.dropped += 1;
                self.bytes -= block.bytes();
            }
            size *= FAN;
        }
    }

    /// What the rows from one to another (not included) are together; `row` gives the value of one.
    pub(super) fn fold(
        &self,
        from: u64,
        to: u64,
        mut row: impl FnMut(u64) -> Result<Partial>,
    ) -> Result<Partial> {
        let (mut all, mut at) = (Partial::default(), from);
        while at < to {
            match self.block(at, to) {
                Some((block, len)) => {
                    all.add(block, self.fold)?;
                    at += len;
                }
                None => {
                    all.add(&row(at)?, self.fold)?;
                    at += 1;
                }
            }
        }
        Ok(all)
    }

    /// The largest block that begins at a row and ends before another, and its length.
    fn block(&self, from: u64, to: u64) -> Option<(&Partial, u64)> {
        let (mut largest, mut size) = (None, FAN);
        for level in &self.levels {
            if !from.is_multiple_of(size) || from + size > to {
                break;
            }
            let place = (from / size).checked_sub(level.dropped)?;
            match level.blocks.get(place as usize) {
                Some(block) => largest = Some((block, size)),
                None => break,
            }
            size *= FAN;
        }
        largest
    }
}

#[cfg(test)]
mod tests {
    use flagstone_common::{Memory, Unlimited};

    use super::super::fold::Value;
    use super::*;

    #[test]
    fn frames_are_put_together_from_blocks() {
        let value = |row: u64| Partial::of(Value::Int(i128::from(row * row + 1)));
        let memory = Unlimited::new();
        let mut tree = Tree::new(Fold::Sum, memory.reserve(0).unwrap());
        (0..5000).for_each(|row| tree.push(value(row)).unwrap());
        let mut forgotten = 0;
        for (from, to) in [
            (0, 5000),
            (1, 31),
            (31, 32),
            (32, 64),
            (33, 2100),
            (1024, 4000),
            (4999, 5000),
            (5000, 5000),
        ] {
            if from > forgotten {
                forgotten = from;
                tree.forget(from);
            }
            let mut rows = 0;
            let found = tree.fold(from, to, |row| {
                rows += 1;
                Ok(value(row))
            });
            let found = found.unwrap();
            let expected: u64 = (from..to).map(|row| row * row + 1).sum();
            let sum = match found.value {
                Some(Value::Int(sum)) => sum,
                _ => 0,
            };
            assert_eq!((sum, found.count), (i128::from(expected), to - from));
            assert!(rows < 64, "{rows} rows are read one by one");
        }
    }
}
