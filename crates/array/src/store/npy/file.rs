//! npy files, window by window, read with `pread` (see `runs.rs` for which bytes that are); or, where
//! the user asked for it, mapped into memory where a window is most of what lies between its ends.
//!
//! A mapped window costs no copy, but counts like one that was read: its bytes are leased before it
//! is mapped, and its pages leave the process when the slab was used. So the budget bounds the
//! resident memory, the mapped part of it, too; the system's page cache beneath is not the
//! process's.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flagstone_common::{Result, TokenHasher, format_bytes};
use flagstone_io::open_regular;

use super::header::Header;
use crate::elements::bytes::sanitise;
use crate::elements::dtype::DType;
use crate::elements::element::Element;
use crate::expr::source::{Mapped, Order, Source};
use crate::grid::along::Along;
use crate::store::failure::{failure, unreadable};
use crate::store::runs::{Runs, dense};

/// A file whose header was read and whose length is what the header promises.
#[derive(Debug)]
pub(crate) struct NpyFile {
    path: PathBuf,
    file: File,
    header: Header,
    /// Identifies the content, with path and header.
    modified: Option<std::time::SystemTime>,
    dtype: DType,
    /// Whether windows may be mapped into memory.
    mapped: bool,
}

impl NpyFile {
    /// Opens a file and checks that it holds elements of type `T`.
    ///
    /// # Errors
    /// A missing or unreadable file, another type, a damaged header or a short file.
    pub(crate) fn open<T: Element>(path: &Path) -> Result<NpyFile> {
        let failed = |error: io::Error| unreadable(path, error);
        let mut file = open_regular(path).map_err(failed)?;
        let header = Header::read(&mut file).map_err(failed)?;
        let (sign, code) = header
            .descr
            .split_at_checked(1)
            .unwrap_or(("", &header.descr));
        let native = matches!(sign, "<" | "=" | "|") && cfg!(target_endian = "little");
        if code != T::DTYPE.npy_code() || !native {
            return Err(failure(
                path,
                &format!(
                    "it holds elements of type {:?} but {} ({:?}) was asked for",
                    header.descr,
                    T::DTYPE,
                    format!("<{}", T::DTYPE.npy_code())
                ),
                None,
            ));
        }
        let metadata = file.metadata().map_err(failed)?;
        data_bytes(path, &header, size_of::<T>() as u64, metadata.len())?;
        Ok(NpyFile {
            path: path.to_owned(),
            file,
            header,
            modified: metadata.modified().ok(),
            dtype: T::DTYPE,
            mapped: false,
        })
    }

    /// Opens a file of nothing but elements, in C order and the machine's byte order, from `offset`
    /// bytes on.
    ///
    /// # Errors
    /// A missing or unreadable file, and one that is too short for the shape.
    pub(crate) fn open_raw<T: Element>(
        path: &Path,
        shape: &[usize],
        offset: u64,
    ) -> Result<NpyFile> {
        let failed = |error: io::Error| failure(path, &error.to_string(), Some(error));
        let file = open_regular(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let header = Header {
            descr: T::DTYPE.npy_code().to_owned(),
            fortran_order: false,
            shape: shape.to_vec(),
            data_offset: offset,
        };
        let expected = header
            .element_count()
            .and_then(|count| (count as u64).checked_mul(size_of::<T>() as u64))
            .and_then(|bytes| bytes.checked_add(offset))
            .ok_or_else(|| failure(path, "its shape has more than 2^64 bytes", None))?;
        if metadata.len() < expected {
            let message = format!(
                "it has {} bytes, but shape {shape:?} of {} from byte {offset} on needs {expected}",
                metadata.len(),
                T::DTYPE
            );
            return Err(failure(path, &message, None));
        }
        Ok(NpyFile {
            path: path.to_owned(),
            file,
            header,
            modified: metadata.modified().ok(),
            dtype: T::DTYPE,
            mapped: false,
        })
    }

    /// This file as one whose windows may be mapped into memory instead of read. One that is cut short
    /// while a window of it is mapped ends the process.
    pub(crate) fn into_mapped(mut self) -> Self {
        self.mapped = true;
        self
    }

    /// The shape and where the elements start, for writing a part of them.
    ///
    /// # Errors
    /// A file whose first axis varies fastest.
    pub(crate) fn c_order_layout(&self) -> Result<(Vec<usize>, u64)> {
        if self.header.fortran_order {
            let message = "it is in Fortran order, in which regions are not stored";
            return Err(failure(&self.path, message, None));
        }
        Ok((self.header.shape.clone(), self.header.data_offset))
    }

    /// The runs of a window, from the slowest axis to the fastest as they lie in the file.
    fn runs(&self, window: &[Along]) -> Runs {
        let (shape, window) = self.stored(window);
        Runs::new(&shape, &window, self.dtype.size())
    }

    fn stored(&self, window: &[Along]) -> (Vec<usize>, Vec<Along>) {
        let (mut shape, mut window) = (self.header.shape.clone(), window.to_vec());
        if self.header.fortran_order {
            shape.reverse();
            window.reverse();
        }
        (shape, window)
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
                _ => unreadable(&self.path, error),
            })
    }
}

