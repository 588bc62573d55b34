//! Which files patterns name.

use std::path::{Path, PathBuf};

use flagstone_graph::{Error, Result};

/// The files that patterns name, in order, with their lengths in bytes.
///
/// ```
/// let files = flagstone::list_files(["datasets/samples/words/*.txt"])?;
/// assert!(files[0].0.ends_with("words-0000.txt"));
/// # Ok::<(), flagstone_graph::Error>(())
/// ```
///
/// # Errors
/// A pattern that names nothing, a file that is missing or cannot be read.
pub fn list_files<P: AsRef<Path>>(
    patterns: impl IntoIterator<Item = P>,
) -> Result<Vec<(PathBuf, u64)>> {
    let files = flagstone_io::expand(patterns).map_err(Error::failed)?;
    Ok(files
        .into_iter()
        .map(|file| (file.path().to_owned(), file.len()))
        .collect())
}
