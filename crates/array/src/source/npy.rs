//! npy files, read window by window with `pread`.
//!
//! A window is a number of equal runs: the elements that lie next to each other in the file. Whole
//! rows are one run and one read. Short runs with small gaps are read together and picked apart,
//! because a system call costs about as much as copying 4 KiB.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flagstone_graph::{Error, ErrorKind, Result, TokenHasher};
use flagstone_memory::format_bytes;

use super::{Header, Order, Source};
use crate::element::{Element, as_bytes_mut};

/// A file whose header was read and whose length is what the header promises.
#[derive(Debug)]
pub(crate) struct NpyFile {
    path: PathBuf,
    file: File,
    header: Header,
    /// Identifies the content, with path and header.
    modified: Option<std::time::SystemTime>,
    item_bytes: usize,
}

/// Reads that skip gaps go through a buffer of this size, a constant beside the leases.
const BOUNCE_BYTES: usize = 64 << 10;

impl NpyFile {
    /// Opens a file and checks that it holds elements of type `T`.
    ///
    /// # Errors
    /// A missing or unreadable file, another type, a damaged header or a short file.
    pub(crate) fn open<T: Element>(path: &Path) -> Result<NpyFile> {
        let failed = |error: io::Error| failure(path, &error.to_string(), Some(error));
        let mut file = File::open(path).map_err(failed)?;
        let header = Header::read(&mut file).map_err(failed)?;
        let (sign, code) = header
            .descr
            .split_at_checked(1)
            .unwrap_or(("", &header.descr));
        let native = matches!(sign, "<" | "=" | "|") && cfg!(target_endian = "little");
        if code != T::NPY_CODE || !native {
            return Err(failure(
                path,
                &format!(
                    "it holds elements of type {:?} but {} ({:?}) was asked for",
                    header.descr,
                    T::NAME,
                    format!("<{}", T::NPY_CODE)
                ),
                None,
            ));
        }
        let metadata = file.metadata().map_err(failed)?;
        let expected = header
            .element_count()
            .and_then(|count| (count as u64).checked_mul(size_of::<T>() as u64))
            .and_then(|bytes| bytes.checked_add(header.data_offset))
            .ok_or_else(|| failure(path, "its shape has more than 2^64 bytes", None))?;
        if metadata.len() < expected {
            return Err(failure(path, &truncated(metadata.len(), expected), None));
        }
        Ok(NpyFile {
            path: path.to_owned(),
            file,
            header,
            modified: metadata.modified().ok(),
            item_bytes: size_of::<T>(),
        })
    }

    /// Shape and region from the slowest axis to the fastest, as they lie in the file.
    fn as_stored(&self, region: &[Range<usize>]) -> (Vec<usize>, Vec<Range<usize>>) {
        let (mut shape, mut region) = (self.header.shape.clone(), region.to_vec());
        if self.header.fortran_order {
            shape.reverse();
            region.reverse();
        }
        (shape, region)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(bytes, offset)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    let length = self.file.metadata().map_or(0, |metadata| metadata.len());
                    let wanted = offset + bytes.len() as u64;
                    failure(&self.path, &truncated(length, wanted), Some(error))
                }
                _ => failure(&self.path, &error.to_string(), Some(error)),
            })
    }
}

fn truncated(length: u64, expected: u64) -> String {
    format!(
        "it is truncated: {length} bytes ({}), but its header promises at least {expected} ({})",
        format_bytes(length),
        format_bytes(expected)
    )
}

fn failure(path: &Path, what: &str, source: Option<io::Error>) -> Error {
    let error = Error::new(
        ErrorKind::Failed,
        format!("cannot read {}: {what}", path.display()),
    );
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
}

/// The runs of a window: `count` of them at the offsets that `each` visits.
struct Runs {
    /// Elements of a run.
    length: usize,
    /// Distance between consecutive runs of the innermost loop, in elements.
    stride: usize,
    /// How many runs the innermost loop has.
    inner: usize,
    /// The first element of each innermost loop.
    starts: Vec<usize>,
}

