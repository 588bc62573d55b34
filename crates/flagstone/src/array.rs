//! Arrays in a session: keeping and storing them.

use std::path::Path;

#[cfg(feature = "zarr")]
use flagstone_array::ZarrOptions;
use flagstone_array::{Array, Element, StoreTo};
use flagstone_common::Result;
use flagstone_graph::{Execute, Graph, advised};
use flagstone_io::OutputOptions;

use crate::explain::Explanation;
use crate::persist::{Persist, push_kept, start};
use crate::session::Session;

impl<T: Element> Persist for Array<T> {
    type Output = Array<T>;

    #[track_caller]
    fn persist_on(&self, session: &Session) -> Result<Array<T>> {
        let array = self.compute_chunk_sizes(session)?;
        let mut graph = Graph::new();
        let (layer, grid) = array.push_with(&mut graph, session.resources())?;
        let handle = start(session, &graph, layer).map_err(|refusal| {
            advised(session, refusal, &mut |resources| {
                let mut graph = Graph::new();
                let (layer, _) = array.push_with(&mut graph, resources)?;
                Ok((graph, vec![layer]))
            })
        })?;
        Ok(Array::from_layer(grid, push_kept(handle)))
    }
}

impl Session {
    /// Computes an array into an npy file, which appears whole or not at all.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let path = dir.path().join("x.npy");
    /// session.store_npy(&Array::<f64>::ones(&[1000, 3]).cumsum(0), &path)?;
    /// assert_eq!(session.compute(&Array::<f64>::open_npy(&path).max(..))?[[]], 1000.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`compute`](Self::compute), and a file that exists.
    pub fn store_npy<T: Element>(&self, array: &Array<T>, path: impl AsRef<Path>) -> Result<()> {
        array.store_npy_with(self, path)
    }

    /// Computes an array into an npy file as the options say: whether an earlier file of this name is
    /// replaced, and whether an unfinished one is kept.
    ///
    /// ```
    /// use flagstone::{Array, OutputOptions, Session};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let path = dir.path().join("x.npy");
    /// let options = OutputOptions { overwrite: true, ..Default::default() };
    /// for _ in 0..2 {
    ///     session.store_npy_with(&Array::<f64>::ones(&[4]), &path, options)?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`store_npy`](Self::store_npy).
    pub fn store_npy_with<T: Element>(
        &self,
        array: &Array<T>,
        path: impl AsRef<Path>,
        options: OutputOptions,
    ) -> Result<()> {
        array.store_npy_options_with(self, path, options)
    }

    /// Computes an array into a new Zarr array, which appears whole or not at all. Chunks are those
    /// of the plan, compressed by zstd.
    ///
    /// ```
    /// use flagstone::{Array, Session};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let path = dir.path().join("x.zarr");
    /// session.store_zarr(&Array::<f32>::ones(&[100, 3]), &path)?;
    /// assert_eq!(Array::<f32>::open_zarr(&path).shape(), [100, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`compute`](Self::compute), and an array that exists.
    #[cfg(feature = "zarr")]
    pub fn store_zarr<T: Element>(&self, array: &Array<T>, path: impl AsRef<Path>) -> Result<()> {
        self.store_zarr_with(array, path, &ZarrOptions::default())
    }

    /// Computes an array into a new Zarr array of the version, chunks, shards and compression that the
    /// options name.
    ///
    /// ```
    /// use flagstone::{Array, Session, ZarrOptions};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let path = dir.path().join("x.zarr");
    /// let options = ZarrOptions { chunks: Some(vec![10, 3]), ..Default::default() };
    /// session.store_zarr_with(&Array::<f32>::ones(&[100, 3]), &path, &options)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`store_zarr`](Self::store_zarr), and options that do not fit the array.
    #[cfg(feature = "zarr")]
    pub fn store_zarr_with<T: Element>(
        &self,
        array: &Array<T>,
        path: impl AsRef<Path>,
        options: &ZarrOptions,
    ) -> Result<()> {
        array.store_zarr_with(self, path, options)
    }

    /// Computes an array into any target: raw files, stacks of npy files, and regions of npy files
    /// and Zarr arrays that exist.
    ///
    /// ```
    /// use flagstone::{Array, Session, StoreTo};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let path = dir.path().join("x.npy");
    /// session.store_npy(&Array::<f64>::zeros(&[4]), &path)?;
    /// // a part of a file that is there
    /// session.store(&Array::<f64>::ones(&[2]), &StoreTo::NpyRegion(&path, &[1..3]))?;
    /// let sums = session.compute(&Array::<f64>::open_npy(&path).cumsum(0))?;
    /// assert_eq!(sums.as_slice(), Some(&[0.0, 1.0, 2.0, 2.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`compute`](Self::compute), and a target that does not fit the array.
    pub fn store<T: Element>(&self, array: &Array<T>, to: &StoreTo<'_>) -> Result<()> {
        array.store_with(self, to)
    }

    /// What [`store`](Self::store) would do. The output is opened as the run opens it, so that what
    /// stands in its way is found, and nothing of it is left; keep `keep_partial` of the options
    /// off.
    ///
    /// ```
    /// use flagstone::{Array, Session, StoreTo};
    /// let dir = tempfile::tempdir()?;
    /// let session = Session::builder().memory("64 MiB").build()?;
    /// let path = dir.path().join("x.npy");
    /// let plan = session.explain_store(
    ///     &Array::<f64>::ones(&[1000, 1000]).sort(0),
    ///     &StoreTo::Npy(&path, Default::default()),
    /// )?;
    /// assert!(plan.refusal().is_none() && !path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`store`](Self::store), but for the budget: see [`Explanation::refusal`].
    pub fn explain_store<T: Element>(
        &self,
        array: &Array<T>,
        to: &StoreTo<'_>,
    ) -> Result<Explanation> {
        let array = array.compute_chunk_sizes(self)?;
        let mut notes = None;
        let explanation = self.explained(&mut |resources| {
            let store = array.build_store_to(resources, to)?;
            // those of the plan that would run
            notes.get_or_insert_with(|| store.notes.clone());
            Ok((store.graph, vec![store.output]))
        })?;
        Ok(explanation.with_notes(notes.unwrap_or_default()))
    }
}
