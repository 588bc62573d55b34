//! All eleven element types in random shapes, chunks and indices against an oracle that works on
//! bits, `i128` and `f64`: by executors that cut arrays up, with equal bits.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;
#[allow(unreachable_pub, reason = "a module of a test program")]
#[path = "common/expected.rs"]
mod expected;
#[allow(unreachable_pub, reason = "a module of a test program")]
#[path = "common/numbers.rs"]
mod numbers;
#[allow(unreachable_pub, reason = "a module of a test program")]
#[path = "common/typed.rs"]
mod typed;

use expected::{combined, expected};
use flagstone_array::{DType, Index};
use numbers::{Numbers, Words};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use typed::{Beyond, Fold, Op, PAIRS, typed};

type Outcome = Result<(), TestCaseError>;

/// `numpy.promote_types` of `DType::ALL` with each other.
const PROMOTED: [&str; 11] = [
    "bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64",
    "i8 i8 i16 i32 i64 i16 i32 i64 f64 f32 f64",
    "i16 i16 i16 i32 i64 i16 i32 i64 f64 f32 f64",
    "i32 i32 i32 i32 i64 i32 i32 i64 f64 f64 f64",
    "i64 i64 i64 i64 i64 i64 i64 i64 f64 f64 f64",
    "u8 i16 i16 i32 i64 u8 u16 u32 u64 f32 f64",
    "u16 i32 i32 i32 i64 u16 u16 u32 u64 f32 f64",
    "u32 i64 i64 i64 i64 u32 u32 u32 u64 f64 f64",
    "u64 f64 f64 f64 f64 u64 u64 u64 u64 f64 f64",
    "f32 f32 f32 f64 f64 f32 f32 f64 f64 f32 f64",
    "f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64",
];

/// What NumPy promotes two types to.
fn promoted(a: DType, b: DType) -> DType {
    let place = |dtype| DType::ALL.iter().position(|&other| other == dtype).unwrap();
    let name = PROMOTED[place(a)].split(' ').nth(place(b)).unwrap();
    *DType::ALL
        .iter()
        .find(|dtype| dtype.name() == name)
        .unwrap()
}

/// How one axis is looked into.
fn entry(length: usize, may_list: bool, words: &mut Words) -> Index {
    let n = length as isize;
    let place = |words: &mut Words| words.within(-n, n - 1);
    let bound = |words: &mut Words| (words.below(3) > 0).then(|| words.within(-n - 2, n + 2));
    match words.below(6) {
        0 | 1 if length > 0 => Index::from(place(words)),
        2 | 3 if length > 0 && may_list => {
            let count = words.below(6);
            Index::from((0..count).map(|_| place(words)).collect::<Vec<isize>>())
        }
        4 => Index::from(..),
        _ => {
            let step = [1, 2, 3, -1, -2, -3][words.below(6)];
            Index::slice(bound(words), bound(words), step)
        }
    }
}

fn indices(shape: &[usize], words: &mut Words) -> Vec<Index> {
    let (mut indices, mut listed) = (Vec::new(), false);
    for (axis, &length) in shape.iter().enumerate() {
        if axis > 0 && words.below(8) == 0 {
            indices.push(Index::Ellipsis);
            return indices;
        }
        if words.below(6) == 0 {
            indices.push(Index::NewAxis);
        }
        indices.push(entry(length, !listed, words));
        listed |= matches!(indices.last(), Some(Index::List(_)));
    }
    indices
}

/// An operation that moves elements.
fn moving(x: &Numbers, words: &mut Words) -> Op {
    let shape = x.bits.shape();
    if shape.is_empty() {
        return [Op::Index(vec![Index::NewAxis]), Op::Reshape(vec![1, 1])][words.below(2)].clone();
    }
    let axis = words.below(shape.len());
    match words.below(9) {
        0 => {
            let mut axes: Vec<usize> = (0..shape.len()).collect();
            (1..axes.len()).for_each(|i| axes.swap(i, words.below(i + 1)));
            Op::Permute(axes)
        }
        1 => {
            let length = x.bits.len();
            let divisor = (2..6)
                .find(|divisor| length.is_multiple_of(*divisor))
                .unwrap_or(1);
            let turned = shape.iter().rev().copied().collect();
            let split = vec![divisor, length / divisor];
            Op::Reshape([turned, split, vec![length]][words.below(3)].clone())
        }
        2 => Op::Concatenate(axis),
        3 => {
            let beyond = [
                Beyond::Constant(x.bits.first().copied().unwrap_or(0)),
                Beyond::Edge,
                Beyond::Reflect,
                Beyond::Symmetric,
                Beyond::Wrap,
            ];
            let widths = shape.iter().map(|_| (words.below(4), words.below(9) / 2));
            Op::Pad(widths.collect(), beyond[words.below(5)])
        }
        4 => Op::Roll(words.within(-9, 9), axis),
        5 => Op::Flip(axis),
        _ => Op::Index(indices(shape, words)),
    }
}

