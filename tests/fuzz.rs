//! Readers under inputs that nobody meant: for each format, seeds that are right, changed at random
//! without end. Whatever comes: no panic, no hang, memory within the budget, the same answer on the
//! serial executor and on threads.
//!
//! Each target runs for `FLAGSTONE_FUZZ_SECONDS` (2 unless set) from `FLAGSTONE_FUZZ_SEED`. An input
//! that fails is written to the temporary directory and named; put what it shows into a test of its
//! own.

#[path = "fuzz/case.rs"]
mod case;
#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/targets.rs"]
mod targets;
