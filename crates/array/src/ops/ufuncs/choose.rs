//! Choices between elements.

use crate::array::Array;
use crate::element::{Element, Float};
use crate::kernels::map::{ternary, unary};

impl<T: Element> Array<T> {
    /// The element of the first choice whose condition is true, else `default`: NumPy's `select`.
    #[track_caller]
    pub fn choose(cases: &[(&Array<bool>, &Array<T>)], default: &Array<T>) -> Array<T> {
        let mut result = default.clone();
        for (condition, choice) in cases.iter().rev() {
            result = condition.select(choice, &result);
        }
        result
    }
}

impl Array<bool> {
    /// Where this is true the element of `yes`, elsewhere that of `no`: NumPy's `where`.
    #[track_caller]
    pub fn select<T: Element>(&self, yes: &Array<T>, no: &Array<T>) -> Array<T> {
        let kernel = ternary("select", |c: bool, a: T, b: T| if c { a } else { b });
        Array::apply(kernel, &[&self.node, &yes.node, &no.node])
    }
}

impl<T: Float> Array<T> {
    /// Not-a-number as 0, infinities as the largest and the lowest finite numbers.
    #[track_caller]
    pub fn nan_to_num(&self) -> Array<T> {
        let kernel = unary("nan_to_num", |x: T| match x {
            x if x.is_not_a_number() => T::ZERO,
            x if x == T::HIGHEST => x.next(false),
            x if x == T::LOWEST => x.next(true),
            x => x,
        });
        Array::apply(kernel, &[&self.node])
    }

    /// Not-a-number as another value.
    #[track_caller]
    pub fn fill_nan(&self, value: T) -> Array<T> {
        self.isnan().select(&Array::scalar(value), self)
    }
}