/// The bytes of the elements, if a file of this length has them all.
///
/// # Errors
/// A shape of more bytes than can be counted, and a file that is shorter.
pub(crate) fn data_bytes(
    path: &Path,
    header: &Header,
    item_bytes: u64,
    length: u64,
) -> Result<u64> {
    let expected = header
        .element_count()
        .and_then(|count| (count as u64).checked_mul(item_bytes))
        .and_then(|bytes| bytes.checked_add(header.data_offset))
        .ok_or_else(|| failure(path, "its shape has more than 2^64 bytes", None))?;
    match length < expected {
        true => Err(failure(path, &truncated(length, expected), None)),
        false => Ok(expected - header.data_offset),
    }
}

fn truncated(length: u64, expected: u64) -> String {
    format!(
        "it is truncated: {length} bytes ({}), but its header promises at least {expected} ({})",
        format_bytes(length),
        format_bytes(expected)
    )
}

impl Source for NpyFile {
    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

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

    fn is_stored(&self) -> bool {
        true
    }

    fn read(&self, window: &[Along], out: &mut [u8]) -> Result<u64> {
        let moved = self.runs(window).read(out, &mut |bytes, at| {
            self.read_at(bytes, self.header.data_offset + at as u64)
        })?;
        sanitise(self.dtype, out);
        Ok(moved)
    }

    fn map(&self, window: &[Along], bytes: u64) -> Result<Option<Mapped>> {
        let item = self.dtype.size();
        let (shape, stored) = self.stored(window);
        // bytes that are to be booleans have to be looked at first
        let may = self.mapped && self.dtype != DType::Bool;
        let Some((span, mut strides)) =
            dense(&shape, &stored, item).filter(|(span, _)| may && span.len() as u64 <= bytes)
        else {
            return Ok(None);
        };
        if self.header.fortran_order {
            strides.reverse();
        }
        let start = self.header.data_offset + span.start as u64;
        let failed = |error: io::Error| failure(&self.path, &error.to_string(), Some(error));
        let length = self.file.metadata().map_err(failed)?.len();
        if length < start + span.len() as u64 {
            let message = truncated(length, start + span.len() as u64);
            return Err(failure(&self.path, &message, None));
        }
        let mut options = memmap2::MmapOptions::new();
        options.offset(start).len(span.len()).populate();
        // SAFETY: the pages are read only, and only as numbers, of which every bit pattern is one.
        // A file that somebody changes meanwhile gives other numbers; one that somebody cuts short
        // after the check above ends the process, as the documentation of `open_npy_mapped` says.
        let pages = match unsafe { options.map(&self.file) } {
            Ok(pages) => pages,
            // a file system without mappings
            Err(_) => return Ok(None),
        };
        // numbers that do not lie at multiples of their size are read
        let aligned = (pages.as_ptr() as usize).is_multiple_of(item);
        Ok(aligned.then_some(Mapped { pages, strides }))
    }

    fn advise(&self, window: &[Along]) {
        let (shape, stored) = self.stored(window);
        let Some((span, _)) = dense(&shape, &stored, self.dtype.size()) else {
            return;
        };
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;

            let start = self.header.data_offset + span.start as u64;
            // SAFETY: the descriptor is open as long as `self`; nothing but the page cache changes.
            let _ = unsafe {
                libc::posix_fadvise(
                    self.file.as_raw_fd(),
                    start as libc::off_t,
                    span.len() as libc::off_t,
                    libc::POSIX_FADV_WILLNEED,
                )
            };
        }
    }

    fn storage_bytes(&self, window: &[Along]) -> u64 {
        self.runs(window).storage_bytes()
    }

    fn hash(&self, hasher: &mut TokenHasher) {
        hasher.str(&self.path.to_string_lossy());
        hasher.str(&format!("{:?} {:?}", self.header, self.modified));
    }
}
