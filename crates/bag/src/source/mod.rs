//! Where items come from: files of text or JSON, sequences, blocks of other collections.

pub(crate) mod binary;
pub(crate) mod blocks;
mod coding;
pub(crate) mod computed;
pub(crate) mod files;
pub(crate) mod json;
mod line;
pub(crate) mod made;
pub(crate) mod sequence;
pub(crate) mod text;
