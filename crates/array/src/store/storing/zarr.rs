//! Storing as Zarr arrays: new ones, and regions of existing ones.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::Execute;
use flagstone_io::AtomicDir;

use super::targets::{Planned, StoreTo, Target};
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::lower::Lowering;
use crate::grid::ChunkGrid;
use crate::store::zarr::group::{is_ours, write_description};
use crate::store::zarr::options::ZarrOptions;
use crate::store::zarr::stored::Stored;
use crate::store::zarr::write::ZarrSink;

impl<T: Element> Array<T> {
    /// Computes the array into a new Zarr array, which appears whole or not at all.
    ///
    /// ```
    /// # use flagstone_array::Array;
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_array::ZarrOptions;
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("x.zarr");
    /// let options = ZarrOptions { chunks: Some(vec![2, 3]), ..Default::default() };
    /// Array::<f32>::ones(&[5, 3]).store_zarr_with(&SerialExecutor, &path, &options)?;
    /// assert_eq!(Array::<f32>::open_zarr(&path).shape(), [5, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A mistake in how the array was built, options that do not fit it, those of the run, and
    /// those of writing.
    pub fn store_zarr_with(
        &self,
        executor: &dyn Execute,
        path: impl AsRef<Path>,
        options: &ZarrOptions,
    ) -> Result<()> {
        self.store_with(executor, &StoreTo::Zarr(path.as_ref(), options))
    }

    pub(super) fn plan_zarr(
        &self,
        lowering: &mut Lowering<'_>,
        path: &Path,
        options: &ZarrOptions,
    ) -> Result<Planned> {
        let misfit = |message: String| self.misfit(message);
        options.check(self.shape()).map_err(misfit)?;
        let grid = options.grid(&self.node).map_err(misfit)?;
        let described = options.describe::<T>(&grid).map_err(misfit)?;
        let json = described.json.clone();
        let stored = Stored::new(path, described, None).map_err(misfit)?;
        let past_cache = self.is_past_cache(lowering);
        let sink = ZarrSink::new(stored, true).map_err(misfit)?;
        lowering.plan = lowering.plan.leaving(sink.held_bytes());
        let lowered = lowering.lower_onto(&self.node, &grid)?;
        let directory = AtomicDir::create_replacing(path, options.output, &is_ours)?;
        write_description(directory.path(), options.version, &json)?;
        let sink = ZarrSink {
            directory: directory.path().to_owned(),
            past_cache,
            ..sink
        };
        Ok(Planned {
            sink: Arc::new(sink),
            lowered,
            offset: vec![0; self.ndim()],
            target: Target::Directory(directory),
        })
    }

    pub(super) fn plan_zarr_region(
        &self,
        lowering: &mut Lowering<'_>,
        path: &Path,
        region: &[Range<usize>],
    ) -> Result<Planned> {
        let stored = Stored::open(path)?;
        if stored.dtype != T::DTYPE {
            return Err(self.misfit(format!(
                "cannot store elements of type {} in {}, which holds {}",
                T::DTYPE,
                path.display(),
                stored.dtype
            )));
        }
        self.check_region(path, stored.grid.shape(), region)?;
        // the array begins inside a chunk: what is before it there is not written
        let mut padded = self.clone();
        let (mut offset, mut lists) = (Vec::new(), Vec::new());
        for (axis, range) in region.iter().enumerate() {
            let first = stored.grid.coord_at(axis, range.start);
            let first = first.min(stored.grid.counts()[axis] - 1);
            let start = stored.grid.span(axis, first).start;
            let lead = range.start - start;
            if lead > 0 {
                padded = padded.pad_zeros(axis, lead, 0);
            }
            let end = start + lead + range.len();
            let mut list = Vec::new();
            let mut at = start;
            while at < end {
                let span = stored.grid.span(axis, first + list.len());
                list.push(span.end.min(end) - at);
                at = span.end;
            }
            if list.is_empty() {
                list.push(0);
            }
            offset.push(start);
            lists.push(list);
        }
        let misfit = |message: String| self.misfit(message);
        let grid = ChunkGrid::irregular(padded.shape(), &lists).map_err(misfit)?;
        let sink = ZarrSink::new(stored, false).map_err(misfit)?;
        lowering.plan = lowering.plan.leaving(sink.held_bytes());
        let lowered = lowering.lower_onto(&padded.node, &grid)?;
        Ok(Planned {
            sink: Arc::new(sink),
            lowered,
            offset,
            target: Target::InPlace,
        })
    }
}
