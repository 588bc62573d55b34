//! What each kind of store needs: its chunks, its sink, and the output opened.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use flagstone_common::{Error, ErrorKind, Result};
use flagstone_io::{AtomicDir, AtomicFile, DIRECT_BLOCK_BYTES, DirectFile, OutputOptions};

use super::files::{FileSink, StackSink, stack_file, write_failed};
use super::sink::Sink;
use crate::elements::element::Element;
use crate::expr::array::Array;
use crate::expr::lower::{Lowered, Lowering};
use crate::grid::lengths;
use crate::store::npy::file::NpyFile;
use crate::store::npy::header::header_bytes;
#[cfg(feature = "zarr")]
use crate::store::zarr::options::ZarrOptions;

/// Where an array is stored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StoreTo<'a> {
    /// A new npy file.
    Npy(&'a Path, OutputOptions),
    /// A new file of nothing but elements, in C order and the machine's byte order.
    Raw(&'a Path, OutputOptions),
    /// A new directory of npy files `part-00000.npy` and so on, each with `length` places of an
    /// axis: what [`Array::open_npy_directory`] opens.
    NpyStack {
        /// The directory.
        path: &'a Path,
        /// The axis that is cut.
        axis: isize,
        /// How many of its places a file has.
        length: usize,
        /// What happens to a directory of this name.
        output: OutputOptions,
    },
    /// A new Zarr array.
    #[cfg(feature = "zarr")]
    Zarr(&'a Path, &'a ZarrOptions),
    /// A box of an existing npy file, as long as the array along each axis.
    NpyRegion(&'a Path, &'a [Range<usize>]),
    /// A box of an existing Zarr array, as long as the array along each axis.
    #[cfg(feature = "zarr")]
    ZarrRegion(&'a Path, &'a [Range<usize>]),
}

impl StoreTo<'_> {
    /// What is written, and whether it is written where it stands.
    pub(super) fn place(&self) -> (&Path, bool) {
        match self {
            StoreTo::Npy(path, _) | StoreTo::Raw(path, _) => (path, false),
            StoreTo::NpyStack { path, .. } => (path, false),
            StoreTo::NpyRegion(path, _) => (path, true),
            #[cfg(feature = "zarr")]
            StoreTo::Zarr(path, _) => (path, false),
            #[cfg(feature = "zarr")]
            StoreTo::ZarrRegion(path, _) => (path, true),
        }
    }
}

pub(super) enum Target {
    File(AtomicFile),
    Directory(AtomicDir),
    InPlace,
}

/// A sink, how chunks lie for it, and where its first one starts.
pub(super) struct Planned {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) lowered: Lowered,
    pub(super) offset: Vec<usize>,
    pub(super) target: Target,
}

/// Data that may be written past the page cache begins at a whole block. Whether it is depends on
/// the budget; what is in the file must not.
fn header_unit(data_bytes: u64) -> usize {
    const LARGE_BYTES: u64 = 1 << 20;
    match data_bytes >= LARGE_BYTES {
        true => DIRECT_BLOCK_BYTES,
        false => 64,
    }
}

impl<T: Element> Array<T> {
    /// Whether the stored array is larger than the budget: then it is written past the page cache
    /// where it can be.
    pub(super) fn is_past_cache(&self, lowering: &Lowering<'_>) -> bool {
        self.nbytes() > lowering.plan.budget_bytes
    }

    pub(super) fn misfit(&self, message: String) -> Error {
        Error::new(ErrorKind::Invalid, message).with_location(self.node.location)
    }

