//! The way from one element type to another.

use std::fmt::Debug;

/// A number of any type, widened: the way from one element type to another.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wide {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

impl Wide {
    /// The integer that it is, exactly; `None` of a float.
    #[inline]
    pub(crate) fn integer(self) -> Option<i128> {
        match self {
            Wide::Signed(value) => Some(value.into()),
            Wide::Unsigned(value) => Some(value.into()),
            Wide::Float(_) => None,
        }
    }
}
