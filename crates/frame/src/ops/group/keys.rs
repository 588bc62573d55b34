//! The keys of rows: as words where that finds their groups, as bytes where it does not.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::row::Rows;
use flagstone_common::{Lease, Result, TaskContext};

use super::plan::Codecs;
use crate::kernels::key::hash;
use crate::kernels::quick::{Quick, Words};

/// The keys of some rows, as bytes from when these are asked for: all are the same where there are no
/// keys.
pub(super) struct Keys {
    columns: Vec<ArrayRef>,
    encoded: Option<Rows>,
}

impl Keys {
    pub(super) fn new(columns: Vec<ArrayRef>) -> Self {
        let encoded = None;
        Keys { columns, encoded }
    }

    /// Makes the bytes.
    pub(super) fn encode(&mut self, codecs: &Codecs) -> Result<()> {
        if let (Some(codec), None) = (&codecs.keys, &self.encoded) {
            self.encoded = Some(codec.encode(&self.columns)?);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn get(&self, row: usize) -> (u64, &[u8]) {
        match &self.encoded {
            Some(encoded) => {
                let key = encoded.row(row).data();
                (hash(key), key)
            }
            None => (0, &[]),
        }
    }
}

/// Groups by their keys as words, in memory of its own: it only saves work, so it ends where there is no
/// more.
pub(super) struct Shortcut {
    quick: Quick,
    words: Words,
    lease: Lease,
}

impl Shortcut {
    pub(super) fn new(types: &[DataType], ctx: &TaskContext<'_>) -> Result<Option<Self>> {
        let Some(quick) = Quick::new(types) else {
            return Ok(None);
        };
        Ok(Some(Shortcut {
            quick,
            words: Words::default(),
            lease: ctx.reserve(0)?,
        }))
    }

    /// The groups of all rows, [`u32::MAX`] where one is not known here.
    pub(super) fn find(&mut self, keys: &Keys, rows: usize, groups: &mut Vec<u32>) -> Result<()> {
        self.quick.read(&keys.columns, rows, &mut self.words)?;
        self.quick.find_all(&self.words, groups);
        Ok(())
    }

    /// Remembers the group of a row, where there is room.
    pub(super) fn add(&mut self, row: usize, group: u32, ctx: &TaskContext<'_>) {
        match self.quick.growth() {
            None => return,
            Some(0) => {}
            Some(wanted) => {
                // dropped at once: the table comes first
                let is_ample = ctx.reserve(4 * wanted).is_ok();
                if !is_ample || self.lease.ensure(wanted).is_err() {
                    return;
                }
                self.quick.grow();
                self.lease.shrink_to(self.quick.bytes());
            }
        }
        self.quick.add(&self.words, row, group);
    }
}
