//! Which files patterns name.

use std::path::PathBuf;

use flagstone_common::Result;
use flagstone_io::IntoPaths;

/// The files that patterns name, in order, with their lengths in bytes.
///
/// ```
/// let files = flagstone::list_files(["datasets/samples/words/*.txt"])?;
/// assert!(files[0].0.ends_with("words-0000.txt"));
/// # Ok::<(), flagstone_common::Error>(())
/// ```
///
/// # Errors
/// A pattern that names nothing, a file that is missing or cannot be read.
pub fn list_files(patterns: impl IntoPaths) -> Result<Vec<(PathBuf, u64)>> {
    let files = flagstone_io::expand(patterns.into_paths())?;
    Ok(files
        .into_iter()
        .map(|file| (file.path().to_owned(), file.len()))
        .collect())
}
