//! Matrices of `f64`, uniform between -0.5 and 0.5, as npy files in C order.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::random::Random;
use crate::write::{create, for_each};
use crate::{Error, Result};

/// Elements with one stream of random numbers.
const ELEMENTS_PER_BATCH: usize = 1 << 16;

/// Two square matrices, `A.npy` and `B.npy`, of `size` bytes together.
pub(crate) fn generate(size: u64, seed: u64, dir: &Path, threads: usize) -> Result<Vec<PathBuf>> {
    let edge = ((size / 16).isqrt() as usize).max(1);
    let paths = [dir.join("A.npy"), dir.join("B.npy")];
    for_each(2, threads, &|i| {
        generate_matrix(edge, edge, seed * 2 + i as u64, &paths[i])
    })?;
    Ok(paths.to_vec())
}

/// Writes one matrix.
///
/// # Errors
/// When the file cannot be written or exists already.
pub fn generate_matrix(rows: usize, columns: usize, seed: u64, path: &Path) -> Result<()> {
    let failed = |error| Error::new(path, error);
    let mut out = BufWriter::with_capacity(1 << 20, create(path)?);
    let mut header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00").map_err(failed)?;
    out.write_all(&(header.len() as u16).to_le_bytes())
        .map_err(failed)?;
    out.write_all(header.as_bytes()).map_err(failed)?;
    let total = rows as u64 * columns as u64;
    let mut bytes = Vec::with_capacity(8 * ELEMENTS_PER_BATCH);
    for batch in 0..total.div_ceil(ELEMENTS_PER_BATCH as u64) {
        let mut random = Random::new(seed ^ 0x6d78, batch);
        let count = (total - batch * ELEMENTS_PER_BATCH as u64).min(ELEMENTS_PER_BATCH as u64);
        bytes.clear();
        for _ in 0..count {
            bytes.extend((random.unit() - 0.5).to_le_bytes());
        }
        out.write_all(&bytes).map_err(failed)?;
    }
    out.flush().map_err(failed)
}
