//! Bytes with checksums among them, so that any part can be read and every byte that is read is checked.
//!
//! ```text
//! bytes   |----- 4088 -----|----- 4088 -----|-- 17 --|
//! file    |----- 4088 ---|8|----- 4088 ---|8|-- 17 --|8|
//! ```
//!
//! A checksum is that of the bytes before it and of the place in the file where they start: a bit that
//! flipped, or bytes of somewhere else, are an error, never an answer.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

const CHECKSUM: usize = size_of::<u64>();
/// Bytes that have a checksum of their own.
pub(super) const PAYLOAD: usize = PAGE - CHECKSUM;
/// Those with their checksum.
pub(super) const PAGE: usize = 4 << 10;

/// What so many bytes take in the file.
pub(super) fn sealed_len(len: u64) -> u64 {
    len + len.div_ceil(PAYLOAD as u64) * CHECKSUM as u64
}

/// Appends bytes with their checksums. They start at `offset` of the file.
pub(super) fn seal(bytes: &[u8], offset: u64, sealed: &mut Vec<u8>) {
    let mut at = offset;
    for payload in bytes.chunks(PAYLOAD) {
        sealed.extend_from_slice(payload);
        sealed.extend_from_slice(&xxh3_64_with_seed(payload, at).to_le_bytes());
        at += PAGE as u64;
    }
}

/// The pages that bytes of a sealed range lie in.
pub(super) struct Sealed {
    /// Where they are in the file.
    pub(super) offset: u64,
    /// How long they are there.
    pub(super) len: usize,
    /// The place of the bytes in their payload.
    wanted: Range<usize>,
}

impl Sealed {
    /// The pages of the bytes `wanted` of a range of `len` bytes that starts at `start` of the file.
    pub(super) fn of(start: u64, len: u64, wanted: Range<u64>) -> Sealed {
        let payload = PAYLOAD as u64;
        let (first, end) = (wanted.start / payload, wanted.end.div_ceil(payload));
        let before = first * payload;
        let sealed = sealed_len(len.min(end * payload) - before);
        Sealed {
            offset: start + first * PAGE as u64,
            len: sealed as usize,
            wanted: (wanted.start - before) as usize..(wanted.end - before) as usize,
        }
    }

    /// Checks all of them, and copies what is wanted.
    ///
    /// # Errors
    /// The place in the file of a page that is not what was written.
    pub(super) fn open(&self, sealed: &[u8], mut out: &mut [u8]) -> Result<(), u64> {
        let mut at = self.offset;
        let mut skip = self.wanted.start;
        for page in sealed.chunks(PAGE) {
            let wrong = at;
            let (payload, sum) = page.split_at(page.len() - CHECKSUM.min(page.len()));
            if xxh3_64_with_seed(payload, at).to_le_bytes() != sum {
                return Err(wrong);
            }
            let own = &payload[skip..];
            let count = own.len().min(out.len());
            let (head, tail) = out.split_at_mut(count);
            head.copy_from_slice(&own[..count]);
            (out, skip) = (tail, 0);
            at += PAGE as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_opens_and_no_flipped_bit_is_handed_out() {
        for len in [1usize, 17, 4087, 4088, 4089, 8176, 20_000] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
            let (start, mut file) = (12_345, vec![0; 12_345]);
            seal(&bytes, start, &mut file);
            assert_eq!(file.len() as u64 - start, sealed_len(len as u64));
            for from in [0, 1, 4087, 4088, 5000, len - 1] {
                for end in [from + 1, 4088, 4089, 9000, len] {
                    if from >= end || end > len {
                        continue;
                    }
                    let pages = Sealed::of(start, len as u64, from as u64..end as u64);
                    let place = pages.offset as usize..pages.offset as usize + pages.len;
                    let mut out = vec![0; end - from];
                    pages.open(&file[place.clone()], &mut out).unwrap();
                    assert_eq!(out, &bytes[from..end]);
                    for flipped in place.clone().step_by(511) {
                        file[flipped] ^= 1;
                        assert!(pages.open(&file[place.clone()], &mut out).is_err());
                        file[flipped] ^= 1;
                    }
                    // the bytes of another place
                    let other = Sealed {
                        offset: pages.offset + 8,
                        ..pages
                    };
                    assert!(other.open(&file[place], &mut out).is_err());
                }
            }
        }
    }
}
