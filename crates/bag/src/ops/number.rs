//! Sums, extremes and means.

use std::cmp::Ordering;
use std::sync::Arc;

use flagstone_common::{Error, Result};

use crate::bag::Bag;
use crate::chain::Stage;
use crate::item::BagItem;
use crate::ops::fold::FoldStep;
use flagstone_exchange::Portable;

/// A number that can be summed up. Integers fail on overflow rather than wrap.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no number that can be summed up",
    note = "map the items to integers or floats first, `map(|item| item.amount)`, or use `fold`"
)]
pub trait Number: Portable + Copy {
    /// Zero.
    const ZERO: Self;
    /// The sum, if it fits.
    fn plus(self, other: Self) -> Option<Self>;
    /// Whether a sum, or that it does not fit, is the same in any order.
    const ANY_ORDER: bool;
    /// The nearest float.
    fn to_f64(self) -> f64;
}

macro_rules! numbers {
    ($($integer:ty),*; $($float:ty),*) => {
        $(impl Number for $integer {
            const ZERO: Self = 0;
            const ANY_ORDER: bool = <$integer>::MIN == 0;
            fn plus(self, other: Self) -> Option<Self> { self.checked_add(other) }
            fn to_f64(self) -> f64 { self as f64 }
        })*
        $(impl Number for $float {
            const ZERO: Self = 0.0;
            const ANY_ORDER: bool = false;
            fn plus(self, other: Self) -> Option<Self> { Some(self + other) }
            fn to_f64(self) -> f64 { f64::from(self) }
        })*
    };
}

numbers!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize; f32, f64);

fn plus<T: Number>(a: T, b: T) -> Result<T> {
    let overflow = || {
        let name = std::any::type_name::<T>();
        Error::failed(format!(
            "the sum does not fit into {name}; map the items to a wider type"
        ))
    };
    a.plus(b).ok_or_else(overflow)
}

impl<S: Stage> Bag<S> {
    /// The sum of all items; zero for none. Floats are added in the order of the items within a
    /// partition, and partition sums along a fixed tree.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::range(0..5, 2).sum::<u64>().compute_with(&SerialExecutor)?, 10);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn sum<T: Number>(&self) -> BagItem<T>
    where
        S: for<'a> Stage<Item<'a> = T>,
    {
        let step = FoldStep {
            name: "sum",
            needs_order: !T::ANY_ORDER,
        };
        self.fold_step(step, || T::ZERO, plus, plus)
    }

    /// The smallest item; of equal ones the first.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::from_sequence([3, 1, 2], 2).min().compute_with(&SerialExecutor)?, Some(1));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn min<T: Portable + Ord>(&self) -> BagItem<Option<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
    {
        self.extreme("min", Ordering::Less, T::cmp)
    }

    /// The largest item; of equal ones the first.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::from_sequence([3, 1, 2], 2).max().compute_with(&SerialExecutor)?, Some(3));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn max<T: Portable + Ord>(&self) -> BagItem<Option<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
    {
        self.extreme("max", Ordering::Greater, T::cmp)
    }

    /// The smallest item by a comparison; of equal ones the first. For floats, with
    /// [`f64::total_cmp`].
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::from_sequence([0.5, -1.0], 1);
    /// assert_eq!(bag.min_by(f64::total_cmp).compute_with(&SerialExecutor)?, Some(-1.0));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn min_by<T, F>(&self, compare: F) -> BagItem<Option<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
        F: Fn(&T, &T) -> Ordering + Send + Sync + 'static,
    {
        self.extreme("min_by", Ordering::Less, compare)
    }

    /// The largest item by a comparison; of equal ones the first. For floats, with
    /// [`f64::total_cmp`].
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let bag = Bag::from_sequence([0.5, -1.0], 1);
    /// assert_eq!(bag.max_by(f64::total_cmp).compute_with(&SerialExecutor)?, Some(0.5));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn max_by<T, F>(&self, compare: F) -> BagItem<Option<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
        F: Fn(&T, &T) -> Ordering + Send + Sync + 'static,
    {
        self.extreme("max_by", Ordering::Greater, compare)
    }

    #[track_caller]
    fn extreme<T, F>(&self, name: &'static str, wanted: Ordering, compare: F) -> BagItem<Option<T>>
    where
        S: for<'a> Stage<Item<'a> = T>,
        T: Portable,
        F: Fn(&T, &T) -> Ordering + Send + Sync + 'static,
    {
        let pick = Arc::new(move |a: Option<T>, b: Option<T>| {
            Ok(match (a, b) {
                (Some(a), Some(b)) if compare(&b, &a) == wanted => Some(b),
                (a, b) => a.or(b),
            })
        });
        let each = Arc::clone(&pick);
        self.fold_step(
            FoldStep::in_order(name),
            || None,
            move |a, item| each(a, Some(item)),
            move |a, b| pick(a, b),
        )
    }

    /// The mean of all items; `None` for none.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::range(0..4, 2).mean().compute_with(&SerialExecutor)?, Some(1.5));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn mean<T: Number>(&self) -> BagItem<Option<f64>>
    where
        S: for<'a> Stage<Item<'a> = T>,
    {
        self.moments("mean")
            .map(|(n, mean, _)| (n > 0).then_some(mean))
    }

    /// The population variance of all items; `None` for none.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::from_sequence([1.0, 3.0], 2).var().compute_with(&SerialExecutor)?, Some(1.0));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn var<T: Number>(&self) -> BagItem<Option<f64>>
    where
        S: for<'a> Stage<Item<'a> = T>,
    {
        self.moments("var")
            .map(|(n, _, squares)| (n > 0).then(|| squares / n as f64))
    }

    /// The population standard deviation of all items; `None` for none.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// assert_eq!(Bag::from_sequence([1.0, 5.0], 2).std().compute_with(&SerialExecutor)?, Some(2.0));
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn std<T: Number>(&self) -> BagItem<Option<f64>>
    where
        S: for<'a> Stage<Item<'a> = T>,
    {
        self.var().map(|var| var.map(f64::sqrt))
    }

    /// Count, mean and the sum of squared distances from the mean, merged as Chan et al. do: a
    /// plain sum of squares would cancel.
    #[track_caller]
    fn moments<T: Number>(&self, name: &'static str) -> BagItem<(u64, f64, f64)>
    where
        S: for<'a> Stage<Item<'a> = T>,
    {
        self.fold_step(
            FoldStep::in_order(name),
            || (0u64, 0.0f64, 0.0f64),
            |(n, mean, squares), item| {
                let (n, value) = (n + 1, item.to_f64());
                let delta = value - mean;
                let mean = mean + delta / n as f64;
                Ok((n, mean, squares + delta * (value - mean)))
            },
            |(n, a, s), (m, b, t)| {
                if n == 0 || m == 0 {
                    return Ok(if n == 0 { (m, b, t) } else { (n, a, s) });
                }
                let (count, delta) = ((n + m) as f64, b - a);
                let mean = a + delta * (m as f64 / count);
                Ok((
                    n + m,
                    mean,
                    s + t + delta * delta * (n as f64 * m as f64 / count),
                ))
            },
        )
    }
}
