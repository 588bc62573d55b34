//! `delayed`: any closure over values and other lazy values, types checked by the compiler.

use std::panic::Location;
use std::sync::Arc;

use crate::block::Block;
use crate::lazy::Lazy;

/// Wraps a closure. Calling the result with a tuple of [`Lazy`] arguments computes nothing yet.
///
/// ```
/// use flagstone_graph::{SerialExecutor, delayed, lazy};
///
/// let add = delayed(|a: &i64, b: &i64| a + b);
/// let one = lazy(1);
/// let two = add.call((&one, &one));
/// let three = add.call((&one, &two));
/// assert_eq!(three.compute_with(&SerialExecutor)?, 3);
/// # Ok::<(), flagstone_common::Error>(())
/// ```
pub fn delayed<F>(function: F) -> Delayed<F> {
    Delayed {
        function: Arc::new(function),
    }
}

/// A closure wrapped by [`delayed`].
pub struct Delayed<F> {
    function: Arc<F>,
}

impl<F> Delayed<F> {
    /// The closure's result for these arguments, not computed yet.
    #[track_caller]
    pub fn call<A, R>(&self, arguments: A) -> Lazy<R>
    where
        A: Arguments<F, R>,
    {
        arguments.bind(Arc::clone(&self.function), Location::caller())
    }
}

/// Tuples of `&Lazy` that a closure over references to their values takes. Sealed by construction:
/// implemented for up to six arguments.
pub trait Arguments<F, R> {
    #[doc(hidden)]
    fn bind(self, function: Arc<F>, location: &'static Location<'static>) -> Lazy<R>;
}

macro_rules! arguments {
    ($($name:ident $index:tt),*) => {
        impl<F, R, $($name),*> Arguments<F, R> for ($(&Lazy<$name>,)*)
        where
            F: Fn($(&$name),*) -> R + Send + Sync + 'static,
            R: Send + Sync + 'static,
            $($name: Send + Sync + 'static,)*
        {
            fn bind(self, function: Arc<F>, location: &'static Location<'static>) -> Lazy<R> {
                let deps = vec![$(Arc::clone(&self.$index.node)),*];
                Lazy::new(deps, location, move |_inputs| {
                    Ok(Block::value(function($(_inputs.value::<$name>($index)?),*)))
                })
            }
        }
    };
}

arguments!();
arguments!(A 0);
arguments!(A 0, B 1);
arguments!(A 0, B 1, C 2);
arguments!(A 0, B 1, C 2, D 3);
arguments!(A 0, B 1, C 2, D 3, E 4);
arguments!(A 0, B 1, C 2, D 3, E 4, G 5);
