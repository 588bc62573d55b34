//! Where the delimiters, line ends and quotes of a text are.

/// Finds the positions of any of three bytes. Give a byte twice to look for fewer.
pub(crate) fn find(text: &[u8], wanted: [u8; 3], at: &mut Vec<u32>) {
    at.clear();
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("popcnt")
        {
            // SAFETY: the features were just found on this processor.
            unsafe { find_avx2(text, wanted, at) };
            return;
        }
    }
    find_with(text, at, |chunk| bits_portable(chunk, wanted));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn find_avx2(text: &[u8], wanted: [u8; 3], at: &mut Vec<u32>) {
    find_with(text, at, |chunk| bits_avx2(chunk, wanted));
}

#[inline(always)]
fn find_with(text: &[u8], at: &mut Vec<u32>, bits: impl Fn(&[u8; 64]) -> u64) {
    let (chunks, tail) = text.as_chunks::<64>();
    let mut base = 0;
    for chunk in chunks {
        crate::json::push_bits(at, base, bits(chunk));
        base += 64;
    }
    if !tail.is_empty() {
        let mut chunk = [0; 64];
        chunk[..tail.len()].copy_from_slice(tail);
        // zeros are never wanted, and the bits past the tail are cut off all the same
        crate::json::push_bits(at, base, bits(&chunk) & (u64::MAX >> (64 - tail.len())));
    }
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
            let mut at = Vec::new();
            find(&text, *b",\n\"", &mut at);
            prop_assert_eq!(&at, &wanted);
            at.clear();
            find_with(&text, &mut at, |chunk| bits_portable(chunk, *b",\n\""));
            prop_assert_eq!(&at, &wanted);
        }
    }
}
