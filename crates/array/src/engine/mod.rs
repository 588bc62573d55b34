//! From expressions to layers, and from layers to results.
//!
//! The engine lowers nodes ([`lowering`]), cuts what they are made of ([`fit`], [`rechunk`],
//! [`shuffle`]), runs what is fused region by region ([`evaluate`], [`piecewise`]) and hands results
//! out ([`collect`], [`terminal`]). It knows no family of operations: those call it.

pub(crate) mod collect;
pub(crate) mod counting;
pub(crate) mod evaluate;
pub(crate) mod fit;
pub(crate) mod lowering;
pub(crate) mod piecewise;
pub(crate) mod rechunk;
pub(crate) mod shuffle;
pub(crate) mod terminal;
pub(crate) mod whole;
