//! The operations, one family a file: adaptors that become part of the loop, folds that end it, and
//! bags that are made of other bags.

pub(crate) mod attempt;
pub(crate) mod boxed;
pub(crate) mod captures;
pub(crate) mod collect;
pub(crate) mod concat;
mod delayed;
pub(crate) mod each;
pub(crate) mod flat;
pub(crate) mod fold;
pub(crate) mod frequencies;
pub(crate) mod group;
pub(crate) mod groups;
pub(crate) mod join;
mod keys;
pub(crate) mod number;
pub(crate) mod partition;
pub(crate) mod path;
pub(crate) mod piece;
pub(crate) mod pluck;
pub(crate) mod random;
mod reduction;
pub(crate) mod repartition;
pub(crate) mod running;
pub(crate) mod shared;
pub(crate) mod small;
pub(crate) mod sort;
pub(crate) mod take;
pub(crate) mod together;
pub(crate) mod topk;
pub(crate) mod with;
pub(crate) mod write;