/// An operation that makes one element of many.
fn folding(x: &Numbers, words: &mut Words) -> Op {
    let ndim = x.bits.ndim();
    let folds = [
        Fold::Sum,
        Fold::Min,
        Fold::Max,
        Fold::Any,
        Fold::All,
        Fold::Count,
    ];
    match words.below(7) {
        fold if fold < folds.len() || ndim == 0 => {
            let whole = words.below(3) == 0;
            let first = words.below(ndim);
            let some = |axis: &isize| whole || *axis as usize == first || words.below(3) == 0;
            Op::Fold(
                folds[fold % folds.len()],
                (0..ndim as isize).filter(some).collect(),
            )
        }
        _ => Op::Argmax(words.below(ndim)),
    }
}

/// An operation on lines that are in order, or get into it.
fn ordering(x: &Numbers, words: &mut Words) -> Op {
    let axis = words.below(x.bits.ndim());
    match words.below(3) {
        0 if x.bits.ndim() == 0 => Op::Reshape(vec![1]),
        0 => Op::Cumsum(axis),
        1 if x.bits.ndim() > 0 => Op::Sort(axis),
        _ => Op::Unique,
    }
}

type Choose = fn(&Numbers, &mut Words) -> Op;

/// Applies one chosen operation after the other and compares what comes out.
fn chain(mut x: Numbers, choices: &[Choose], words: &mut Words) -> Outcome {
    let chunks: Vec<usize> = x.bits.shape().iter().map(|_| 1 + words.below(4)).collect();
    let chunks = (words.below(3) > 0).then_some(&chunks[..]);
    let mut lazy = typed(&x, chunks);
    let mut done = Vec::new();
    for choose in choices {
        let (op, next) = loop {
            let op = choose(&x, words);
            if let Some(next) = lazy.apply(&op) {
                break (op, next);
            }
        };
        lazy = next;
        done.push(op);
        let Some(next) = expected(&x, done.last().unwrap()) else {
            prop_assert!(lazy.mistake().is_some(), "{done:?} in {chunks:?}");
            return Ok(());
        };
        x = next;
    }
    prop_assert_eq!(lazy.mistake(), None, "{:?}", done);
    let moved = choices
        .iter()
        .all(|&choose| std::ptr::fn_addr_eq(choose, moving as Choose));
    let found = if moved {
        lazy.values()
    } else {
        lazy.values().plain()
    };
    prop_assert_eq!(found, x, "{:?} in {:?}", done, chunks);
    Ok(())
}

fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..8, 0..4)
}

fn dtypes() -> impl Strategy<Value = DType> {
    prop::sample::select(&DType::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_type_is_moved_bit_for_bit(
        dtype in dtypes(), shape in shapes(), length in 1usize..4, seed in any::<u64>(),
    ) {
        let words = &mut Words(seed);
        let x = Numbers::wild(dtype, &shape, words);
        chain(x, &[moving as Choose; 3][..length], words)?;
    }

    #[test]
    fn every_type_is_reduced(
        dtype in dtypes(), shape in shapes(), length in 1usize..4, seed in any::<u64>(),
    ) {
        let words = &mut Words(seed);
        let x = Numbers::few(dtype, &shape, words);
        chain(x, &[moving, moving, folding as Choose][length - 1..], words)?;
    }

    #[test]
    fn every_type_is_put_in_order(
        dtype in dtypes(), shape in shapes(), length in 1usize..3, seed in any::<u64>(),
    ) {
        let words = &mut Words(seed);
        let x = Numbers::few(dtype, &shape, words);
        chain(x, &[moving, ordering as Choose][length - 1..], words)?;
    }

    #[test]
    fn types_meet_as_numpys_do(
        pair in 0..PAIRS.len(), sign in 0usize..4, shape in shapes(), seed in any::<u64>(),
    ) {
        let (first, second, combine) = PAIRS[pair];
        let (words, sign) = (&mut Words(seed), ['+', '-', '*', '/'][sign]);
        // the other operand is broadcast where an axis is 1 or missing
        let other = shape.iter().map(|&n| if words.below(4) == 0 { 1 } else { n });
        let other: Vec<usize> = other.collect();
        let a = Numbers::few(first, &shape, words);
        let b = Numbers::few(second, &other[words.below(shape.len() + 1)..], words);
        let chunks: Vec<usize> = shape.iter().map(|_| 1 + words.below(4)).collect();
        let dtype = match (sign, promoted(first, second)) {
            ('/', common) if !common.is_float() => DType::F64,
            (_, common) => common,
        };
        let found = combine(sign, &a, &chunks, &b).values();
        let expected = combined(sign, &a, &b, dtype);
        prop_assert_eq!(found.plain(), expected, "{} {} {} in {:?}", first, sign, second, chunks);
    }
}

#[test]
fn any_two_types_are_promoted_as_numpy_promotes_them() {
    for a in DType::ALL {
        for b in DType::ALL {
            assert_eq!(a.promote(b), promoted(a, b), "{a} and {b}");
        }
    }
}
