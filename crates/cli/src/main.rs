//! The `flagstone` program: convert, matmul, inspect, generate, explain.
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
    let cli = Cli::parse(); // usage errors end with 2
    print_no_panic_of_planners();
    let result = match cli.command {
        Command::Convert(args) => commands::convert::run(&args),
        Command::Matmul(args) => commands::matmul::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Generate(args) => commands::generate::run(&args),
        Command::Explain {
            command: Explained::Convert(args),
        } => commands::convert::explain(&args),
        Command::Explain {
            command: Explained::Matmul(args),
        } => commands::matmul::explain(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            run::say(format_args!("{failure}"));
            ExitCode::from(failure.code())
        }
    }
}

/// A panic of the planner comes back as an error, which is said once.
fn print_no_panic_of_planners() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(flagstone::PLANNER_THREAD) {
            usual(panic);
        }
    }));
}
