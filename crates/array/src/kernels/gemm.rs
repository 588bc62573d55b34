//! The matrix product of one block, `C += A · B`: the one place where a gemm is called.
//!
//! The product of large matrices is rounded the same way whatever the tiles and the threads,
//! because it is made of calls whose shapes follow from the matrices alone: blocks of C, square ones
//! ([`block_edge`]) but where the product is symmetric, [`call_depth`] elements of the contracted axis
//! at a time, in ascending order. Every call is single-threaded; the layer above runs blocks in
//! parallel.
//!
//! Rows of A that are side by side in the contracted axis, and columns of B that are side by side, are
//! what the kernel reads without packing them into memory that it asks the allocator for in every
//! call: an allocator that gives back what is freed, as a session has it do, maps such a piece each
//! time, and its fresh pages cost as much as a fifth of a product. The layer above lays its panels out
//! so.
//!
//! The default kernel is the `gemm` crate, in Rust. With the feature `blas` it is whatever CBLAS
//! `blas-src` links (OpenBLAS), told to use one thread.

use crate::elements::element::Element;
use crate::elements::gemm::{Gemm, GemmBlock};

/// The largest edge of the blocks of C that are accumulated by one call. Tiles are multiples of it.
pub(crate) const BLOCK: usize = 512;
/// Below this many large blocks a product has small ones, so that many threads find work.
const BLOCKS_MIN: usize = 64;

/// The edge of the blocks of an `m x n` result. It divides [`BLOCK`].
pub(crate) fn block_edge(m: usize, n: usize) -> usize {
    match m.div_ceil(BLOCK) * n.div_ceil(BLOCK) >= BLOCKS_MIN {
        true => BLOCK,
        false => BLOCK / 2,
    }
}

/// Whether the kernel wants columns side by side; another packs what lies otherwise as fast.
pub(crate) const TURNS: bool = cfg!(not(feature = "blas"));

/// How much of the contracted axis one call takes at most.
const PANEL_MAX: usize = 512;

/// How much of the contracted axis one call takes in a product of `m x k` and `k x n`. Every call
/// reads and writes its block of C, so more is faster; it needs more memory for the operands, which
/// counts where C itself is small.
pub(crate) fn call_depth(m: usize, n: usize, k: usize) -> usize {
    match k >= 4 * PANEL_MAX && m.saturating_mul(n) >= BLOCK * BLOCK {
        true => PANEL_MAX,
        false => PANEL_MAX / 2,
    }
}

/// For integers, and the reference that tests compare the others with.
pub(crate) fn portable<T: Element>(block: GemmBlock<'_, T>) {
    let (m, n, k) = block.shape;
    if block.is_empty() {
        return;
    }
    for i in 0..m {
        // SAFETY: the maker of a block owns `m` rows of `n` contiguous elements at `c`, and no
        // other thread touches them during the call.
        let row = unsafe { std::slice::from_raw_parts_mut(block.c.add(i * block.c_row_stride), n) };
        for p in 0..k {
            let factor = *block.a.at(i, p);
            for (j, sum) in row.iter_mut().enumerate() {
                *sum = sum.plus(factor.times(*block.b.at(p, j)));
            }
        }
    }
}

/// Which kernel multiplies blocks of f64 and f32 in this process: the `gemm` crate, or, with the feature
/// `blas`, OpenBLAS with the processor that it takes this one for.
///
/// An OpenBLAS older than the processor falls back to kernels without its vector instructions, which
/// take four times as long; then the text says how to choose others.
///
/// ```
/// assert!(!flagstone_array::gemm_kernel().is_empty());
/// ```
pub fn gemm_kernel() -> String {
    #[cfg(feature = "blas")]
    let kernel = blas::kernel();
    #[cfg(not(feature = "blas"))]
    let kernel = "gemm (Rust)".to_owned();
    kernel
}

/// Operands of fewer bytes are left to the kernel's own packing: room for them is found at once.
#[cfg(not(feature = "blas"))]
const PACKED_BYTES_MIN: usize = 64 << 10;

