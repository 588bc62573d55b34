//! Items in memory, leased before they are kept.

use flagstone_common::Lease;

use crate::chain::Run;

/// Items in memory, leased.
pub struct Held<T> {
    pub(crate) items: Vec<T>,
    /// What the items hold beside their place in the vector.
    pub(crate) heap_bytes: u64,
    lease: Option<Lease>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Held {
            items: Vec::new(),
            heap_bytes: 0,
            lease: None,
        }
    }
}

impl<T> Held<T> {
    /// Adds an item with so many bytes of its own, leasing before the vector grows.
    pub(crate) fn push(
        &mut self,
        item: T,
        heap: u64,
        run: &Run<'_>,
    ) -> Result<(), flagstone_common::Error> {
        self.lease_for(heap, run)?;
        self.push_into_room(item, heap);
        Ok(())
    }

    /// Leases room for one more item with so many bytes of its own.
    fn lease_for(&mut self, heap: u64, run: &Run<'_>) -> Result<(), flagstone_common::Error> {
        let lease = match &mut self.lease {
            Some(lease) => lease,
            lease => lease.insert(run.ctx().reserve(0)?),
        };
        let width = size_of::<T>() as u64;
        let heap_bytes = self.heap_bytes + heap;
        if self.items.len() == self.items.capacity() {
            let more = growth(self.items.len());
            // while it grows, the old buffer lives beside the new one
            let both = (self.items.capacity() * 2 + more) as u64 * width;
            lease.ensure(both + heap_bytes)?;
            self.items.reserve_exact(more);
        }
        lease.ensure(self.items.capacity() as u64 * width + heap_bytes)?;
        Ok(())
    }

    /// Leases room for one more item, unless all then were more than `bytes_max` or there is none.
    pub(crate) fn make_room(&mut self, heap: u64, bytes_max: u64, run: &Run<'_>) -> bool {
        let capacity = match self.items.len() == self.items.capacity() {
            true => self.items.capacity() + growth(self.items.len()),
            false => self.items.capacity(),
        };
        let all = (capacity * size_of::<T>()) as u64 + self.heap_bytes + heap;
        all <= bytes_max && self.lease_for(heap, run).is_ok()
    }

    /// Adds an item for which there is room.
    pub(crate) fn push_into_room(&mut self, item: T, heap: u64) {
        self.heap_bytes += heap;
        self.items.push(item);
    }

    /// The items, and the lease of their room.
    pub(crate) fn into_parts(self) -> (Vec<T>, Option<Lease>) {
        (self.items, self.lease)
    }

    /// The items; their room stays leased until the last was taken.
    pub(crate) fn into_items(self) -> impl Iterator<Item = T> {
        let lease = self.lease;
        self.items.into_iter().inspect(move |_| {
            let _ = &lease;
        })
    }
}

/// How many places are added to a full vector of so many.
fn growth(len: usize) -> usize {
    (len / 2).max(16)
}
