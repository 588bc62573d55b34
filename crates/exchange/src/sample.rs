//! Ranks at even distances.

/// Ranks at places that are multiples of a power of two: the smallest of which few enough are.
pub struct Sample<R> {
    /// The ranks, in the order in which they were seen.
    pub ranks: Vec<R>,
    /// How many items each stands for.
    pub stride: u64,
    max: usize,
}

impl<R: Clone> Sample<R> {
    /// No more ranks than `max`.
    pub fn new(max: usize) -> Self {
        let (ranks, stride) = (Vec::new(), 1);
        Sample { ranks, stride, max }
    }

    /// The rank of the item at a place; places are seen in their order, from 0.
    pub fn see(&mut self, place: u64, rank: &R) {
        if !place.is_multiple_of(self.stride) {
            return;
        }
        self.ranks.push(rank.clone());
        if self.ranks.len() > self.max {
            let mut even = false;
            self.ranks.retain(|_| {
                even = !even;
                even
            });
            self.stride *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_lie_at_even_distances() {
        for count in [0u64, 1, 256, 257, 1000, 5000] {
            let mut sample = Sample::new(256);
            (0..count).for_each(|place| sample.see(place, &place));
            assert!(sample.ranks.len() <= 256);
            let expected: Vec<u64> = (0..count).step_by(sample.stride as usize).collect();
            assert_eq!(sample.ranks, expected);
        }
    }
}
