//! `flagstone generate`.

use std::time::Duration;

use flagstone::{CancelToken, OutputOptions, format_bytes, format_count};
use flagstone_datasets as datasets;
use flagstone_io::AtomicDir;

use crate::args::Generate;
use crate::out::print;
use crate::reports;
use crate::run::{Failure, say};
use crate::signals;

pub(crate) fn run(args: &Generate) -> Result<(), Failure> {
    let threads = args
        .threads
        .map_or_else(|| flagstone::Machine::detect().threads, usize::from);
    if reports::exists(&args.to) {
        return Err(Failure::Other(format!(
            "{} exists already; choose another name, or remove it first",
            args.to.display()
        )));
    }
    let failed = |error: flagstone::Error| Failure::Other(error.to_string());
    let token = signals::token()?;
    let directory = AtomicDir::create(&args.to, OutputOptions::default()).map_err(failed)?;
    remove_on_signal(token, directory.path().to_owned());
    let made = datasets::generate(args.kind, args.size, args.seed, directory.path(), threads)
        .map_err(|error| Failure::Other(error.to_string()))?;
    let size = |path: &std::path::PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let bytes: u64 = made.iter().map(size).sum();
    directory.commit().map_err(failed)?;
    let names = made.iter().filter_map(|path| path.file_name());
    let line = |name| format!("{}\n", args.to.join(name).display());
    print(names.map(line).collect::<String>())?;
    say(format_args!(
        "{}, {}",
        format_count(made.len() as u64, "file"),
        format_bytes(bytes)
    ));
    Ok(())
}

/// The generators know no cancellation: after a signal what they wrote is removed from under them.
fn remove_on_signal(token: CancelToken, directory: std::path::PathBuf) {
    let watch = move || {
        while !token.is_cancelled() {
            std::thread::sleep(Duration::from_millis(20));
        }
        // a file may be made between the listing and the end of the removal
        while directory.exists() && std::fs::remove_dir_all(&directory).is_err() {}
        let stopped = Failure::Run(flagstone::Error::cancelled());
        say(format_args!("{stopped}"));
        std::process::exit(i32::from(stopped.code()));
    };
    // without the thread a signal is not answered, as the message of the operating system says
    let _ = std::thread::Builder::new()
        .name("flagstone-remove".into())
        .spawn(watch);
}
