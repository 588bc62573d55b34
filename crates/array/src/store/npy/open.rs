//! Opening npy files, directories of them, and raw files.

use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use super::file::NpyFile;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::node::Op;
use crate::expr::source::Source;
use crate::grid::shape::check_shape;
use crate::store::failure::{failure, unreadable};

impl<T: Element> Array<T> {
    #[track_caller]
    fn npy(file: flagstone_common::Result<NpyFile>) -> Self {
        match file {
            Ok(file) => Array::make(file.shape().to_vec(), Op::Source(Arc::new(file))),
            Err(error) => Array::mistake(error.kind(), error.message(), Location::caller()),
        }
    }

    /// Opens an npy file (format versions 1 to 3, C or Fortran order). Reads the header only.
    ///
    /// Elements are read window by window when they are needed. The file must stay as it is until
    /// the computation has ended: one that was cut short is an error.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("x.npy");
    /// Array::from_ndarray(array![1.5, 2.5]).store_npy_with(&SerialExecutor, &path)?;
    /// assert_eq!(Array::<f64>::open_npy(&path).sum(..).compute_with(&SerialExecutor)?[[]], 4.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn open_npy(path: impl AsRef<Path>) -> Self {
        Array::npy(NpyFile::open::<T>(path.as_ref()))
    }

    /// Opens an npy file as [`Array::open_npy`] does; windows of it are mapped into memory where they
    /// lie in one stretch, instead of read. That saves a copy, and counts in full against the budget.
    ///
    /// Only for files that nobody else changes: the system ends a process that looks at a mapped
    /// window of a file which was cut short meanwhile.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    ///
    /// let path = std::env::temp_dir().join(format!("mapped-{}.npy", std::process::id()));
    /// let x = Array::arange(0i64, 1000, 1);
    /// x.store_npy_with(&SerialExecutor, &path)?;
    /// let mapped = Array::<i64>::open_npy_mapped(&path);
    /// assert_eq!(mapped.sum(..).compute_with(&SerialExecutor)?[[]], 499_500);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    #[track_caller]
    pub fn open_npy_mapped(path: impl AsRef<Path>) -> Self {
        Array::npy(NpyFile::open::<T>(path.as_ref()).map(NpyFile::into_mapped))
    }

    /// Opens a file of nothing but elements, in C order and the machine's byte order, that start
    /// `offset` bytes into it. Reads nothing yet; otherwise as [`Array::open_npy`].
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("x.bin");
    /// std::fs::write(&path, [1u16.to_ne_bytes(), 7u16.to_ne_bytes()].concat())?;
    /// let x = Array::<u16>::open_raw(&path, &[1], 2);
    /// assert_eq!(x.compute_with(&SerialExecutor)?, array![7].into_dyn());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn open_raw(path: impl AsRef<Path>, shape: &[usize], offset: u64) -> Self {
        if let Err(message) = check_shape(shape) {
            return Array::invalid(message);
        }
        match NpyFile::open_raw::<T>(path.as_ref(), shape, offset) {
            Ok(file) => Array::make(shape.to_vec(), Op::Source(Arc::new(file))),
            Err(error) => Array::mistake(error.kind(), error.message(), Location::caller()),
        }
    }

    /// Opens npy files, in the order given, as one array: one after the other along an axis that
    /// they all have. Reads the headers only; slices read only the files they need.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let dir = tempfile::tempdir()?;
    /// let paths = ["a.npy", "b.npy"].map(|name| dir.path().join(name));
    /// for path in &paths {
    ///     Array::from_ndarray(array![1.0, 2.0]).store_npy_with(&SerialExecutor, path)?;
    /// }
    /// assert_eq!(Array::<f64>::open_npy_stack(&paths, 0).shape(), [4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn open_npy_stack(paths: &[impl AsRef<Path>], axis: isize) -> Self {
        let files: Vec<Array<T>> = paths.iter().map(Array::open_npy).collect();
        Array::concatenate(&files.iter().collect::<Vec<_>>(), axis)
    }

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
