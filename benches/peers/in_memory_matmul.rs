//! What an out-of-core product is measured against: both matrices loaded whole, the same kernel
//! (the `gemm` crate) called once on two threads, the result stored.
//!
//! `in_memory_matmul A.npy B.npy C.npy` prints one JSON line: `wall_s`, of which `kernel_s`.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::time::Instant;

use ndarray::Array2;
use ndarray_npy::{ReadNpyExt, WriteNpyExt};

const THREADS: usize = 2;

fn load(path: &str) -> Result<Array2<f64>, Box<dyn Error>> {
    let matrix = Array2::<f64>::read_npy(BufReader::with_capacity(1 << 20, File::open(path)?))?;
    if !matrix.is_standard_layout() {
        return Err(format!("{path} is not row-major").into());
    }
    Ok(matrix)
}

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [a, b, c] = paths.as_slice() else {
        return Err("usage: in_memory_matmul A.npy B.npy C.npy".into());
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .build_global()?;
    let start = Instant::now();
    let (a, b) = (load(a)?, load(b)?);
    let ((m, k), n) = (a.dim(), b.ncols());
    if b.nrows() != k {
        return Err("the matrices do not fit together".into());
    }
    let mut product = Array2::<f64>::zeros((m, n));
    let kernel = Instant::now();
    // SAFETY: all three are row-major matrices of these shapes, and C overlaps neither A nor B.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            product.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            1,
            k as isize,
            b.as_ptr(),
            1,
            n as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(THREADS),
        );
    }
    let kernel_s = kernel.elapsed().as_secs_f64();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(c)?);
    product.write_npy(&mut out)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    let wall_s = start.elapsed().as_secs_f64();
    println!("{{\"wall_s\": {wall_s:.3}, \"kernel_s\": {kernel_s:.3}}}");
    Ok(())
}