#[cfg(not(feature = "blas"))]
macro_rules! rust_gemm {
    ($name:ident, $float:ident) => {
        pub(crate) fn $name(block: GemmBlock<'_, $float>) {
            let (m, n, k) = block.shape;
            if block.is_empty() {
                return;
            }
            // with columns that fill no vector the kernel would pack all of a block's B in fresh memory
            const VECTOR: usize = 64 / size_of::<$float>();
            let whole = match k * n * size_of::<$float>() >= PACKED_BYTES_MIN {
                true => n - n % VECTOR,
                false => n,
            };
            for columns in [0..whole, whole..n] {
                if columns.is_empty() {
                    continue;
                }
                // SAFETY: `Operand::new` checked that A and B lie inside their slices; the
                // maker of the block owns the rows of C.
                unsafe {
                    ::gemm::gemm(
                        m,
                        columns.len(),
                        k,
                        block.c.add(columns.start),
                        1,
                        block.c_row_stride as isize,
                        true,
                        block.a.values.as_ptr(),
                        block.a.column_stride as isize,
                        block.a.row_stride as isize,
                        block
                            .b
                            .values
                            .as_ptr()
                            .add(columns.start * block.b.column_stride),
                        block.b.column_stride as isize,
                        block.b.row_stride as isize,
                        1.0,
                        1.0,
                        false,
                        false,
                        false,
                        ::gemm::Parallelism::None,
                    );
                }
            }
        }
    };
}

#[cfg(not(feature = "blas"))]
rust_gemm!(f64_block, f64);
#[cfg(not(feature = "blas"))]
rust_gemm!(f32_block, f32);

#[cfg(feature = "blas")]
mod blas {
    use std::sync::Once;

    // link the library
    extern crate blas_src as _;
    extern crate openblas_src as _;

    /// CBLAS wants one of the two strides to be 1: whether the operand lies transposed, and its
    /// leading dimension; `None` for general strides.
    pub(super) fn layout<T>(
        operand: &crate::elements::gemm::Operand<'_, T>,
    ) -> Option<(bool, i32)> {
        let (rows, columns) = (operand.row_stride, operand.column_stride);
        match (i32::try_from(rows.max(1)), i32::try_from(columns.max(1))) {
            (Ok(leading), _) if columns == 1 => Some((false, leading)),
            (_, Ok(leading)) if rows == 1 => Some((true, leading)),
            _ => None,
        }
    }

    /// Whether a matrix is transposed, in CBLAS' words.
    pub(super) fn transpose(transposed: bool) -> cblas_sys::CBLAS_TRANSPOSE {
        match transposed {
            true => cblas_sys::CblasTrans,
            false => cblas_sys::CblasNoTrans,
        }
    }

    /// OpenBLAS with the processor whose kernels it chose when it was loaded.
    pub(super) fn kernel() -> String {
        unsafe extern "C" {
            fn openblas_get_corename() -> *const std::ffi::c_char;
        }
        // SAFETY: part of OpenBLAS' C interface; it gives a string that lives as long as the process.
        let core = unsafe { std::ffi::CStr::from_ptr(openblas_get_corename()) };
        let core = core.to_string_lossy();
        match is_behind(&core) {
            false => format!("OpenBLAS for {core}"),
            true => format!(
                "OpenBLAS for {core}, as it does not know this processor: far slower than can be; set \
                 OPENBLAS_CORETYPE=SkylakeX (with AVX-512) or Haswell in the environment"
            ),
        }
    }

    /// Whether kernels for this processor leave out vector instructions that the one at hand has.
    pub(super) fn is_behind(core: &str) -> bool {
        // what OpenBLAS calls processors without AVX2
        const OLD: [&str; 14] = [
            "Katmai",
            "Coppermine",
            "Northwood",
            "Prescott",
            "Banias",
            "Core2",
            "Penryn",
            "Dunnington",
            "Nehalem",
            "Atom",
            "Opteron",
            "Barcelona",
            "Bobcat",
            "Sandybridge",
        ];
        #[cfg(target_arch = "x86_64")]
        let modern = std::arch::is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let modern = false;
        modern && OLD.iter().any(|old| core.eq_ignore_ascii_case(old))
    }

    /// Blocks already run in parallel; a second layer of threads would only fight them.
    pub(super) fn single_threaded() {
        static ONCE: Once = Once::new();
        unsafe extern "C" {
            fn openblas_set_num_threads(threads: std::ffi::c_int);
        }
        // SAFETY: part of OpenBLAS' C interface; `Once` keeps it to one call.
        ONCE.call_once(|| unsafe { openblas_set_num_threads(1) });
    }
}

