//! What runs inside tasks.
//!
//! ```text
//! source --batch--> filter --batch--> project --batch--> sink --block-->
//! ```
//! All of one partition's operators and the sink at their end are one task: a batch is gone before
//! the next one is made.

pub(crate) mod aggregate;
pub(crate) mod collect;
pub(crate) mod pipeline;
