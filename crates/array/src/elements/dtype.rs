//! Element types as values, and NumPy's promotion rules.
//!
//! Kernels are generic over elements; what is stored in nodes, files and messages is a [`DType`].
//!
//! Two types promote to the smallest type that holds both: booleans to anything, integers of one
//! sign to the wider one, integers of both signs to a signed one that is wide enough (`u64` with a
//! signed one: `f64`), and an integer of at most 16 bits with `f32` to `f32`, a wider one to `f64`.

use std::fmt;

/// The type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DType {
    /// Truth values.
    Bool,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

impl DType {
    /// Every type.
    pub const ALL: [DType; 11] = [
        DType::Bool,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F32,
        DType::F64,
    ];

    /// Rust's name: `"f64"`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::DType;
    /// assert_eq!(DType::F64.name(), "f64");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I8 => "i8",
            DType::I16 => "i16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::U8 => "u8",
            DType::U16 => "u16",
            DType::U32 => "u32",
            DType::U64 => "u64",
            DType::F32 => "f32",
            DType::F64 => "f64",
        }
    }

    /// NumPy's code without the byte order: `"f8"`.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::DType;
    /// assert_eq!(DType::F64.npy_code(), "f8");
    /// ```
    pub fn npy_code(self) -> &'static str {
        match self {
            DType::Bool => "b1",
            DType::I8 => "i1",
            DType::I16 => "i2",
            DType::I32 => "i4",
            DType::I64 => "i8",
            DType::U8 => "u1",
            DType::U16 => "u2",
            DType::U32 => "u4",
            DType::U64 => "u8",
            DType::F32 => "f4",
            DType::F64 => "f8",
        }
    }

    /// The type with this NumPy code, if arrays can hold it.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::DType;
    /// assert_eq!(DType::from_npy_code("i4"), Some(DType::I32));
    /// assert_eq!(DType::from_npy_code("O"), None);
    /// ```
    pub fn from_npy_code(code: &str) -> Option<DType> {
        DType::ALL
            .into_iter()
            .find(|dtype| dtype.npy_code() == code)
    }

    /// Bytes of an element.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::DType;
    /// assert_eq!(DType::I16.size(), 2);
    /// ```
    pub fn size(self) -> usize {
        match self {
            DType::Bool | DType::I8 | DType::U8 => 1,
            DType::I16 | DType::U16 => 2,
            DType::I32 | DType::U32 | DType::F32 => 4,
            DType::I64 | DType::U64 | DType::F64 => 8,
        }
    }

    /// Whether it has fractions.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::DType;
    /// assert!(DType::F32.is_float() && !DType::I32.is_float());
    /// ```
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }

    /// Whether it is an integer with a sign.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// use flagstone_array::DType;
    /// assert!(DType::I32.is_signed() && !DType::U32.is_signed());
    /// ```
    pub fn is_signed(self) -> bool {
        matches!(self, DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }

    /// The type that holds the values of both.
    ///
    /// ```
    /// use flagstone_array::DType;
    ///
    /// assert_eq!(DType::U8.promote(DType::I8), DType::I16);
    /// assert_eq!(DType::I32.promote(DType::F32), DType::F64);
    /// assert_eq!(DType::U64.promote(DType::I64), DType::F64);
    /// assert_eq!(DType::Bool.promote(DType::U16), DType::U16);
    /// ```
    pub fn promote(self, other: DType) -> DType {
        let (a, b) = (self, other);
        if a == b || b == DType::Bool {
            return a;
        }
        if a == DType::Bool {
            return b;
        }
        if a.is_float() || b.is_float() {
            let fits_single = |dtype: DType| dtype == DType::F32 || dtype.size() <= 2;
            return match fits_single(a) && fits_single(b) {
                true => DType::F32,
                false => DType::F64,
            };
        }
        if a.is_signed() == b.is_signed() {
            return if a.size() >= b.size() { a } else { b };
        }
        let (signed, unsigned) = if a.is_signed() { (a, b) } else { (b, a) };
        match signed.size().max(2 * unsigned.size()) {
            _ if signed.size() > unsigned.size() => signed,
            2 => DType::I16,
            4 => DType::I32,
            8 => DType::I64,
            _ => DType::F64,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
