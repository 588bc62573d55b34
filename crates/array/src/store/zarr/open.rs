//! Opening stored arrays.

use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result};

use super::read::ReadZarr;
use super::stored::Stored;
use crate::elements::element::Element;
use crate::expr::array::Array;

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
