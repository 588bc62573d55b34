//! What files hold, from their headers and footers.

use std::path::{Path, PathBuf};

use flagstone_graph::{Error, Result};

pub use flagstone_array::{NpyInfo, inspect_npy};
pub use flagstone_frame::{ParquetInfo, inspect_parquet};

/// The element type of an npy file as its header spells it: `<f8`.
///
/// # Errors
/// A file that is missing or no npy file.
pub fn npy_descr(path: impl AsRef<Path>) -> Result<String> {
    inspect_npy(path).map(|info| info.descr)
}

/// The files that patterns name, in order, with their lengths in bytes.
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
