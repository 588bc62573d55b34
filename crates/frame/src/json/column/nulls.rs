//! Which rows have no value: nothing is kept before the first that has none.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::NullBuffer;

#[derive(Default)]
pub(super) struct Nulls(Option<BooleanBufferBuilder>);

impl Nulls {
    #[inline(always)]
    pub(super) fn push_valid(&mut self) {
        if let Some(bits) = &mut self.0 {
            bits.append(true);
        }
    }

    pub(super) fn push_nulls(&mut self, len: usize, count: usize) {
        let bits = self.0.get_or_insert_with(|| {
            let mut bits = BooleanBufferBuilder::new((len + count).max(1024));
            bits.append_n(len, true);
            bits
        });
        bits.append_n(count, false);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        if let Some(bits) = &mut self.0 {
            bits.truncate(len);
        }
    }

    pub(super) fn finish(&mut self) -> Option<NullBuffer> {
        self.0.take().map(|mut bits| NullBuffer::new(bits.finish()))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |bits| bits.capacity() / 8)
    }
}
