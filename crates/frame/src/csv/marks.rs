//! Where the delimiters, line ends and quotes of a text are.

/// Finds the positions of any of three bytes from byte `from` on (a multiple of 64). Give a byte
/// twice to look for fewer. Stops when `at` has no room for those of the next 64 bytes, and returns
/// where to go on: nothing is allocated here, so that its caller can lease first.
pub(crate) fn find(text: &[u8], wanted: [u8; 3], from: usize, at: &mut Vec<u32>) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("popcnt")
        {
            // SAFETY: the features were just found on this processor.
            return unsafe { find_avx2(text, wanted, from, at) };
        }
    }
    find_with(text, from, at, |chunk| bits_portable(chunk, wanted))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn find_avx2(text: &[u8], wanted: [u8; 3], from: usize, at: &mut Vec<u32>) -> usize {
    find_with(text, from, at, |chunk| bits_avx2(chunk, wanted))
}

#[inline(always)]
fn find_with(
    text: &[u8],
    from: usize,
    at: &mut Vec<u32>,
    bits: impl Fn(&[u8; 64]) -> u64,
) -> usize {
    let (chunks, tail) = text[from..].as_chunks::<64>();
    let mut base = from as u32;
    for chunk in chunks {
        if at.capacity() - at.len() < 64 {
            return base as usize;
        }
        crate::json::push_bits(at, base, bits(chunk));
        base += 64;
    }
    if !tail.is_empty() {
        if at.capacity() - at.len() < 64 {
            return base as usize;
        }
        let mut chunk = [0; 64];
        chunk[..tail.len()].copy_from_slice(tail);
        // zeros are never wanted, and the bits past the tail are cut off all the same
        crate::json::push_bits(at, base, bits(&chunk) & (u64::MAX >> (64 - tail.len())));
    }
    text.len()
}

fn bits_portable(chunk: &[u8; 64], wanted: [u8; 3]) -> u64 {
    chunk.iter().enumerate().fold(0, |bits, (i, byte)| {
        bits | u64::from(wanted.contains(byte)) << i
    })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn bits_avx2(chunk: &[u8; 64], wanted: [u8; 3]) -> u64 {
    use std::arch::x86_64::*;
    // SAFETY: both loads lie inside the 64 bytes of the chunk, and need no alignment.
    let (a, b) = unsafe {
        let start = chunk.as_ptr();
        (
            _mm256_loadu_si256(start.cast()),
            _mm256_loadu_si256(start.add(32).cast()),
        )
    };
    let [x, y, z] = wanted.map(|byte| _mm256_set1_epi8(byte as i8));
    let any = |v: __m256i| {
        let either = _mm256_or_si256(_mm256_cmpeq_epi8(v, x), _mm256_cmpeq_epi8(v, y));
        _mm256_movemask_epi8(_mm256_or_si256(either, _mm256_cmpeq_epi8(v, z))) as u32
    };
    u64::from(any(a)) | u64::from(any(b)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_are_where_the_bytes_are(
            text in proptest::collection::vec(proptest::sample::select(b",\n\"a\0\xff".to_vec()), 0..300)
        ) {
            let wanted: Vec<u32> = (0..text.len() as u32)
                .filter(|&i| b",\n\"".contains(&text[i as usize]))
                .collect();
            for portable in [false, true] {
                let (mut at, mut from) = (Vec::new(), 0);
                while from < text.len() {
                    at.reserve_exact(64);
                    from = match portable {
                        true => find_with(&text, from, &mut at, |c| bits_portable(c, *b",\n\"")),
                        false => find(&text, *b",\n\"", from, &mut at),
                    };
                }
                prop_assert_eq!(&at, &wanted);
            }
        }
    }
}
