//! Arrays whose element type is known when the test runs, and what is done with them as a value:
//! operations are compiled once for each type, and tests once.

use flagstone_array::{Array, DType, Element, Index, Pad, Promote};

use super::common::at;
use super::numbers::Numbers;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fold {
    Sum,
    Min,
    Max,
    Any,
    All,
    Count,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Beyond {
    /// The element with these bits.
    Constant(u64),
    Edge,
    Reflect,
    Symmetric,
    Wrap,
}

/// An operation on an array of any type.
#[derive(Debug, Clone)]
pub enum Op {
    Index(Vec<Index>),
    Permute(Vec<usize>),
    Reshape(Vec<usize>),
    /// With itself from its end.
    Concatenate(usize),
    Pad(Vec<(usize, usize)>, Beyond),
    Roll(isize, usize),
    Flip(usize),
    Fold(Fold, Vec<isize>),
    Argmax(usize),
    Cumsum(usize),
    Sort(usize),
    Unique,
}

pub trait Typed {
    /// `None` where the operation was not compiled for this type.
    fn apply(&self, op: &Op) -> Option<Box<dyn Typed>>;
    /// What it was built wrongly with.
    fn mistake(&self) -> Option<String>;
    /// Computed by several executors, with equal bits.
    fn values(&self) -> Numbers;
}

/// The operations that take long to compile: each for some types, and some for each type.
pub trait Chosen: Element {
    fn chosen(x: &Array<Self>, op: &Op) -> Option<Box<dyn Typed>>;
}

macro_rules! chosen {
    ($($element:ty: $($function:ident)*;)*) => {
        $(impl Chosen for $element {
            fn chosen(x: &Array<Self>, op: &Op) -> Option<Box<dyn Typed>> {
                None$(.or_else(|| $function(x, op)))*
            }
        })*
    };
}

chosen!(
    bool: sum truth cumsum unique;
    i8: sum argmax sort;
    i16: extreme padded cumsum;
    i32: sum truth argmax cumsum;
    i64: sum counted extreme sort cumsum;
    u8: sum extreme cumsum;
    u16: sum sort;
    u32: counted unique;
    u64: sum sort cumsum;
    f32: sum extreme sort cumsum padded;
    f64: sum argmax counted sort cumsum unique;
);

fn sum<T: Chosen<Sum: Chosen>>(x: &Array<T>, op: &Op) -> Option<Box<dyn Typed>> {
    match op {
        Op::Fold(Fold::Sum, axes) => Some(Box::new(x.sum(&axes[..]))),
        _ => None,
    }
}

fn extreme<T: Chosen>(x: &Array<T>, op: &Op) -> Option<Box<dyn Typed>> {
    match op {
        Op::Fold(Fold::Min, axes) => Some(Box::new(x.min(&axes[..]))),
        Op::Fold(Fold::Max, axes) => Some(Box::new(x.max(&axes[..]))),
        _ => None,
    }
}

fn truth<T: Chosen>(x: &Array<T>, op: &Op) -> Option<Box<dyn Typed>> {
    match op {
        Op::Fold(Fold::Any, axes) => Some(Box::new(x.any(&axes[..]))),
        Op::Fold(Fold::All, axes) => Some(Box::new(x.all(&axes[..]))),
        _ => None,
    }
}

fn counted<T: Chosen>(x: &Array<T>, op: &Op) -> Option<Box<dyn Typed>> {
    match op {
        Op::Fold(Fold::Count, axes) => Some(Box::new(x.count_nonzero(&axes[..]))),
        _ => None,
    }
}

fn argmax<T: Chosen>(x: &Array<T>, op: &Op) -> Option<Box<dyn Typed>> {
    match op {
        &Op::Argmax(axis) => Some(Box::new(x.argmax(axis))),
        _ => None,
    }
}

fn cumsum<T: Chosen<Sum: Chosen>>(x: &Array<T>, op: &Op) -> Option<Box<dyn Typed>> {
    match op {
        &Op::Cumsum(axis) => Some(Box::new(x.cumsum(axis as isize))),
        _ => None,
    }
}

fn sort<T: Chosen>(x: &Array<T>, op: &Op) -> Option<Box<dyn Typed>> {
    match op {
        &Op::Sort(axis) => Some(Box::new(x.sort(axis as isize))),
        _ => None,
    }
}

fn unique<T: Chosen>(x: &Array<T>, op: &Op) -> Option<Box<dyn Typed>> {
    match op {
        Op::Unique => Some(Box::new(x.unique())),
        _ => None,
    }
}

fn padded<T: Chosen>(x: &Array<T>, op: &Op) -> Option<Box<dyn Typed>> {
    let Op::Pad(widths, beyond) = op else {
        return None;
    };
    let mode = match *beyond {
        Beyond::Constant(bits) => Pad::Constant(T::from_token_bits(bits)),
        Beyond::Edge => Pad::Edge,
        Beyond::Reflect => Pad::Reflect,
        Beyond::Symmetric => Pad::Symmetric,
        Beyond::Wrap => Pad::Wrap,
    };
    Some(Box::new(x.pad(widths, mode)))
}

impl<T: Chosen> Typed for Array<T> {
    fn apply(&self, op: &Op) -> Option<Box<dyn Typed>> {
        Some(Box::new(match op {
            Op::Index(indices) => self.index(indices.iter().cloned()),
            Op::Permute(axes) => self.transpose(axes),
            Op::Reshape(shape) => self.reshape(shape),
            &Op::Concatenate(axis) => Array::concatenate(&[self, &self.flip(axis)], axis as isize),
            &Op::Roll(by, axis) => self.roll(by, axis as isize),
            &Op::Flip(axis) => self.flip(axis),
            _ => return T::chosen(self, op),
        }))
    }

    fn mistake(&self) -> Option<String> {
        self.check().err().map(|error| error.to_string())
    }

    fn values(&self) -> Numbers {
        Numbers::new(T::DTYPE, at(self.clone()).map(|v| v.token_bits()))
    }
}

/// Numbers as a lazy array, in memory or, with chunks, as blocks of these lengths.
fn lazy<T: Element>(numbers: &Numbers, chunks: Option<&[usize]>) -> Array<T> {
    assert_eq!(T::DTYPE, numbers.dtype);
    let array = Array::from_ndarray(numbers.bits.map(|&bits| T::from_token_bits(bits)));
    match chunks {
        Some(chunks) => array.rechunk(chunks),
        None => array,
    }
}

pub fn typed(numbers: &Numbers, chunks: Option<&[usize]>) -> Box<dyn Typed> {
    match numbers.dtype {
        DType::Bool => Box::new(lazy::<bool>(numbers, chunks)),
        DType::I8 => Box::new(lazy::<i8>(numbers, chunks)),
        DType::I16 => Box::new(lazy::<i16>(numbers, chunks)),
        DType::I32 => Box::new(lazy::<i32>(numbers, chunks)),
        DType::I64 => Box::new(lazy::<i64>(numbers, chunks)),
        DType::U8 => Box::new(lazy::<u8>(numbers, chunks)),
        DType::U16 => Box::new(lazy::<u16>(numbers, chunks)),
        DType::U32 => Box::new(lazy::<u32>(numbers, chunks)),
        DType::U64 => Box::new(lazy::<u64>(numbers, chunks)),
        DType::F32 => Box::new(lazy::<f32>(numbers, chunks)),
        DType::F64 => Box::new(lazy::<f64>(numbers, chunks)),
        other => panic!("what is {other}?"),
    }
}

/// `a` in chunks with `b`, by one of `+ - * /`.
pub type Combine = fn(char, &Numbers, &[usize], &Numbers) -> Box<dyn Typed>;

fn combine<A: Element + Promote<B, Output: Chosen, Quotient: Chosen>, B: Element>(
    sign: char,
    a: &Numbers,
    chunks: &[usize],
    b: &Numbers,
) -> Box<dyn Typed> {
    let (a, b) = (lazy::<A>(a, Some(chunks)), lazy::<B>(b, None));
    match sign {
        '+' => Box::new(&a + &b),
        '-' => Box::new(&a - &b),
        '*' => Box::new(&a * &b),
        _ => Box::new(&a / &b),
    }
}

/// Pairs of types that meet: one of every kind of rule, and of every type.
pub const PAIRS: [(DType, DType, Combine); 16] = [
    (DType::Bool, DType::Bool, combine::<bool, bool>),
    (DType::Bool, DType::U8, combine::<bool, u8>),
    (DType::F32, DType::Bool, combine::<f32, bool>),
    (DType::I8, DType::U8, combine::<i8, u8>),
    (DType::I8, DType::I8, combine::<i8, i8>),
    (DType::U16, DType::I16, combine::<u16, i16>),
    (DType::I64, DType::U32, combine::<i64, u32>),
    (DType::U32, DType::U16, combine::<u32, u16>),
    (DType::I16, DType::I32, combine::<i16, i32>),
    (DType::U64, DType::I64, combine::<u64, i64>),
    (DType::U64, DType::U64, combine::<u64, u64>),
    (DType::I64, DType::I64, combine::<i64, i64>),
    (DType::I32, DType::F32, combine::<i32, f32>),
    (DType::F32, DType::I16, combine::<f32, i16>),
    (DType::F32, DType::F64, combine::<f32, f64>),
    (DType::F32, DType::F32, combine::<f32, f32>),
];
