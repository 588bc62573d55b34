//! What an npy file holds, from its header.

use std::fs::File;
use std::path::Path;

use flagstone_graph::{Error, Result};

use crate::source::Header;

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
/// # Errors
/// A file that is missing, cannot be read, or is no npy file.
pub fn inspect_npy(path: impl AsRef<Path>) -> Result<NpyInfo> {
    let path = path.as_ref();
    let failed = |error: std::io::Error| {
        Error::failed(std::io::Error::new(
            error.kind(),
            format!("{}: {error}", path.display()),
        ))
    };
    let mut file = File::open(path).map_err(failed)?;
    let header = Header::read(&mut file).map_err(failed)?;
    let file_bytes = file.metadata().map_err(failed)?.len();
    Ok(NpyInfo {
        descr: header.descr,
        shape: header.shape,
        fortran_order: header.fortran_order,
        data_bytes: file_bytes.saturating_sub(header.data_offset),
    })
}
