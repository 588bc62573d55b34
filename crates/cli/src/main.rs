//! The `flagstone` program: convert, query, matmul, inspect, generate, explain.
//!
//! Exit codes: 0 done, 1 data or run error, 2 usage, 130 interrupted, 143 terminated.

mod args;
mod commands;
mod memory;
mod out;
mod reports;
mod run;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command, Explained};

fn main() -> ExitCode {
    signals::ignore_file_size_limit();
    quiet_panics();
    let cli = Cli::parse(); // usage errors end with 2
    let result = signals::token().and_then(|_| run(cli.command));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            run::say(format_args!("{failure}"));
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: Command) -> Result<(), run::Failure> {
    match command {
        Command::Convert(args) => commands::convert::run(&args),
        Command::Query(args) => commands::query::run(&args),
        Command::Matmul(args) => commands::matmul::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Generate(args) => commands::generate::run(&args),
        Command::Explain {
            command: Explained::Convert(args),
        } => commands::convert::explain(&args),
        Command::Explain {
            command: Explained::Query(args),
        } => commands::query::explain(&args),
        Command::Explain {
            command: Explained::Matmul(args),
        } => commands::matmul::explain(&args),
    }
}

/// A panic of a task or of the planner (a library's decoder at a damaged file) comes back as an error that
/// names the file; what is said of the thread besides is of use to nobody but who looks for the bug, and
/// asks for it.
fn quiet_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let is_caught = thread
            .name()
            .is_some_and(|name| name.starts_with("flagstone-"));
        if !is_caught || std::env::var_os("RUST_BACKTRACE").is_some_and(|asked| asked != "0") {
            loud(panic);
        }
    }));
}
