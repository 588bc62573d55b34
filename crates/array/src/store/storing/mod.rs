//! Storing arrays: into new files and directories, and into regions of existing ones.
//!
//! New output appears whole or not at all: it grows under another name. A region is written in
//! place, chunk by chunk; when that run fails, some of the region is written and some is not. What
//! an array is computed from is never its target.
//!
//! What is larger than the budget is written past the page cache, where it lies on whole blocks.

pub(crate) mod each;
pub(crate) mod files;
pub(crate) mod inputs;
pub(crate) mod sink;
pub(crate) mod targets;
#[cfg(feature = "zarr")]
pub(crate) mod zarr;

use std::path::Path;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Execute, Graph, LayerId, Resources, advised};
use flagstone_io::OutputOptions;
use ndarray::ArrayViewD;

use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::lower::{Lowered, Lowering};
use crate::fuse::tape::Leaf;
use crate::grid::chunks::Chunks;
use crate::grid::place::BlockPlace;
use crate::grid::plan::Plan;
use each::{EachSink, TakeChunk};
use sink::{Sink, Store};
use targets::{Planned, StoreTo, Target};

/// A built store: what [`Array::build_store_to`] returns. Dropped, it leaves no new output.
pub struct BuiltStore {
    /// The layers.
    pub graph: Graph,
    /// The layer that writes.
    pub output: LayerId,
    /// What the plan has to say of itself, in sentences: how arrays are rechunked on the way.
    pub notes: Vec<String>,
    target: Target,
    sink: Arc<dyn Sink>,
}

impl BuiltStore {
    /// Runs the plan and gives the output its name.
    ///
    /// ```
    /// use flagstone_array::{Array, StoreTo};
    /// use flagstone_graph::{Resources, SerialExecutor};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("x.npy");
    /// let to = StoreTo::Npy(&path, Default::default());
    /// let store = Array::<f64>::ones(&[4]).build_store_to(Resources::UNLIMITED, &to)?;
    /// assert!(!path.exists());
    /// store.finish_with(&SerialExecutor)?;
    /// assert!(path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of the run, and of the file system.
    pub fn finish_with(self, executor: &dyn Execute) -> Result<()> {
        executor.execute(&self.graph, &[self.output])?;
        self.sink.check_written()?;
        match self.target {
            Target::File(file) => file.commit(),
            Target::Directory(directory) => directory.commit(),
            Target::InPlace => Ok(()),
        }
    }
}

/// The blocks that are stored.
fn leaf_of<T: Element>(lowered: &Lowered) -> Leaf {
    Leaf {
        slot: 0,
        grid: lowered.grid.clone(),
        stride: lowered.stride,
        dtype: T::DTYPE,
    }
}

impl<T: Element> Array<T> {
    /// Computes the array into an npy file, which appears whole or not at all. An existing file is
    /// an error.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// # use ndarray::array;
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("x.npy");
    /// Array::from_ndarray(array![1.0, 2.0]).store_npy_with(&SerialExecutor, &path)?;
    /// assert_eq!(Array::<f64>::open_npy(&path).shape(), [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, those of the run, and those of writing.
    pub fn store_npy_with(&self, executor: &dyn Execute, path: impl AsRef<Path>) -> Result<()> {
        self.store_npy_options_with(executor, path, OutputOptions::default())
    }

    /// Computes the array into an npy file as the options say: whether an earlier file of this name is
    /// replaced, and whether an unfinished one is kept.
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::SerialExecutor;
    /// use flagstone_io::OutputOptions;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("x.npy");
    /// let x = Array::<f64>::ones(&[2]);
    /// x.store_npy_with(&SerialExecutor, &path)?;
    /// let options = OutputOptions { overwrite: true, ..OutputOptions::default() };
    /// (x * 2.0).store_npy_options_with(&SerialExecutor, &path, options)?;
    /// let stored = Array::<f64>::open_npy(&path).compute_with(&SerialExecutor)?;
    /// assert_eq!(stored[[1]], 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, an output that cannot be written, and those of the run.
    pub fn store_npy_options_with(
        &self,
        executor: &dyn Execute,
        path: impl AsRef<Path>,
        options: OutputOptions,
    ) -> Result<()> {
        self.store_with(executor, &StoreTo::Npy(path.as_ref(), options))
    }

    /// Computes the array and stores it.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_array::StoreTo;
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("parts");
    /// let to = StoreTo::NpyStack { path: &path, axis: 0, length: 2, output: Default::default() };
    /// Array::<f64>::ones(&[5, 3]).store_with(&SerialExecutor, &to)?;
    /// assert_eq!(Array::<f64>::open_npy_directory(&path, 0).shape(), [5, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, a target that does not fit it, those of the run, and
    /// those of writing.
    pub fn store_with(&self, executor: &dyn Execute, to: &StoreTo<'_>) -> Result<()> {
        let array = self.compute_chunk_sizes(executor)?;
        let store = array.build_store_to(executor.resources(), to)?;
        let stored = store.finish_with(executor);
        stored.map_err(|refusal| {
            advised(executor, refusal, &mut |resources| {
                let store = array.build_store_to(resources, to)?;
                Ok((store.graph, vec![store.output]))
            })
        })
    }

