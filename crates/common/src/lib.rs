//! What every crate of Flagstone stands on.
//!
//! Three things are asked for everywhere, from a kernel to the scheduler, and each of them must be
//! one thing: how memory is accounted for ([`Lease`]), what an error is ([`Error`]), and what a
//! task may use beside its inputs ([`TaskContext`]). With them here a kernel needs no graph, and a
//! reader of files speaks of its failures in the same words as a computation.
//!
//! # The account book of bytes
//!
//! Everything in Flagstone that can grow with the data asks here *before* it allocates. A grant is
//! a [`Lease`]; dropping the lease gives the bytes back. The crate only counts: it never allocates,
//! never chooses what to evict and never waits. Who counts is behind the trait [`Account`]: the
//! scheduler's ledger in a session, [`Unlimited`] or [`Bounded`] in tests and small programs.
//!
//! # Invariants
//! 1. An account's granted bytes are the sum of its living leases (plus what a task was granted in
//!    advance).
//! 2. A refused request changes nothing.
//! 3. No call waits for another lease to be returned.
//!
//! ```
//! use flagstone_common::{Bounded, Memory};
//!
//! let memory = Bounded::new(1000);
//! let mut lease = memory.reserve(600)?;
//! assert!(memory.reserve(600).is_err());
//! lease.try_grow(400)?;
//! assert_eq!(memory.granted_bytes(), 1000);
//! drop(lease);
//! assert_eq!(memory.granted_bytes(), 0);
//! # Ok::<(), flagstone_common::NeedsMemory>(())
//! ```

mod bytes;
mod lease;

mod error;
mod origin;
mod unwind;

mod context;
mod quality;
mod reserve;
mod spool;
mod token;

pub use bytes::{ParseBytesError, format_budget, format_bytes, format_count, parse_bytes};
pub use context::{Counter, ScratchFile, ScratchRange, SerialHost, TaskContext, TaskHost};
pub use error::{Error, ErrorKind, Fault, Result};
pub use lease::{Account, Bounded, Lease, Memory, NeedsMemory, Unlimited};
pub use origin::Origin;
pub use quality::{KEYS_MAX, KeySeen, Qualities, Quality, ValueType};
pub use reserve::{Reserve, with_reserves};
pub use spool::Spool;
pub use token::{Token, TokenHasher};
pub use unwind::{catch, drop_each_quietly, drop_quietly};
