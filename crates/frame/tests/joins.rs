//! Joins: every kind against nested loops, in every budget, and what their plans say.

mod common;

#[path = "joins/asof.rs"]
mod asof;
#[path = "joins/budgets.rs"]
mod budgets;
#[path = "joins/frames.rs"]
mod frames;
#[path = "joins/kinds.rs"]
mod kinds;
#[path = "joins/oracle.rs"]
mod oracle;
