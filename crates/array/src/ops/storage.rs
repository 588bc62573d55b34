//! Arrays that are stored in chunks.

use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use flagstone_graph::{Error, ErrorKind, Result};

use crate::array::Array;
use crate::element::Element;
use crate::source::{failure, unreadable};
use crate::zarr::{ReadZarr, Stored};

impl<T: Element> Array<T> {
    /// Opens a Zarr array: the directory of an array of version 2 or 3 of the format, also one
    /// inside a group. Reads the description only.
    ///
    /// Chunks are read and decoded when they are needed, each once. The array must stay as it is
    /// until the computation has ended.
    ///
    /// ```no_run
    /// use flagstone_array::Array;
    ///
    /// let wind = Array::<f32>::open_zarr("weather.zarr/era5/u10");
    /// let mean = wind.mean(0);
    /// ```
    ///
    /// A path that holds no array, another element type than `T`, and codecs that are not known
    /// are mistakes that name what was found.
    #[track_caller]
    pub fn open_zarr(path: impl AsRef<Path>) -> Self {
        match open::<T>(path.as_ref()) {
            Ok(stored) => {
                let shape = stored.grid.shape().to_vec();
                let stored = Arc::new(stored);
                Array::layer(shape, ReadZarr { stored }, Vec::new())
            }
            Err(error) => Array::mistake(error.kind(), error.message(), Location::caller()),
        }
    }

    /// Opens the npy files of a directory as one array, one after the other along an axis, in the
    /// order of the numbers in their names: what [`StoreTo::NpyStack`](crate::StoreTo::NpyStack)
    /// stores. Reads the headers only.
    ///
    /// A directory without npy files is a mistake.
    #[track_caller]
    pub fn open_npy_directory(path: impl AsRef<Path>, axis: isize) -> Self {
        let path = path.as_ref();
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                let error = unreadable(path, error);
                return Array::mistake(error.kind(), error.message(), Location::caller());
            }
        };
        let mut files: Vec<_> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "npy"))
            .collect();
        if files.is_empty() {
            let error = failure(path, "no npy files are in it", None);
            return Array::mistake(error.kind(), error.message(), Location::caller());
        }
        files.sort_by(|a, b| flagstone_io::compare_paths(a, b));
        Array::open_npy_stack(&files, axis)
    }
}

fn open<T: Element>(path: &Path) -> Result<Stored> {
    let stored = Stored::open(path)?;
    if stored.dtype == T::DTYPE {
        return Ok(stored);
    }
    Err(Error::new(
        ErrorKind::Failed,
        format!(
            "cannot read {}: it holds elements of type {} but {} was asked for",
            path.display(),
            stored.dtype,
            T::DTYPE
        ),
    ))
}
