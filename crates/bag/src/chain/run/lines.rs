//! What becomes of the lines of a partition, for the data-quality ledger.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use flagstone_common::{Quality, TaskContext};

use crate::record::Keys;

/// The lines of a partition, each of which became a record, or was blank, skipped or quarantined.
#[derive(Default)]
pub(crate) struct LineLedger {
    /// What the source is called, and the number of its part; none for items that are not lines.
    source: RefCell<Option<(Arc<str>, u64)>>,
    blank: Cell<u64>,
    too_long: Cell<u64>,
    /// The item that was refused last: one line counts once, however many closures refuse it.
    refused: Cell<u64>,
    skipped: Cell<u64>,
    quarantined: Cell<u64>,
    keys: RefCell<Keys>,
}

impl LineLedger {
    /// Items are lines of this part of a source, of which a reader left out so many for being too
    /// long.
    pub(super) fn open(&self, source: &Arc<str>, part: u64, too_long: u64) {
        self.too_long.set(too_long);
        *self.source.borrow_mut() = Some((Arc::clone(source), part));
    }

    /// For sources: a line was blank, and is no item.
    pub(crate) fn blank(&self) {
        add(&self.blank, 1);
    }

    /// An item was left out, the so many-th of the partition.
    pub(super) fn leave_out(&self, item: u64, is_quarantined: bool) {
        if self.refused.replace(item) != item {
            let count = match is_quarantined {
                true => &self.quarantined,
                false => &self.skipped,
            };
            add(count, 1);
        }
    }

    /// For sources: looks at the keys of a record.
    #[cold]
    pub(crate) fn look(&self, look: impl FnOnce(&mut Keys)) {
        look(&mut self.keys.borrow_mut());
    }

    /// Reports what became of every line of a partition that gave so many items.
    pub(super) fn report(&self, items: u64, ctx: &TaskContext<'_>) {
        let Some((source, part)) = self.source.take() else {
            return;
        };
        let (blank, too_long) = (self.blank.get(), self.too_long.get());
        let (skipped, quarantined) = (self.skipped.get(), self.quarantined.get());
        let quality = Quality {
            lines: items + blank + too_long,
            blank,
            records: items - skipped - quarantined,
            skipped: skipped + too_long,
            quarantined,
            ..self.keys.take().into_quality()
        };
        ctx.report(&source, &quality.of_part(part));
    }
}

fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get() + more);
}
