//! Arrays that are stored as directories of npy files.

use std::panic::Location;
use std::path::Path;

use crate::array::Array;
use crate::element::Element;
use crate::source::{failure, unreadable};

impl<T: Element> Array<T> {
    /// Opens the npy files of a directory as one array, one after the other along an axis, in the
    /// order of the numbers in their names: what [`StoreTo::NpyStack`](crate::StoreTo::NpyStack)
    /// stores. Reads the headers only.
    ///
    /// A directory without npy files is a mistake.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let dir = tempfile::tempdir()?;
    /// for name in ["1.npy", "2.npy", "10.npy"] {
    ///     let x = Array::from_ndarray(array![[1.0, 2.0]]);
    ///     x.store_npy_with(&SerialExecutor, dir.path().join(name))?;
    /// }
    /// let x = Array::<f64>::open_npy_directory(dir.path(), 0);
    /// assert_eq!(x.shape(), [3, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