fn runs(shape: &[usize], region: &[Range<usize>]) -> Runs {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    // axes from `whole` on are taken entirely, so the axis before them is contiguous too
    let mut whole = shape.len();
    while whole > 0 && region[whole - 1] == (0..shape[whole - 1]) {
        whole -= 1;
    }
    let contiguous = whole.saturating_sub(1);
    let length = region[contiguous..]
        .iter()
        .map(ExactSizeIterator::len)
        .product();
    let offset: usize = region
        .iter()
        .zip(&strides)
        .map(|(range, stride)| range.start * stride)
        .sum();
    let (inner, stride) = match contiguous {
        0 => (1, 0),
        _ => (region[contiguous - 1].len(), strides[contiguous - 1]),
    };
    let mut starts = vec![offset];
    for axis in 0..contiguous.saturating_sub(1) {
        starts = starts
            .iter()
            .flat_map(|&start| (0..region[axis].len()).map(move |i| (start, i)))
            .map(|(start, i)| start + i * strides[axis])
            .collect();
    }
    if region.iter().any(|range| range.is_empty()) {
        starts.clear();
    }
    Runs {
        length,
        stride,
        inner,
        starts,
    }
}

impl Runs {
    /// Whether reading the gaps too is cheaper than a system call per run. Wide runs are never
    /// read with large gaps: the bytes moved are a promise of the products.
    fn coalesce(&self, item_bytes: usize) -> bool {
        let (run, stride) = (self.length * item_bytes, self.stride * item_bytes);
        let gap = stride.saturating_sub(run);
        self.inner > 1
            && stride <= BOUNCE_BYTES / 2
            && (gap <= run / 4 || (run <= 512 && gap <= 4096))
    }
}

impl<T: Element> Source<T> for NpyFile {
    fn name(&self) -> &'static str {
        "read-npy"
    }

    fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    fn order(&self) -> Order {
        match self.header.fortran_order {
            true => Order::Fortran,
            false => Order::C,
        }
    }

    fn read(&self, region: &[Range<usize>], out: &mut [T]) -> Result<u64> {
        let (shape, region) = self.as_stored(region);
        let runs = runs(&shape, &region);
        let item = self.item_bytes;
        let at = |element: usize| self.header.data_offset + (element * item) as u64;
        let run = runs.length * item;
        let mut rest = as_bytes_mut(out);
        let mut moved = 0;
        if runs.coalesce(item) {
            let mut bounce = vec![0u8; BOUNCE_BYTES];
            let stride = runs.stride * item;
            let per_read = 1 + (BOUNCE_BYTES - run) / stride;
            for &start in &runs.starts {
                for first in (0..runs.inner).step_by(per_read) {
                    let count = per_read.min(runs.inner - first);
                    let span = (count - 1) * stride + run;
                    self.read_at(&mut bounce[..span], at(start + first * runs.stride))?;
                    moved += span as u64;
                    for i in 0..count {
                        let (head, tail) = rest.split_at_mut(run);
                        head.copy_from_slice(&bounce[i * stride..i * stride + run]);
                        rest = tail;
                    }
                }
            }
        } else {
            for &start in &runs.starts {
                for i in 0..runs.inner {
                    let (head, tail) = rest.split_at_mut(run);
                    self.read_at(head, at(start + i * runs.stride))?;
                    moved += run as u64;
                    rest = tail;
                }
            }
        }
        debug_assert!(rest.is_empty());
        Ok(moved)
    }

    fn storage_bytes(&self, region: &[Range<usize>]) -> u64 {
        let (shape, region) = self.as_stored(region);
        let runs = runs(&shape, &region);
        let per_loop = match runs.coalesce(self.item_bytes) {
            true => (runs.inner - 1) * runs.stride + runs.length,
            false => runs.inner * runs.length,
        };
        (runs.starts.len() * per_loop * self.item_bytes) as u64
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(&self.path.to_string_lossy());
        hasher.str(&format!("{:?} {:?}", self.header, self.modified));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_visit_the_window_in_order(
            axes in prop::collection::vec((1usize..6, 0usize..6, 0usize..6), 0..4)
        ) {
            let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
            let region: Vec<Range<usize>> = axes
                .iter()
                .map(|&(n, a, b)| a.min(b).min(n)..a.max(b).min(n))
                .collect();
            let array = ndarray::ArrayD::from_shape_fn(shape.clone(), |index| {
                let mut flat = 0;
                for axis in 0..shape.len() {
                    flat = flat * shape[axis] + index[axis];
                }
                flat
            });
            let expected: Vec<usize> = array
                .slice_each_axis(|axis| ndarray::Slice::from(region[axis.axis.index()].clone()))
                .iter()
                .copied()
                .collect();
            let runs = runs(&shape, &region);
            let mut visited = Vec::new();
            for &start in &runs.starts {
                for i in 0..runs.inner {
                    visited.extend((0..runs.length).map(|j| start + i * runs.stride + j));
                }
            }
            prop_assert_eq!(visited, expected);
        }
    }
}
