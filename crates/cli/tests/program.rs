//! The program as its users meet it: run as a process, judged by its exit code, by what it says,
//! and by the files that are there afterwards.

#[path = "program/budget.rs"]
mod budget;
#[path = "program/common.rs"]
mod common;
#[path = "program/disk.rs"]
mod disk;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "program/faulted.rs"]
mod faulted;
#[path = "program/input.rs"]
mod input;
#[path = "program/inspected.rs"]
mod inspected;
#[path = "program/matrices.rs"]
mod matrices;
#[path = "program/output.rs"]
mod output;
#[path = "program/pattern.rs"]
mod pattern;
#[path = "program/quarantined.rs"]
mod quarantined;
#[path = "program/queries.rs"]
mod queries;
#[path = "program/reports.rs"]
mod reports;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "program/scenario.rs"]
mod scenario;
#[path = "program/scripts.rs"]
mod scripts;
#[cfg(target_os = "linux")]
#[path = "program/shell.rs"]
mod shell;
#[path = "program/signals.rs"]
mod signals;
#[path = "program/tables.rs"]
mod tables;
#[path = "program/usage.rs"]
mod usage;
#[path = "program/windows.rs"]
mod windows;
