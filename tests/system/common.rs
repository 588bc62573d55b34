//! Executors of every kind, and data to give them.

use std::io::Write;
use std::path::{Path, PathBuf};

use flagstone::Session;
use flagstone::arrow::array::RecordBatch;

pub(crate) const MIB: u64 = 1 << 20;

/// A session of this size, which spills wherever spilling is allowed.
pub(crate) fn session(mib: u64, threads: usize) -> Session {
    Session::builder()
        .memory_bytes(mib * MIB)
        .threads(threads)
        .build()
        .unwrap()
}

/// A batch of bits: equal only if every value is.
pub(crate) fn printed(batch: &RecordBatch) -> String {
    flagstone::arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch))
        .unwrap()
        .to_string()
}

pub(crate) fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Writes a matrix of `f64` as npy, row by row.
pub(crate) fn npy(path: &Path, rows: usize, cols: usize, value: impl Fn(usize, usize) -> f64) {
    let mut header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {cols}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    out.write_all(b"\x93NUMPY\x01\x00").unwrap();
    out.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
    out.write_all(header.as_bytes()).unwrap();
    for row in 0..rows {
        for col in 0..cols {
            out.write_all(&value(row, col).to_le_bytes()).unwrap();
        }
    }
    out.flush().unwrap();
}

/// Values without a short binary form, so that the order of a sum shows in its bits.
pub(crate) fn rough(row: usize, col: usize) -> f64 {
    let mixed = (row as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add((col as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    ((mixed >> 33) as f64) / 7e8 - 1.3
}
