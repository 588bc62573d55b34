//! Window functions: every function and frame against plain loops, in every budget, and in SQL.

mod common;

#[path = "windows/budgets.rs"]
mod budgets;
#[path = "windows/expressions.rs"]
mod expressions;
#[path = "windows/frames.rs"]
mod frames;
#[path = "windows/oracle.rs"]
mod oracle;
#[path = "windows/queries.rs"]
mod queries;
#[path = "windows/reshaped.rs"]
mod reshaped;
#[path = "windows/statistics.rs"]
mod statistics;
