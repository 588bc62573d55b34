//! Where items come from: files of text or JSON, sequences, other bags and collections.

pub(crate) mod binary;
pub(crate) mod blocks;
pub(crate) mod boxed;
mod coding;
pub(crate) mod computed;
pub(crate) mod concat;
pub(crate) mod files;
pub(crate) mod json;
pub(crate) mod made;
pub(crate) mod running;
pub(crate) mod sequence;
pub(crate) mod shared;
pub(crate) mod text;
pub(crate) mod together;
pub(crate) mod with;
