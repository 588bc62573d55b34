//! What an npy file holds, from its header.

use std::fs::File;
use std::path::Path;

use flagstone_common::Result;

use super::file::data_bytes;
use super::header::Header;
use crate::store::failure::unreadable;

/// What the header of an npy file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyInfo {
    /// The element type as NumPy spells it: `<f8`.
    pub descr: String,
    /// The length of every axis.
    pub shape: Vec<usize>,
    /// Whether the first axis varies fastest.
    pub fortran_order: bool,
    /// The bytes of the elements.
    pub data_bytes: u64,
}

/// Reads the header of an npy file.
///
/// ```
/// use flagstone_array::{Array, inspect_npy};
/// use flagstone_graph::SerialExecutor;
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("x.npy");
/// Array::<f32>::ones(&[2, 3]).store_npy_with(&SerialExecutor, &path)?;
/// let info = inspect_npy(&path)?;
/// assert_eq!((&*info.descr, &info.shape[..]), ("<f4", &[2, 3][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A file that is missing, cannot be read, is no npy file, or is shorter than its header says.
pub fn inspect_npy(path: impl AsRef<Path>) -> Result<NpyInfo> {
    let path = path.as_ref();
    let failed = |error: std::io::Error| unreadable(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let header = Header::read(&mut file).map_err(failed)?;
    let file_bytes = file.metadata().map_err(failed)?.len();
    // of elements of an unknown size there are as many bytes as there are
    let data_bytes = match item_bytes(&header.descr) {
        Some(item_bytes) => data_bytes(path, &header, item_bytes, file_bytes)?,
        None => file_bytes.saturating_sub(header.data_offset),
    };
    Ok(NpyInfo {
        descr: header.descr,
        shape: header.shape,
        fortran_order: header.fortran_order,
        data_bytes,
    })
}

/// The bytes of an element, from the type as NumPy spells it: `<f8`, `<U10`, `<M8[ns]`.
fn item_bytes(descr: &str) -> Option<u64> {
    let descr = descr.trim_start_matches(['<', '>', '=', '|']);
    let kind = descr.chars().next()?;
    let digits = descr[kind.len_utf8()..].split('[').next()?;
    let count: u64 = digits.parse().ok()?;
    match kind {
        'b' | 'i' | 'u' | 'f' | 'c' | 'm' | 'M' | 'S' | 'V' => Some(count),
        'U' => count.checked_mul(4),
        _ => None,
    }
}