#[cfg(feature = "blas")]
macro_rules! c_gemm {
    ($name:ident, $float:ident, $function:ident) => {
        pub(crate) fn $name(block: GemmBlock<'_, $float>) {
            let (m, n, k) = block.shape;
            let layouts = (blas::layout(&block.a), blas::layout(&block.b));
            let (Some((a_trans, a_leading)), Some((b_trans, b_leading))) = layouts else {
                return portable(block);
            };
            if block.is_empty() {
                return;
            }
            blas::single_threaded();
            // blocks are at most BLOCK x BLOCK x PANEL_MAX, so shapes fit; a leading dimension of one
            // row or column may be smaller than CBLAS' check wants
            let a_least = if a_trans { m } else { k };
            let b_least = if b_trans { k } else { n };
            // SAFETY: `Operand::new` checked that A and B lie inside their slices; the maker of
            // the block owns the rows of C.
            unsafe {
                cblas_sys::$function(
                    cblas_sys::CblasRowMajor,
                    blas::transpose(a_trans),
                    blas::transpose(b_trans),
                    m as i32,
                    n as i32,
                    k as i32,
                    1.0,
                    block.a.values.as_ptr(),
                    a_leading.max(a_least as i32),
                    block.b.values.as_ptr(),
                    b_leading.max(b_least as i32),
                    1.0,
                    block.c,
                    (block.c_row_stride as i32).max(n as i32),
                );
            }
        }
    };
}

#[cfg(feature = "blas")]
c_gemm!(f64_block, f64, cblas_dgemm);
#[cfg(feature = "blas")]
c_gemm!(f32_block, f32, cblas_sgemm);

macro_rules! multiplied {
    ($($element:ident $kernel:ident),*) => {
        $(
            impl Gemm for $element {
                fn gemm(block: GemmBlock<'_, Self>) {
                    $kernel(block);
                }
            }
        )*
    };
}
multiplied!(
    f64 f64_block, f32 f32_block, i64 portable, i32 portable, i16 portable, i8 portable,
    u64 portable, u32 portable, u16 portable, u8 portable, bool portable
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elements::gemm::Operand;

    fn run(m: usize, n: usize, k: usize, transposed: [bool; 2], portable_kernel: bool) -> Vec<f64> {
        let a: Vec<f64> = (0..m * k).map(|i| ((i * 7) % 13) as f64 - 6.0).collect();
        let b: Vec<f64> = (0..k * n).map(|i| ((i * 5) % 11) as f64 - 5.0).collect();
        let mut c = vec![1.0; m * (n + 3)];
        let a_strides = if transposed[0] { (1, m) } else { (k, 1) };
        let b_strides = if transposed[1] { (1, k) } else { (n, 1) };
        let block = GemmBlock {
            shape: (m, n, k),
            c: c.as_mut_ptr(),
            c_row_stride: n + 3,
            a: Operand::new(&a, 0, (m, k), a_strides),
            b: Operand::new(&b, 0, (k, n), b_strides),
        };
        if portable_kernel {
            portable(block);
        } else {
            f64_block(block);
        }
        c
    }

    #[test]
    fn the_kernel_is_named() {
        let kernel = gemm_kernel();
        assert!(!kernel.is_empty());
        #[cfg(feature = "blas")]
        {
            assert!(kernel.starts_with("OpenBLAS for "), "{kernel}");
            assert!(!blas::is_behind("SkylakeX") && !blas::is_behind("Zen"));
            #[cfg(target_arch = "x86_64")]
            assert_eq!(
                blas::is_behind("Prescott"),
                std::arch::is_x86_feature_detected!("avx2")
            );
        }
    }

    #[test]
    fn the_fast_kernel_equals_the_portable_one_on_small_integers() {
        for (m, n, k) in [
            (1, 1, 1),
            (5, 7, 3),
            (64, 33, 129),
            (70, 203, 130),
            (512, 131, 256),
            (1, 40, 9),
            (0, 3, 2),
            (3, 2, 0),
        ] {
            for transposed in [[false, false], [true, false], [false, true], [true, true]] {
                assert_eq!(
                    run(m, n, k, transposed, false),
                    run(m, n, k, transposed, true),
                    "{m} {n} {k} {transposed:?}"
                );
            }
        }
    }
}
