//! Lines along an axis that are longer than the budget, in order.
//!
//! A line is cut into *runs*, each of which a task sorts and writes to a file of its own in the
//! spill directory; what stays in memory of a run is every so-many-th element. With those, the
//! elements before any rank are found exactly in every run ([`select`]) by reading a few of them.
//! So a chunk of the result knows which part of each run it is made of, has a size that is known
//! beforehand, and is merged by itself; a quantile is only looked up.
//!
//! ```text
//! runs      [1 4 7 9] [2 3 5 8] [0 6 6 9]       sorted, in files
//! ranks 4..8  4    7   3    5      6 6           the parts that chunk 1 is merged of
//! ```
//!
//! Everything is read once, written once and read once more. Elements are compared by their keys
//! (`order.rs`), whose order is total: the bits are those of sorting in memory.

use std::marker::PhantomData;

use crate::elements::element::Element;
use crate::elements::order::{Key, Record};

/// A key with the place where its element was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub(crate) struct Placed {
    key: u64,
    place: u64,
}

// SAFETY: two words.
unsafe impl Record for Placed {}

/// The bytes of records.
pub(crate) fn bytes_of<R: Record>(records: &[R]) -> &[u8] {
    // SAFETY: records have no bytes between fields, by the promise of the trait.
    unsafe { std::slice::from_raw_parts(records.as_ptr().cast(), size_of_val(records)) }
}

/// The bytes of records, to be filled.
pub(crate) fn bytes_of_mut<R: Record>(records: &mut [R]) -> &mut [u8] {
    // SAFETY: as above, and every bit pattern is a record.
    unsafe { std::slice::from_raw_parts_mut(records.as_mut_ptr().cast(), size_of_val(records)) }
}

/// Which order, and what of it is the result.
pub(crate) trait Ranking: Send + Sync + 'static {
    type In: Element;
    type Record: Record;
    type Out: Element;
    const NAME: &'static str;
    fn record(value: Self::In, place: usize) -> Self::Record;
    fn out(record: Self::Record) -> Self::Out;
}

/// The elements, ascending.
pub(crate) struct Ascending<T>(PhantomData<fn() -> T>);
/// The elements, descending.
pub(crate) struct Descending<T>(PhantomData<fn() -> T>);
/// Their places, ascending; of equal ones the first first.
pub(crate) struct PlacesAscending<T>(PhantomData<fn() -> T>);
/// Their places, descending; of equal ones the first first.
pub(crate) struct PlacesDescending<T>(PhantomData<fn() -> T>);

fn inverted<K: Key>(key: K) -> K {
    K::from_word(!key.to_word())
}

impl<T: Element> Ranking for Ascending<T> {
    type In = T;
    type Record = T::Key;
    type Out = T;
    const NAME: &'static str = "sort";

    #[inline]
    fn record(value: T, _: usize) -> T::Key {
        value.key()
    }

    #[inline]
    fn out(record: T::Key) -> T {
        T::of_key(record)
    }
}

impl<T: Element> Ranking for Descending<T> {
    type In = T;
    type Record = T::Key;
    type Out = T;
    const NAME: &'static str = "topk";

    #[inline]
    fn record(value: T, _: usize) -> T::Key {
        inverted(value.key())
    }

    #[inline]
    fn out(record: T::Key) -> T {
        T::of_key(inverted(record))
    }
}

impl<T: Element> Ranking for PlacesAscending<T> {
    type In = T;
    type Record = Placed;
    type Out = i64;
    const NAME: &'static str = "argsort";

    #[inline]
    fn record(value: T, place: usize) -> Placed {
        Placed {
            key: value.loose_key().to_word(),
            place: place as u64,
        }
    }

    #[inline]
    fn out(record: Placed) -> i64 {
        record.place as i64
    }
}

impl<T: Element> Ranking for PlacesDescending<T> {
    type In = T;
    type Record = Placed;
    type Out = i64;
    const NAME: &'static str = "argtopk";

    #[inline]
    fn record(value: T, place: usize) -> Placed {
        Placed {
            key: !value.loose_key().to_word(),
            place: place as u64,
        }
    }

    #[inline]
    fn out(record: Placed) -> i64 {
        record.place as i64
    }
}
