//! Where the marks of a JSON text are: its quotes, and the `{}[]:,` outside of strings.
//!
//! Reading JSON byte by byte costs a branch per byte. One pass over 64 bytes at a time finds all
//! marks without branches; everything after it jumps from mark to mark, and a field that nobody
//! wants costs a few marks whatever its length. The wide instructions are chosen when the program
//! runs, so that one binary runs anywhere.

use super::keys::Key;

/// The positions of the marks in one text, ascending, and what was met on the way.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub(crate) at: Vec<u32>,
    /// Whether the text has a backslash: without one no string needs a second look.
    pub(crate) escapes: bool,
    /// Whether a control character stands inside a string, which JSON forbids.
    pub(crate) control: bool,
    /// Whether a string is not closed.
    pub(crate) open: bool,
    /// Room for the keys of the objects that are open while the text is walked.
    pub(super) keys: Vec<Key>,
}

/// One bit per byte of a chunk of 64.
struct Bits {
    quote: u64,
    backslash: u64,
    mark: u64,
    control: u64,
}

impl Marks {
    /// Finds the marks of `text`; what was found before is forgotten.
    pub(crate) fn find(&mut self, text: &[u8]) {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("bmi1")
                && std::arch::is_x86_feature_detected!("popcnt")
            {
                // SAFETY: the features were just found on this processor.
                unsafe { find_avx2(self, text) };
                return;
            }
        }
        find_with(self, text, bits_portable);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn find_avx2(marks: &mut Marks, text: &[u8]) {
    find_with(marks, text, |chunk| bits_avx2(chunk));
}

#[inline(always)]
fn find_with(marks: &mut Marks, text: &[u8], bits: impl Fn(&[u8; 64]) -> Bits) {
    marks.at.clear();
    let (mut in_string, mut escaped, mut escapes, mut control) = (0u64, 0u64, 0u64, 0u64);
    let (chunks, tail) = text.as_chunks::<64>();
    let mut base = 0u32;
    let mut step = |chunk: &[u8; 64], at: &mut Vec<u32>| {
        let bits = bits(chunk);
        let mut quote = bits.quote;
        if bits.backslash | escaped != 0 {
            escapes |= bits.backslash;
            quote &= !escaped_bytes(bits.backslash, &mut escaped);
        }
        let string = prefix_xor(quote) ^ in_string;
        // all ones when the chunk ends inside a string
        in_string = ((string as i64) >> 63) as u64;
        control |= bits.control & string;
        push_bits(at, base, (bits.mark & !string) | quote);
        base += 64;
    };
    for chunk in chunks {
        step(chunk, &mut marks.at);
    }
    if !tail.is_empty() {
        let mut chunk = [b' '; 64];
        chunk[..tail.len()].copy_from_slice(tail);
        step(&chunk, &mut marks.at);
    }
    marks.escapes = escapes != 0;
    marks.control = control != 0;
    marks.open = in_string != 0;
}

/// The bytes that a backslash before them escapes. `carry` is 1 when the first byte is escaped by
/// the chunk before.
#[inline(always)]
fn escaped_bytes(backslash: u64, carry: &mut u64) -> u64 {
    let mut escaped = *carry;
    let mut rest = backslash & !*carry;
    *carry = 0;
    while rest != 0 {
        let at = rest.trailing_zeros();
        if at == 63 {
            *carry = 1;
            break;
        }
        let next = 1u64 << (at + 1);
        escaped |= next;
        // the escaped byte may itself be a backslash: it escapes nothing
        rest &= !(next | (next - 1));
    }
    escaped
}

/// Bit *i* is the parity of the bits up to and with *i*: the inside of strings, from their quotes.
#[inline(always)]
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[inline(always)]
pub(crate) fn push_bits(at: &mut Vec<u32>, base: u32, mut bits: u64) {
    if bits == 0 {
        return;
    }
    let count = bits.count_ones() as usize;
    at.reserve(64);
    let len = at.len();
    let spare = at.spare_capacity_mut();
    // in groups of eight, so that the branch of the loop is predictable; what is written past
    // `count` is never seen
    let mut i = 0;
    while i < count {
        for slot in &mut spare[i..i + 8] {
            slot.write(base + (bits.trailing_zeros() & 63));
            bits &= bits.wrapping_sub(1);
        }
        i += 8;
    }
    // SAFETY: `count` (at most 64) more elements were written, and room for 64 was reserved.
    unsafe { at.set_len(len + count) };
}

fn bits_portable(chunk: &[u8; 64]) -> Bits {
    let mut bits = Bits {
        quote: 0,
        backslash: 0,
        mark: 0,
        control: 0,
    };
    for (i, &byte) in chunk.iter().enumerate() {
        bits.quote |= u64::from(byte == b'"') << i;
        bits.backslash |= u64::from(byte == b'\\') << i;
        let mark = matches!(byte | 0x20, b'{' | b'}') || matches!(byte, b':' | b',');
        bits.mark |= u64::from(mark) << i;
        bits.control |= u64::from(byte < 0x20) << i;
    }
    bits
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn bits_avx2(chunk: &[u8; 64]) -> Bits {
    use std::arch::x86_64::*;
    // SAFETY: both loads lie inside the 64 bytes of the chunk, and need no alignment.
    let (a, b) = unsafe {
        let start = chunk.as_ptr();
        (
            _mm256_loadu_si256(start.cast()),
            _mm256_loadu_si256(start.add(32).cast()),
        )
    };
    let join = |a: __m256i, b: __m256i| {
        u64::from(_mm256_movemask_epi8(a) as u32) | u64::from(_mm256_movemask_epi8(b) as u32) << 32
    };
    let equal = |x: __m256i, byte: u8| _mm256_cmpeq_epi8(x, _mm256_set1_epi8(byte as i8));
    let mark = |x: __m256i| {
        let folded = _mm256_or_si256(x, _mm256_set1_epi8(0x20));
        let braces = _mm256_or_si256(equal(folded, b'{'), equal(folded, b'}'));
        _mm256_or_si256(braces, _mm256_or_si256(equal(x, b':'), equal(x, b',')))
    };
    let control = |x: __m256i| {
        let limit = _mm256_set1_epi8(0x1f);
        _mm256_cmpeq_epi8(_mm256_max_epu8(x, limit), limit)
    };
    Bits {
        quote: join(equal(a, b'"'), equal(b, b'"')),
        backslash: join(equal(a, b'\\'), equal(b, b'\\')),
        mark: join(mark(a), mark(b)),
        control: join(control(a), control(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What marks are, by definition.
    fn by_hand(text: &[u8]) -> (Vec<u32>, bool) {
        let (mut at, mut string, mut escaped) = (Vec::new(), false, false);
        for (i, &byte) in text.iter().enumerate() {
            let was_escaped = std::mem::take(&mut escaped);
            if byte == b'\\' && !was_escaped {
                escaped = true;
            } else if byte == b'"' && !was_escaped {
                string = !string;
                at.push(i as u32);
            } else if !string && b"{}[]:,".contains(&byte) {
                at.push(i as u32);
            }
        }
        (at, string)
    }

    proptest! {
        #[test]
        fn marks_are_those_of_the_definition(
            text in proptest::collection::vec(proptest::sample::select(b"\"\\{}[]:,a \x01".to_vec()), 0..300)
        ) {
            let (at, open) = by_hand(&text);
            let mut marks = Marks::default();
            marks.find(&text);
            prop_assert_eq!(&marks.at, &at);
            prop_assert_eq!(marks.open, open);
            find_with(&mut marks, &text, bits_portable);
            prop_assert_eq!(&marks.at, &at);
        }
    }
}
