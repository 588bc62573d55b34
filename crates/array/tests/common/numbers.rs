//! Elements of any type as bits, and what a number has to be in another type: arithmetic on `i128`
//! and `f64`, which hold every sum and product here exactly, brought to the type once.

use flagstone_array::DType;
use ndarray::ArrayD;

/// Numbers without pattern.
pub struct Words(pub u64);

impl Words {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, count: usize) -> usize {
        (self.word() % count.max(1) as u64) as usize
    }

    /// From the first up to and with the last.
    pub fn within(&mut self, first: isize, last: isize) -> isize {
        first + self.below((last - first + 1) as usize) as isize
    }
}

/// An array of any type: bits as the elements' `token_bits`.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    pub dtype: DType,
    pub bits: ArrayD<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Number {
    Whole(i128),
    Real(f64),
}

impl Number {
    pub fn of(dtype: DType, bits: u64) -> Number {
        match dtype {
            DType::F64 => Number::Real(f64::from_bits(bits)),
            DType::F32 => Number::Real(f32::from_bits(bits as u32).into()),
            _ if dtype.is_signed() => Number::Whole((bits as i64).into()),
            _ => Number::Whole(bits.into()),
        }
    }

    /// The bits of the nearest number of a type; whole numbers wrap. Of all that is no number there
    /// is one.
    pub fn bits(self, dtype: DType) -> u64 {
        match (dtype, self) {
            (DType::F64, _) if self.is_nan() => f64::NAN.to_bits(),
            (DType::F32, _) if self.is_nan() => f32::NAN.to_bits().into(),
            (DType::F64, _) => self.real().to_bits(),
            (DType::F32, Number::Real(value)) => (value as f32).to_bits().into(),
            (DType::F32, Number::Whole(value)) => (value as f32).to_bits().into(),
            (DType::Bool, Number::Whole(value)) => (value != 0).into(),
            (_, Number::Whole(value)) => wrapped(dtype, value as u64),
            (_, Number::Real(value)) => panic!("{value} in an array of {dtype}"),
        }
    }

    pub fn real(self) -> f64 {
        match self {
            Number::Whole(value) => value as f64,
            Number::Real(value) => value,
        }
    }

    pub fn is_nan(self) -> bool {
        matches!(self, Number::Real(value) if value.is_nan())
    }

    pub fn is_set(self) -> bool {
        self != Number::Whole(0) && self != Number::Real(0.0)
    }

    pub fn plus(self, other: Number) -> Number {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => Number::Whole(a + b),
            (a, b) => Number::Real(a.real() + b.real()),
        }
    }
}

/// Bits as an element of this type has them.
fn wrapped(dtype: DType, bits: u64) -> u64 {
    match dtype {
        DType::Bool => bits & 1,
        DType::I8 => bits as i8 as u64,
        DType::I16 => bits as i16 as u64,
        DType::I32 => bits as i32 as u64,
        DType::U8 => bits as u8 as u64,
        DType::U16 => bits as u16 as u64,
        DType::U32 | DType::F32 => bits as u32 as u64,
        _ => bits,
    }
}

impl Numbers {
    pub fn new(dtype: DType, bits: ArrayD<u64>) -> Self {
        Numbers { dtype, bits }
    }

    /// Any bits.
    pub fn wild(dtype: DType, shape: &[usize], words: &mut Words) -> Self {
        let wild = || wrapped(dtype, words.word());
        Numbers::new(dtype, ArrayD::from_shape_simple_fn(shape, wild))
    }

    /// Small numbers, many of them equal, in which sums of any order are exact; of integers also
    /// the first and the last, of floats also what is no number.
    pub fn few(dtype: DType, shape: &[usize], words: &mut Words) -> Self {
        let few = || match (dtype.is_float(), words.below(24)) {
            (true, 0) => Number::Real(f64::NAN).bits(dtype),
            (true, _) => Number::Real(words.within(-12, 20) as f64 / 8.0).bits(dtype),
            (false, 0) => wrapped(dtype, u64::MAX),
            (false, 1) if dtype.is_signed() => wrapped(dtype, 1 << (8 * dtype.size() - 1)),
            (false, 2) if dtype.is_signed() => (1 << (8 * dtype.size() - 1)) - 1,
            (false, 3) => wrapped(dtype, words.word()),
            (false, _) => wrapped(dtype, words.within(-2, 5).max(0) as u64),
        };
        Numbers::new(dtype, ArrayD::from_shape_simple_fn(shape, few))
    }

    pub fn number(&self, bits: u64) -> Number {
        Number::of(self.dtype, bits)
    }

    /// With one kind of what is no number.
    pub fn plain(&self) -> Self {
        let plain = |&bits: &u64| self.number(bits).bits(self.dtype);
        Numbers::new(self.dtype, self.bits.map(plain))
    }
}