    pub(super) fn plan_file(
        &self,
        lowering: &mut Lowering<'_>,
        path: &Path,
        options: OutputOptions,
        npy: bool,
    ) -> Result<Planned> {
        let lowered = lowering.lower_chunks(&self.node)?;
        let name = path.display().to_string();
        let failed = |error| write_failed(&name, error);
        let past_cache = self.is_past_cache(lowering);
        let header = match npy {
            true => header_bytes(
                T::DTYPE.npy_code(),
                self.shape(),
                header_unit(self.nbytes()),
            ),
            false => Vec::new(),
        };
        let mut target = AtomicFile::create(path, options)?;
        target.write_all(&header).map_err(failed)?;
        let file = target.file().try_clone().map_err(failed)?;
        let bytes = header.len() as u64 + self.nbytes();
        let file = DirectFile::new(file, target.path(), past_cache);
        file.set_len(bytes).map_err(failed)?;
        let sink = FileSink {
            name: if npy { "store-npy" } else { "store-raw" },
            file,
            data_offset: header.len() as u64,
            path: name,
            shape: self.shape().to_vec(),
            item: size_of::<T>(),
        };
        Ok(Planned {
            sink: Arc::new(sink),
            lowered,
            offset: vec![0; self.ndim()],
            target: Target::File(target),
        })
    }

    pub(super) fn plan_stack(
        &self,
        lowering: &mut Lowering<'_>,
        path: &Path,
        (axis, length): (isize, usize),
        options: OutputOptions,
    ) -> Result<Planned> {
        let axis = self.axis(axis).map_err(|message| self.misfit(message))?;
        if length == 0 {
            return Err(self.misfit("a file of a stack needs at least one place".to_owned()));
        }
        let lowered = lowering.lower_chunks(&self.node)?;
        let directory = AtomicDir::create(path, options)?;
        let along = self.shape()[axis];
        let past_cache = self.is_past_cache(lowering);
        let count = along.div_ceil(length).max(1);
        let mut data_offsets = [0; 2];
        for part in 0..count {
            let mut shape = self.shape().to_vec();
            shape[axis] = length.min(along - part * length);
            let header = header_bytes(T::DTYPE.npy_code(), &shape, header_unit(self.nbytes()));
            let path = directory.path().join(stack_file(part));
            let bytes = header.len() + shape.iter().product::<usize>() * size_of::<T>();
            data_offsets[usize::from(part + 1 == count)] = header.len() as u64;
            let made = std::fs::File::create_new(&path).and_then(|mut file| {
                file.write_all(&header)?;
                file.set_len(bytes as u64)
            });
            made.map_err(|error| write_failed(&path.display().to_string(), error))?;
        }
        let sink = StackSink {
            directory: directory.path().to_owned(),
            axis,
            length,
            shape: self.shape().to_vec(),
            item: size_of::<T>(),
            data_offsets,
            chunk_bytes: lowered.chunk_bytes(),
            past_cache,
        };
        Ok(Planned {
            sink: Arc::new(sink),
            lowered,
            offset: vec![0; self.ndim()],
            target: Target::Directory(directory),
        })
    }

    /// Refuses a region that is not a box of the target in the array's shape.
    pub(super) fn check_region(
        &self,
        path: &Path,
        shape: &[usize],
        region: &[Range<usize>],
    ) -> Result<()> {
        let inside = region.len() == shape.len()
            && region
                .iter()
                .zip(shape)
                .all(|(range, &n)| range.start <= range.end && range.end <= n);
        match inside && lengths(region) == self.shape() {
            true => Ok(()),
            false => Err(self.misfit(format!(
                "an array of shape {:?} cannot be stored in {region:?} of {}, whose shape is \
                 {shape:?}",
                self.shape(),
                path.display()
            ))),
        }
    }

    pub(super) fn plan_npy_region(
        &self,
        lowering: &mut Lowering<'_>,
        path: &Path,
        region: &[Range<usize>],
    ) -> Result<Planned> {
        let (shape, data_offset) = NpyFile::open::<T>(path)?.c_order_layout()?;
        self.check_region(path, &shape, region)?;
        let lowered = lowering.lower_chunks(&self.node)?;
        let name = path.display().to_string();
        let file = std::fs::OpenOptions::new().write(true).open(path);
        let file = file.map_err(|error| write_failed(&name, error))?;
        let sink = FileSink {
            name: "store-npy",
            file: DirectFile::new(file, path, false),
            data_offset,
            path: name,
            shape,
            item: size_of::<T>(),
        };
        Ok(Planned {
            sink: Arc::new(sink),
            lowered,
            offset: region.iter().map(|range| range.start).collect(),
            target: Target::InPlace,
        })
    }
}
