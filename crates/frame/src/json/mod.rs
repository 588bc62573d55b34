//! JSON lines to Arrow columns.
//!
//! ```text
//! line --Marks--> where its quotes, brackets, colons and commas are
//!      --Cursor-> from mark to mark, checking the grammar
//!      --RecordDecoder-> wanted fields appended to columns; the rest skipped
//! ```
//!
//! No tree of values is built in between: a wanted string is copied once, from the text to its
//! column, and an unwanted one never.

mod column;
mod cursor;
mod decode;
mod keys;
mod marks;
mod quality;
mod sample;
mod scalar;
mod wanted;
mod widened;

pub(crate) use cursor::Bad;
pub(crate) use decode::RecordDecoder;
pub(crate) use marks::push_bits;
pub(crate) use quality::look;
pub(crate) use sample::{Head, Mixing, Sampler, check_text};
pub(crate) use wanted::Wanted;
pub(crate) use widened::Widened;
