//! The folds: sums, products, extremes, moments, and their forms that leave out not-a-number.

pub(crate) mod extremes;
pub(crate) mod moments;
pub(crate) mod sum;