    /// Computes the array and gives each of its chunks to a function, which takes it away: to any
    /// place that the other stores do not know. Chunks come in any order and from several threads,
    /// each from one; after a task that has to be run again, a chunk comes again.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// let total = std::sync::Arc::new(std::sync::Mutex::new(0.0));
    /// let sum = std::sync::Arc::clone(&total);
    /// Array::<f64>::ones(&[5, 3]).store_each_with(&SerialExecutor, [2, -1], move |_, chunk| {
    ///     *sum.lock().unwrap() += chunk.sum();
    ///     Ok(())
    /// })?;
    /// assert_eq!(*total.lock().unwrap(), 15.0);
    /// # Ok::<(), flagstone_common::Error>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, chunks that do not fit it, those of the run, and the
    /// function's.
    pub fn store_each_with(
        &self,
        executor: &dyn Execute,
        chunks: impl Into<Chunks>,
        take: impl Fn(&BlockPlace, ArrayViewD<'_, T>) -> Result<()> + Send + Sync + 'static,
    ) -> Result<()> {
        let array = self.compute_chunk_sizes(executor)?.rechunk(chunks);
        let take: TakeChunk<T> = Arc::new(take);
        let build = |resources| array.build_store_each(resources, Arc::clone(&take));
        let stored = build(executor.resources())?.finish_with(executor);
        stored.map_err(|refusal| {
            advised(executor, refusal, &mut |resources| {
                let store = build(resources)?;
                Ok((store.graph, vec![store.output]))
            })
        })
    }

    fn build_store_each(&self, resources: Resources, take: TakeChunk<T>) -> Result<BuiltStore> {
        let mut graph = Graph::new();
        let mut lowering = Lowering::new(&mut graph, Plan::new(resources));
        let lowered = lowering.lower_chunks(&self.node)?;
        let notes = lowering.notes;
        let sink: Arc<dyn Sink> = Arc::new(EachSink {
            grid: lowered.grid.clone(),
            function: take,
        });
        let store = Store {
            sink: Arc::clone(&sink),
            leaf: leaf_of::<T>(&lowered),
            offset: vec![0; self.ndim()],
            inside: self.shape().iter().map(|&length| 0..length).collect(),
        };
        let output = graph.push_at(Arc::new(store), &[lowered.layer], Some(self.node.location));
        Ok(BuiltStore {
            graph,
            output,
            notes,
            target: Target::InPlace,
            sink,
        })
    }

    /// Lowers the computation of the array into an npy file; see [`Array::build_store_to`].
    ///
    /// ```
    /// use flagstone_array::Array;
    /// use flagstone_graph::{Resources, SerialExecutor};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("x.npy");
    /// let x = Array::<f64>::ones(&[4]);
    /// x.build_store(Resources::UNLIMITED, &path, Default::default())?.finish_with(&SerialExecutor)?;
    /// assert_eq!(Array::<f64>::open_npy(&path).shape(), [4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, and an output that cannot be written.
    pub fn build_store(
        &self,
        resources: Resources,
        path: impl AsRef<Path>,
        options: OutputOptions,
    ) -> Result<BuiltStore> {
        self.build_store_to(resources, &StoreTo::Npy(path.as_ref(), options))
    }

    /// Lowers the computation of the array into a store without running it, and opens the output:
    /// what stands in its way is an error here already. Dropped, it leaves nothing new.
    ///
    /// ```
    /// use flagstone_array::{Array, StoreTo};
    /// use flagstone_graph::Resources;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("x.npy");
    /// let to = StoreTo::Npy(&path, Default::default());
    /// drop(Array::<f64>::ones(&[4]).build_store_to(Resources::UNLIMITED, &to)?);
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, a target that does not fit it, and an output that
    /// cannot be written.
    pub fn build_store_to(&self, resources: Resources, to: &StoreTo<'_>) -> Result<BuiltStore> {
        self.try_shape()?;
        let (path, in_place) = to.place();
        inputs::check(&self.node, path, in_place)?;
        let mut graph = Graph::new();
        let mut lowering = Lowering::new(&mut graph, Plan::new(resources));
        let planned = match to {
            StoreTo::Npy(path, options) => self.plan_file(&mut lowering, path, *options, true)?,
            StoreTo::Raw(path, options) => self.plan_file(&mut lowering, path, *options, false)?,
            StoreTo::NpyStack {
                path,
                axis,
                length,
                output,
            } => self.plan_stack(&mut lowering, path, (*axis, *length), *output)?,
            #[cfg(feature = "zarr")]
            StoreTo::Zarr(path, options) => self.plan_zarr(&mut lowering, path, options)?,
            StoreTo::NpyRegion(path, region) => {
                self.plan_npy_region(&mut lowering, path, region)?
            }
            #[cfg(feature = "zarr")]
            StoreTo::ZarrRegion(path, region) => {
                self.plan_zarr_region(&mut lowering, path, region)?
            }
        };
        let notes = lowering.notes;
        let inside = match to {
            StoreTo::NpyRegion(_, region) => region.to_vec(),
            #[cfg(feature = "zarr")]
            StoreTo::ZarrRegion(_, region) => region.to_vec(),
            _ => self.shape().iter().map(|&length| 0..length).collect(),
        };
        let Planned {
            sink,
            lowered,
            offset,
            target,
        } = planned;
        let store = Store {
            sink: Arc::clone(&sink),
            leaf: leaf_of::<T>(&lowered),
            offset,
            inside,
        };
        let output = graph.push_at(Arc::new(store), &[lowered.layer], Some(self.node.location));
        Ok(BuiltStore {
            graph,
            output,
            notes,
            target,
            sink,
        })
    }
}
