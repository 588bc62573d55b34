//! `flagstone generate`.

use flagstone::format_bytes;
use flagstone_datasets as datasets;

use crate::args::Generate;
use crate::out::print;
use crate::run::{Failure, say};

pub(crate) fn run(args: &Generate) -> Result<(), Failure> {
    let threads = args
        .threads
        .map_or_else(|| flagstone::Machine::detect().threads, usize::from);
    let files = datasets::generate(args.kind, args.size, args.seed, &args.to, threads)
        .map_err(|error| Failure::Other(error.to_string()))?;
    let size = |path: &std::path::PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let bytes: u64 = files.iter().map(size).sum();
    say(format_args!(
        "{} files, {}",
        files.len(),
        format_bytes(bytes)
    ));
    let line = |path: &std::path::PathBuf| format!("{}\n", path.display());
    print(files.iter().map(line).collect::<String>())
}
