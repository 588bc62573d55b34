//! What files hold, from their headers and footers.

use std::path::{Path, PathBuf};

use flagstone_array::DType;
use flagstone_graph::{Error, Result};
use flagstone_io::IntoPaths;

pub use flagstone_array::{NpyInfo, ZarrInfo, inspect_npy, inspect_zarr, zarr_members};
pub use flagstone_frame::{ParquetInfo, inspect_parquet, inspect_parquet_with};

/// Formats of arrays on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArrayFormat {
    /// An npy file.
    Npy,
    /// A Zarr array or group: a directory.
    Zarr,
}

impl ArrayFormat {
    /// What a path holds, or is named for if it does not exist.
    pub fn of(path: impl AsRef<Path>) -> ArrayFormat {
        let path = path.as_ref();
        let named = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("zarr"));
        let described = |name| path.join(name).is_file();
        let zarr = match path.is_dir() {
            true => {
                named
                    || [".zarray", ".zgroup", "zarr.json"]
                        .into_iter()
                        .any(described)
            }
            false => named && !path.is_file(),
        };
        if zarr {
            ArrayFormat::Zarr
        } else {
            ArrayFormat::Npy
        }
    }
}

/// The element type and shape of an array on disk, from its header or description.
///
/// # Errors
/// A path that is missing or holds no array of this library's element types.
pub fn inspect_array(path: impl AsRef<Path>) -> Result<(DType, Vec<usize>)> {
    let path = path.as_ref();
    match ArrayFormat::of(path) {
        ArrayFormat::Zarr => inspect_zarr(path).map(|info| (info.dtype, info.shape)),
        ArrayFormat::Npy => {
            let info = inspect_npy(path)?;
            let unknown = || {
                let (path, descr) = (path.display(), &info.descr);
                Error::invalid(format!(
                    "{path} holds {descr} elements, which are not supported"
                ))
            };
            Ok((
                DType::from_npy_code(info.descr.trim_start_matches(['<', '>', '|', '=']))
                    .ok_or_else(unknown)?,
                info.shape,
            ))
        }
    }
}

/// The element type of an npy file as its header spells it: `<f8`.
///
/// # Errors
/// A file that is missing or no npy file.
pub fn npy_descr(path: impl AsRef<Path>) -> Result<String> {
    inspect_npy(path).map(|info| info.descr)
}

/// The files that patterns name, in order, with their lengths in bytes.
///
/// ```
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a.txt");
/// std::fs::write(&path, "four")?;
/// assert_eq!(flagstone::list_files(&path)?, [(path.clone(), 4)]);
/// assert_eq!(flagstone::list_files([dir.path().join("*.txt"), path.clone()])?, [(path, 4)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A pattern that names nothing, a file that is missing or cannot be read.
pub fn list_files(patterns: impl IntoPaths) -> Result<Vec<(PathBuf, u64)>> {
    let files = flagstone_io::expand(patterns.into_paths()).map_err(Error::failed)?;
    Ok(files
        .into_iter()
        .map(|file| (file.path().to_owned(), file.len()))
        .collect())
}
