//! `+ - * /` on handles, references to handles and plain numbers; casts and choices.
//!
//! Operands of different element types are promoted ([`DType::promote`](crate::DType::promote)).
//! A plain number has the type of the array: one that does not fit does not compile.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::elements::element::Element;
use crate::elements::promote::Promote;
use crate::expr::array::Array;
use crate::kernels::map::{Kernel, binary, unary};

/// Shorthand for the type that two promote to.
type Output<A, B> = <A as Promote<B>>::Output;
/// Shorthand for the type of a quotient.
type Quotient<A, B> = <A as Promote<B>>::Quotient;

fn add<A: Element + Promote<B>, B: Element>() -> Kernel {
    binary("add", |a: A, b: B| a.cast::<Output<A, B>>().plus(b.cast()))
}

fn subtract<A: Element + Promote<B>, B: Element>() -> Kernel {
    binary("subtract", |a: A, b: B| {
        a.cast::<Output<A, B>>().minus(b.cast())
    })
}

fn multiply<A: Element + Promote<B>, B: Element>() -> Kernel {
    binary("multiply", |a: A, b: B| {
        a.cast::<Output<A, B>>().times(b.cast())
    })
}

fn divide<A: Element + Promote<B>, B: Element>() -> Kernel {
    binary("divide", |a: A, b: B| {
        a.cast::<Quotient<A, B>>().over(b.cast())
    })
}

macro_rules! operators {
    ($($trait:ident $method:ident $output:ident $kernel:ident),*) => {
        $(
            impl<A: Element + Promote<B>, B: Element> $trait<&Array<B>> for &Array<A> {
                type Output = Array<$output<A, B>>;
                #[track_caller]
                fn $method(self, other: &Array<B>) -> Self::Output {
                    Array::apply($kernel::<A, B>(), &[&self.node, &other.node])
                }
            }
            impl<A: Element + Promote<B>, B: Element> $trait<Array<B>> for &Array<A> {
                type Output = Array<$output<A, B>>;
                #[track_caller]
                fn $method(self, other: Array<B>) -> Self::Output {
                    self.$method(&other)
                }
            }
            impl<A: Element + Promote<B>, B: Element> $trait<&Array<B>> for Array<A> {
                type Output = Array<$output<A, B>>;
                #[track_caller]
                fn $method(self, other: &Array<B>) -> Self::Output {
                    <&Array<A> as $trait<&Array<B>>>::$method(&self, other)
                }
            }
            impl<A: Element + Promote<B>, B: Element> $trait<Array<B>> for Array<A> {
                type Output = Array<$output<A, B>>;
                #[track_caller]
                fn $method(self, other: Array<B>) -> Self::Output {
                    (&self).$method(&other)
                }
            }
            impl<T: Element> $trait<T> for &Array<T> {
                type Output = Array<$output<T, T>>;
                #[track_caller]
                fn $method(self, other: T) -> Self::Output {
                    self.$method(&Array::scalar(other))
                }
            }
            impl<T: Element> $trait<T> for Array<T> {
                type Output = Array<$output<T, T>>;
                #[track_caller]
                fn $method(self, other: T) -> Self::Output {
                    (&self).$method(&Array::scalar(other))
                }
            }
        )*
    };
}

operators!(
    Add add Output add,
    Sub sub Output subtract,
    Mul mul Output multiply,
    Div div Quotient divide
);

impl<T: Element> Neg for &Array<T> {
    type Output = Array<T>;
    #[track_caller]
    fn neg(self) -> Array<T> {
        // times -1 keeps the sign of zeros, which zero minus x would not
        let minus_one = T::ZERO.minus(T::ONE);
        let kernel = unary("negative", move |x: T| x.times(minus_one));
        Array::apply(kernel, &[&self.node])
    }
}

impl<T: Element> Neg for Array<T> {
    type Output = Array<T>;
    #[track_caller]
    fn neg(self) -> Array<T> {
        -&self
    }
}

impl<T: Element> Array<T> {
    /// The elements in another type, as Rust's `as` converts: integers wrap, floats are truncated
    /// and saturate; anything but zero is true.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.7, -1.7, 300.0]);
    /// assert_eq!(x.astype::<i32>().compute_with(&SerialExecutor)?, array![1, -1, 300].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn astype<U: Element>(&self) -> Array<U> {
        Array::apply(unary("astype", T::cast::<U>), &[&self.node])
    }

    /// A function of each element, possibly of another type. It must be pure.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1.0, 4.0]);
    /// assert_eq!(x.map(|x: f64| x > 2.0).compute_with(&SerialExecutor)?, array![false, true].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn map<U: Element>(&self, function: impl Fn(T) -> U + Send + Sync + 'static) -> Array<U> {
        Array::apply(unary("map", function).users(), &[&self.node])
    }

    /// A function of the elements at the same place of two arrays, which are broadcast. It must be
    /// pure.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let x = Array::from_ndarray(array![1, 5]);
    /// let y = Array::from_ndarray(array![4, 2]);
    /// assert_eq!(x.zip_map(&y, |x: i32, y: i32| (x - y).abs()).compute_with(&SerialExecutor)?, array![3, 3].into_dyn());
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn zip_map<U: Element, V: Element>(
        &self,
        other: &Array<U>,
        function: impl Fn(T, U) -> V + Send + Sync + 'static,
    ) -> Array<V> {
        Array::apply(
            binary("zip_map", function).users(),
            &[&self.node, &other.node],
        )
    }
}
