//! Delimited text (CSV, TSV) to Arrow columns.
//!
//! ```text
//! block --Marks--> where its delimiters, line ends and quotes are
//!       --Splitter-> records: where each field starts and ends
//!       --Column--> only the wanted fields, parsed where they stand
//! ```
//! In a block without quotes a record of *n* fields has *n* marks, so that a wanted field is found
//! without looking at the ones before it.

pub(crate) mod column;
pub(crate) mod dates;
pub(crate) mod ends;
pub(crate) mod field;
pub(crate) mod given;
pub(crate) mod marks;
pub(crate) mod split;
