//! What runs inside tasks.
//!
//! ```text
//! source --batch--> filter --batch--> project --batch--> sink --block-->
//! ```
//! All of one partition's operators and the sink at their end are one task: a batch is gone before
//! the next one is made. What has to see all rows first is a source of the pipeline above it.

pub(crate) mod breaker;
pub(crate) mod collect;
pub(crate) mod group;
pub(crate) mod join;
pub(crate) mod limit;
pub(crate) mod native;
pub(crate) mod operator;
pub(crate) mod pipeline;
pub(crate) mod sort;
pub(crate) mod stored;
pub(crate) mod union;
pub(crate) mod unnest;
pub(crate) mod window;
