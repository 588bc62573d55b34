//! Deterministic, streaming generators of the data that Flagstone is tested and measured on.
//!
//! The same kind, size and seed give the same bytes, whatever the number of threads; memory stays
//! at a few batches a thread. Nothing here is copied from real people or systems: names, addresses
//! and events are drawn from a seeded random number generator.
//!
//! ```
//! use flagstone_datasets::{Kind, generate};
//!
//! let dir = std::env::temp_dir().join(format!("flagstone-doc-{}", std::process::id()));
//! let files = generate(Kind::Words, 10_000, 7, &dir, 2)?;
//! assert!(std::fs::metadata(&files[0])?.len() >= 10_000);
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arcos;
mod gharchive;
mod groupby;
mod logs;
mod matrix;
mod random;
mod words;
mod write;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use logs::planted_pair_counts;
pub use matrix::generate_matrix;

/// What can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Hourly files of GitHub-like events, JSON lines in gzip.
    GhArchive,
    /// Lines of a proxy's log with client and server addresses.
    Logs,
    /// One tab-separated table of drug shipments with 29 columns.
    Arcos,
    /// The table of the h2o group-by benchmark (G1), as CSV.
    GroupBy,
    /// Two square matrices of `f64`, as npy.
    Matrix,
    /// Lines of words with a Zipf distribution.
    Words,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] = [
        Kind::GhArchive,
        Kind::Logs,
        Kind::Arcos,
        Kind::GroupBy,
        Kind::Matrix,
        Kind::Words,
    ];

    /// The name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Kind::GhArchive => "gharchive",
            Kind::Logs => "logs",
            Kind::Arcos => "arcos",
            Kind::GroupBy => "groupby",
            Kind::Matrix => "matrix",
            Kind::Words => "words",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                format!(
                    "there is no data set {name:?}; choose one of {}",
                    names.join(", ")
                )
            })
    }
}

/// A file that could not be written.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// The result of generating.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn new(path: &Path, source: io::Error) -> Self {
        Error {
            path: path.to_owned(),
            source,
        }
    }

    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write {}: {}", self.path.display(), self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Writes a data set of about `size_bytes` (before compression) into `dir`, which is made if it is
/// missing, and returns its files. Existing files are not replaced.
///
/// # Errors
/// A directory or file that cannot be written, or exists already.
pub fn generate(
    kind: Kind,
    size_bytes: u64,
    seed: u64,
    dir: &Path,
    threads: usize,
) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(dir).map_err(|error| Error::new(dir, error))?;
    let threads = threads.max(1);
    match kind {
        Kind::GhArchive => gharchive::generate(size_bytes, seed, dir, threads),
        Kind::Logs => logs::generate(size_bytes, seed, dir, threads),
        Kind::Arcos => arcos::generate(size_bytes, seed, dir, threads),
        Kind::GroupBy => groupby::generate(size_bytes, seed, dir, threads),
        Kind::Matrix => matrix::generate(size_bytes, seed, dir, threads),
        Kind::Words => words::generate(size_bytes, seed, dir, threads),
    }
}
