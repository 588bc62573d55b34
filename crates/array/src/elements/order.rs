//! The order of elements as integers of their own size: what sorting, selecting and counting
//! distinct values compare.
//!
//! The order is total, so that a sorted line has the same bits however it was sorted: minus zero
//! before zero, and after all numbers what is not a number, by its bits.

/// What is sorted: plain numbers whose order is the wanted one.
///
/// # Safety
/// Every bit pattern is a value, and there are no bytes between fields.
pub unsafe trait Record: Copy + Ord + Default + Send + Sync + 'static {}

/// An unsigned integer that stands for an element.
pub trait Key: Record {
    /// In a word.
    fn to_word(self) -> u64;
    /// Back from a word.
    fn from_word(word: u64) -> Self;
}

/// An element with an order.
pub trait Order: Copy {
    /// What is compared.
    type Key: Key;
    /// The key; larger for later elements, another for other bits.
    fn key(self) -> Self::Key;
    /// The element with this key.
    fn of_key(key: Self::Key) -> Self;
    /// The key as NumPy compares: equal for both zeros, and for all that is not a number.
    fn loose_key(self) -> Self::Key;
}

macro_rules! keys {
    ($($key:ident),*) => {
        $(
            // SAFETY: an integer.
            unsafe impl Record for $key {}
            impl Key for $key {
                #[inline]
                fn to_word(self) -> u64 { self as u64 }
                #[inline]
                fn from_word(word: u64) -> Self { word as $key }
            }
        )*
    };
}

macro_rules! unsigned {
    ($($int:ident)*) => {
        $(
            impl Order for $int {
                type Key = $int;
                #[inline]
                fn key(self) -> $int { self }
                #[inline]
                fn of_key(key: $int) -> Self { key }
                #[inline]
                fn loose_key(self) -> $int { self }
            }
        )*
    };
}

macro_rules! signed {
    ($($int:ident $key:ident),*) => {
        $(
            impl Order for $int {
                type Key = $key;
                #[inline]
                fn key(self) -> $key { (self as $key) ^ (1 << ($key::BITS - 1)) }
                #[inline]
                fn of_key(key: $key) -> Self { (key ^ (1 << ($key::BITS - 1))) as $int }
                #[inline]
                fn loose_key(self) -> $key { self.key() }
            }
        )*
    };
}

macro_rules! floats {
    ($($float:ident $key:ident),*) => {
        $(
            impl Order for $float {
                type Key = $key;
                #[inline]
                fn key(self) -> $key {
                    // minus infinity is 0, and negative not-a-numbers wrap to the end
                    turned(self.to_bits().into(), $key::BITS)
                        .wrapping_sub(turned($float::NEG_INFINITY.to_bits().into(), $key::BITS))
                        as $key
                }
                #[inline]
                fn of_key(key: $key) -> Self {
                    let least = turned($float::NEG_INFINITY.to_bits().into(), $key::BITS) as $key;
                    let turned = key.wrapping_add(least);
                    let sign = 1 << ($key::BITS - 1);
                    $float::from_bits(if turned & sign != 0 { turned ^ sign } else { !turned })
                }
                #[inline]
                fn loose_key(self) -> $key {
                    match self {
                        _ if self.is_nan() => $float::NAN.key(),
                        // zero of either sign
                        zero if zero == 0.0 => (0.0 as $float).key(),
                        number => number.key(),
                    }
                }
            }
        )*
    };
}

/// Sorts by key. All elements become their keys first, which compare as plain integers do, and then
/// elements again.
pub(crate) fn sort_by_keys<T: Order>(line: &mut [T]) {
    const {
        assert!(size_of::<T>() == size_of::<T::Key>());
        assert!(align_of::<T>() == align_of::<T::Key>());
    }
    let (start, len) = (line.as_mut_ptr(), line.len());
    for i in 0..len {
        // SAFETY: inside the line, which is borrowed mutably; a key fits where its element was.
        unsafe {
            start
                .add(i)
                .cast::<T::Key>()
                .write(start.add(i).read().key())
        };
    }
    // SAFETY: every place holds a key now, and nobody looks at elements until they are back.
    let keys = unsafe { std::slice::from_raw_parts_mut(start.cast::<T::Key>(), len) };
    keys.sort_unstable();
    for i in 0..len {
        // SAFETY: as above, the other way round.
        unsafe {
            start
                .add(i)
                .write(T::of_key(start.add(i).cast::<T::Key>().read()))
        };
    }
}

/// The bits of a float as an integer in the same order, but for not-a-numbers.
#[inline]
fn turned(bits: u64, width: u32) -> u64 {
    let sign = 1 << (width - 1);
    match bits & sign {
        0 => bits | sign,
        _ => !bits & (u64::MAX >> (64 - width)),
    }
}

keys!(u8, u16, u32, u64);
unsigned!(u8 u16 u32 u64);
signed!(i8 u8, i16 u16, i32 u32, i64 u64);
floats!(f32 u32, f64 u64);

impl Order for bool {
    type Key = u8;
    #[inline]
    fn key(self) -> u8 {
        u8::from(self)
    }
    #[inline]
    fn of_key(key: u8) -> Self {
        key != 0
    }
    #[inline]
    fn loose_key(self) -> u8 {
        self.key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds<T: Order + PartialOrd + std::fmt::Debug>(a: T, b: T) {
        if a < b {
            assert!(
                a.key() < b.key() && a.loose_key() < b.loose_key(),
                "{a:?} {b:?}"
            );
        } else if a == b {
            assert!(a.loose_key() == b.loose_key(), "{a:?} {b:?}");
        }
    }

    proptest! {
        #[test]
        fn keys_are_in_the_order_of_elements(a in any::<u64>(), b in any::<u64>()) {
            holds(a, b);
            holds(a as i64, b as i64);
            holds(a as i8, b as i8);
            for (a, b) in [(a, b), (a & 0xfff << 52, b & 0xfff << 52)] {
                let (x, y) = (f64::from_bits(a), f64::from_bits(b));
                holds(x, y);
                let (x, y) = (f32::from_bits((a >> 32) as u32), f32::from_bits((b >> 32) as u32));
                holds(x, y);
                prop_assert_eq!(f64::of_key(f64::from_bits(a).key()).to_bits(), a);
                prop_assert_eq!(f32::of_key(x.key()).to_bits(), x.to_bits());
                prop_assert_eq!(i16::of_key((a as i16).key()), a as i16);
            }
        }
    }

    #[test]
    fn what_is_no_number_comes_last() {
        let order = [
            f64::NEG_INFINITY,
            -1.0,
            -0.0,
            0.0,
            1.0,
            f64::INFINITY,
            f64::NAN,
            -f64::NAN,
        ];
        assert!(order.windows(2).all(|pair| pair[0].key() < pair[1].key()));
        assert_eq!(
            (f64::NEG_INFINITY.key(), (-0.0f32).loose_key()),
            (0, 0.0f32.loose_key())
        );
        assert_eq!(f32::NAN.loose_key(), (-f32::NAN).loose_key());
        assert!(f32::NAN.loose_key() > f32::INFINITY.loose_key());
    }
}
