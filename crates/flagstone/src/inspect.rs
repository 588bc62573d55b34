//! What arrays on disk hold, from their headers and descriptions.

use std::path::Path;

use flagstone_array::DType;
use flagstone_common::{Error, Result};

pub use flagstone_array::{NpyInfo, inspect_npy};
#[cfg(feature = "zarr")]
pub use flagstone_array::{ZarrInfo, inspect_zarr, zarr_members};

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
    ///
    /// ```
    /// use flagstone::ArrayFormat;
    /// assert_eq!(ArrayFormat::of("x.zarr"), ArrayFormat::Zarr);
    /// assert_eq!(ArrayFormat::of("x.npy"), ArrayFormat::Npy);
    /// ```
    pub fn of(path: impl AsRef<Path>) -> ArrayFormat {
        let path = path.as_ref();
        let named = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("zarr"));
        // what cannot be looked at is taken for a description: its reader says what is wrong
        let described = |name| match std::fs::metadata(path.join(name)) {
            Ok(found) => found.is_file(),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        };
        let zarr = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                named
                    || [".zarray", ".zgroup", "zarr.json"]
                        .into_iter()
                        .any(described)
            }
            found => named && !found.is_ok_and(|found| found.is_file()),
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
/// ```
/// use flagstone::{DType, inspect_array};
/// let (dtype, shape) = inspect_array("datasets/samples/matrix/A.npy")?;
/// assert_eq!((dtype, shape.len()), (DType::F64, 2));
/// # Ok::<(), flagstone_common::Error>(())
/// ```
///
/// # Errors
/// A path that is missing or holds no array of this library's element types.
pub fn inspect_array(path: impl AsRef<Path>) -> Result<(DType, Vec<usize>)> {
    let path = path.as_ref();
    match ArrayFormat::of(path) {
        #[cfg(feature = "zarr")]
        ArrayFormat::Zarr => inspect_zarr(path).map(|info| (info.dtype, info.shape)),
        #[cfg(not(feature = "zarr"))]
        ArrayFormat::Zarr => Err(Error::invalid(format!(
            "{} is a Zarr directory, which this program was built without: enable the feature `zarr`",
            path.display()
        ))),
        ArrayFormat::Npy => {
            let info = inspect_npy(path)?;
            let unknown = || {
                let (path, descr) = (path.display(), &info.descr);
                Error::invalid(format!(
                    "{path} holds {descr} elements, which are not supported: convert it first, for example with \
                     NumPy's astype"
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
/// ```
/// assert_eq!(flagstone::npy_descr("datasets/samples/matrix/A.npy")?, "<f8");
/// # Ok::<(), flagstone_common::Error>(())
/// ```
///
/// # Errors
/// A file that is missing or no npy file.
pub fn npy_descr(path: impl AsRef<Path>) -> Result<String> {
    inspect_npy(path).map(|info| info.descr)
}
