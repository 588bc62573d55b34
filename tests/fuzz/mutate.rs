//! Changing bytes at random: bits, pieces, lengths, and words that the format knows.

/// Random numbers that a seed repeats (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// No input becomes longer.
const BYTES_MAX: usize = 256 << 10;

/// A seed after a few changes. Words are those that mean something in the format.
pub(crate) fn mutated(seed: &[u8], words: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + random.below(6) {
        let at = random.below(bytes.len() + 1);
        let rest = bytes.len() - at;
        match random.below(9) {
            0 if rest > 0 => bytes[at] ^= 1 << random.below(8),
            1 if rest > 0 => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 if rest > 0 => {
                bytes.drain(at..at + 1 + random.below(rest.min(64)));
            }
            4 if rest > 0 => {
                // a piece of itself, again
                let piece = bytes[at..at + 1 + random.below(rest.min(256))].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            5 if !words.is_empty() => {
                let word = words[random.below(words.len())];
                let times = if random.below(12) == 0 {
                    1 + random.below(3000)
                } else {
                    1
                };
                let repeated = word.repeat(times.min(BYTES_MAX / word.len().max(1)));
                bytes.splice(at..at, repeated);
            }
            6 if !words.is_empty() && rest > 0 => {
                let word = words[random.below(words.len())];
                let end = (at + word.len()).min(bytes.len());
                bytes.splice(at..end, word.iter().copied());
            }
            7 if rest >= 8 => {
                // a length or an offset that is no longer one
                let extreme = [0u64, 1, 0x7fff_ffff, u64::MAX, 1 << 40, u64::MAX / 2];
                let value = extreme[random.below(extreme.len())].to_le_bytes();
                let width = [1, 2, 4, 8][random.below(4)];
                bytes[at..at + width].copy_from_slice(&value[..width]);
            }
            _ => bytes.insert(at, random.next() as u8),
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}
