//! Functions of elements, erased: what one instruction of a tape does to one tile.
//!
//! A kernel is made from a closure on elements while the types are known and called with slices of
//! bytes, so that an expression of many types is one list of kernels. The loop is compiled with the
//! closure inside.

use crate::elements::bytes::{from_bytes, from_bytes_mut};
use crate::elements::dtype::DType;
use crate::elements::element::Element;

/// A function of the elements at one place, on runs of elements.
pub(crate) struct Kernel {
    name: &'static str,
    inputs: Vec<DType>,
    output: DType,
    /// Two kernels with the same name and types do the same; not so those made from users'
    /// closures.
    known: bool,
    run: Box<Run>,
}

type Run = dyn Fn(&[&[u8]], &mut [u8]) + Send + Sync;

impl Kernel {
    fn new(name: &'static str, inputs: Vec<DType>, output: DType, run: Box<Run>) -> Self {
        Kernel {
            name,
            inputs,
            output,
            known: true,
            run,
        }
    }

    /// This kernel as one that was made from a closure of the user's.
    pub(crate) fn users(self) -> Self {
        Kernel {
            known: false,
            ..self
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn output(&self) -> DType {
        self.output
    }

    /// Fills `out` from inputs of as many elements. All are aligned.
    pub(crate) fn run(&self, inputs: &[&[u8]], out: &mut [u8]) {
        (self.run)(inputs, out);
    }

    pub(crate) fn hash(&self, hasher: &mut flagstone_common::TokenHasher) {
        if !self.known {
            hasher.unique();
        }
        hasher
            .str(self.name)
            .str(&format!("{:?} {:?}", self.inputs, self.output));
    }
}

/// A function of one element.
pub(crate) fn unary<A: Element, B: Element>(
    name: &'static str,
    function: impl Fn(A) -> B + Send + Sync + 'static,
) -> Kernel {
    let run = move |inputs: &[&[u8]], out: &mut [u8]| {
        let a = from_bytes::<A>(inputs[0]);
        for (out, &a) in from_bytes_mut::<B>(out).iter_mut().zip(a) {
            *out = function(a);
        }
    };
    Kernel::new(name, vec![A::DTYPE], B::DTYPE, Box::new(run))
}

/// A function of two elements.
pub(crate) fn binary<A: Element, B: Element, C: Element>(
    name: &'static str,
    function: impl Fn(A, B) -> C + Send + Sync + 'static,
) -> Kernel {
    let run = move |inputs: &[&[u8]], out: &mut [u8]| {
        let (a, b) = (from_bytes::<A>(inputs[0]), from_bytes::<B>(inputs[1]));
        for ((out, &a), &b) in from_bytes_mut::<C>(out).iter_mut().zip(a).zip(b) {
            *out = function(a, b);
        }
    };
    Kernel::new(name, vec![A::DTYPE, B::DTYPE], C::DTYPE, Box::new(run))
}

/// A function of three elements.
pub(crate) fn ternary<A: Element, B: Element, C: Element, D: Element>(
    name: &'static str,
    function: impl Fn(A, B, C) -> D + Send + Sync + 'static,
) -> Kernel {
    let run = move |inputs: &[&[u8]], out: &mut [u8]| {
        let (a, b) = (from_bytes::<A>(inputs[0]), from_bytes::<B>(inputs[1]));
        let c = from_bytes::<C>(inputs[2]);
        for (((out, &a), &b), &c) in from_bytes_mut::<D>(out).iter_mut().zip(a).zip(b).zip(c) {
            *out = function(a, b, c);
        }
    };
    let inputs = vec![A::DTYPE, B::DTYPE, C::DTYPE];
    Kernel::new(name, inputs, D::DTYPE, Box::new(run))
}
