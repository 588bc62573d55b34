//! `+ - * /` on handles, references to handles and plain numbers.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::array::Array;
use crate::element::Element;
use crate::kernels::elementwise::Binary;

macro_rules! operators {
    ($($trait:ident $method:ident $op:expr),*) => {
        $(
            impl<T: Element> $trait<&Array<T>> for &Array<T> {
                type Output = Array<T>;
                #[track_caller]
                fn $method(self, other: &Array<T>) -> Array<T> {
                    self.binary($op, other)
                }
            }
            impl<T: Element> $trait<Array<T>> for &Array<T> {
                type Output = Array<T>;
                #[track_caller]
                fn $method(self, other: Array<T>) -> Array<T> {
                    self.binary($op, &other)
                }
            }
            impl<T: Element> $trait<&Array<T>> for Array<T> {
                type Output = Array<T>;
                #[track_caller]
                fn $method(self, other: &Array<T>) -> Array<T> {
                    self.binary($op, other)
                }
            }
            impl<T: Element> $trait<Array<T>> for Array<T> {
                type Output = Array<T>;
                #[track_caller]
                fn $method(self, other: Array<T>) -> Array<T> {
                    self.binary($op, &other)
                }
            }
            impl<T: Element> $trait<T> for &Array<T> {
                type Output = Array<T>;
                #[track_caller]
                fn $method(self, other: T) -> Array<T> {
                    self.binary($op, &Array::scalar(other))
                }
            }
            impl<T: Element> $trait<T> for Array<T> {
                type Output = Array<T>;
                #[track_caller]
                fn $method(self, other: T) -> Array<T> {
                    self.binary($op, &Array::scalar(other))
                }
            }
        )*
    };
}

operators!(
    Add add Binary::Add,
    Sub sub Binary::Subtract,
    Mul mul Binary::Multiply,
    Div div Binary::Divide
);

impl<T: Element> Neg for &Array<T> {
    type Output = Array<T>;
    #[track_caller]
    fn neg(self) -> Array<T> {
        // zero minus x has the bits of -x but for the sign of zeros; times -1 keeps those too
        let minus_one = T::ZERO.minus(T::ONE);
        self.binary(Binary::Multiply, &Array::scalar(minus_one))
    }
}

impl<T: Element> Neg for Array<T> {
    type Output = Array<T>;
    #[track_caller]
    fn neg(self) -> Array<T> {
        -&self
    }
}
