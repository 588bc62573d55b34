//! Factorisations of small dense matrices, on the calling thread, in double precision.
//!
//! Everything here has shapes that follow from the data alone and runs sequentially, so the bits
//! are the same each time. Matrices are in C order.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply_householder,
};
use faer::linalg::matmul::matmul;
use faer::linalg::qr::no_pivoting::factor::{
    qr_in_place, qr_in_place_scratch, recommended_block_size,
};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Accum, Conj, Mat, MatMut, MatRef, Par};
use flagstone_common::{Error, Result};

/// What faer works in beside its matrices.
fn scratch(requests: [StackReq; 2]) -> StackReq {
    requests[0].or(requests[1])
}

fn qr_request(rows: usize, columns: usize) -> StackReq {
    let block = recommended_block_size::<f64>(rows, columns);
    scratch([
        qr_in_place_scratch::<f64>(rows, columns, block, Par::Seq, Default::default()),
        apply_scratch::<f64>(rows, block, rows.min(columns)),
    ])
}

/// Bytes that [`qr`] allocates.
pub(crate) fn qr_bytes(rows: usize, columns: usize) -> u64 {
    let (block, short) = (
        recommended_block_size::<f64>(rows, columns),
        rows.min(columns),
    );
    // faer aligns columns to a cache line
    let matrix = |rows: usize, columns: usize| rows.next_multiple_of(8) * columns * 8;
    let own = matrix(rows, columns) + matrix(rows, short) + matrix(block, short);
    (own + qr_request(rows, columns).unaligned_bytes_required() + 4096) as u64
}

/// The factors of `a` (`rows x columns`): `q` has orthonormal columns, the smaller of both many, in
/// rows of `columns`; `r` has as many rows.
pub(crate) fn qr(a: &[f64], (rows, columns): (usize, usize), q: &mut [f64], r: &mut [f64]) {
    let short = rows.min(columns);
    let block = recommended_block_size::<f64>(rows, columns);
    let mut buffer = MemBuffer::new(qr_request(rows, columns));
    let stack = MemStack::new(&mut buffer);
    let mut basis = MatRef::from_row_major_slice(a, rows, columns).to_owned();
    let mut factor = Mat::<f64>::zeros(block, short);
    qr_in_place(
        basis.as_mut(),
        factor.as_mut(),
        Par::Seq,
        stack,
        Default::default(),
    );
    for i in 0..short {
        for j in 0..columns {
            r[i * columns + j] = if j < i { 0.0 } else { basis[(i, j)] };
        }
    }
    let mut thin = Mat::<f64>::zeros(rows, short);
    thin.as_mut().diagonal_mut().fill(1.0);
    apply_householder(
        basis.as_ref().subcols(0, short),
        factor.as_ref(),
        Conj::No,
        thin.as_mut(),
        Par::Seq,
        stack,
    );
    for i in 0..rows {
        for j in 0..columns {
            q[i * columns + j] = if j < short { thin[(i, j)] } else { 0.0 };
        }
    }
}

fn svd_request(edge: usize) -> StackReq {
    let vectors = ComputeSvdVectors::Full;
    svd_scratch::<f64>(edge, edge, vectors, vectors, Par::Seq, Default::default())
}

/// Bytes that [`square_svd`] allocates.
pub(crate) fn svd_bytes(edge: usize) -> u64 {
    let matrix = edge.next_multiple_of(8) * edge * 8;
    (2 * matrix + 8 * edge + svd_request(edge).unaligned_bytes_required() + 4096) as u64
}

/// The singular values of a square matrix, descending, with the left vectors as columns of `u` and
/// the right ones as rows of `v`.
///
/// # Errors
/// Where the iteration does not end: the matrix has what is not a finite number.
pub(crate) fn square_svd(
    a: &[f64],
    edge: usize,
    u: &mut [f64],
    s: &mut [f64],
    v: &mut [f64],
) -> Result<()> {
    let failed =
        || Error::invalid("a matrix with infinities or not-a-numbers has no singular values");
    if !a.iter().all(|value| value.is_finite()) {
        return Err(failed());
    }
    let mut buffer = MemBuffer::new(svd_request(edge));
    let stack = MemStack::new(&mut buffer);
    let (mut left, mut right) = (Mat::<f64>::zeros(edge, edge), Mat::<f64>::zeros(edge, edge));
    let mut values = Diag::<f64>::zeros(edge);
    svd(
        MatRef::from_row_major_slice(a, edge, edge),
        values.as_mut(),
        Some(left.as_mut()),
        Some(right.as_mut()),
        Par::Seq,
        stack,
        Default::default(),
    )
    .map_err(|_| failed())?;
    for i in 0..edge {
        s[i] = values[i];
        for j in 0..edge {
            u[i * edge + j] = left[(i, j)];
            v[i * edge + j] = right[(j, i)];
        }
    }
    Ok(())
}

/// `c = a · b`, of `m x k` and `k x n`; rows of `a` are `a_row` apart.
pub(crate) fn product(
    (a, a_row): (&[f64], usize),
    b: &[f64],
    c: &mut [f64],
    (m, k, n): (usize, usize, usize),
) {
    matmul(
        MatMut::from_row_major_slice_mut(c, m, n),
        Accum::Replace,
        MatRef::from_row_major_slice(a, m, a_row).subcols(0, k),
        MatRef::from_row_major_slice(b, k, n),
        1.0,
        Par::Seq,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize) -> Vec<f64> {
        (0..rows * columns)
            .map(|i| ((i * 7919 + 13) % 1009) as f64 / 100.0 - 5.0)
            .collect()
    }

    #[test]
    fn factors_multiply_to_the_matrix() {
        for (rows, columns) in [(1, 1), (7, 3), (3, 7), (200, 40), (64, 64)] {
            let a = matrix(rows, columns);
            let (mut q, mut r) = (
                vec![0.0; rows * columns],
                vec![0.0; columns.min(rows) * columns],
            );
            qr(&a, (rows, columns), &mut q, &mut r);
            let mut back = vec![0.0; rows * columns];
            product(
                (&q, columns),
                &r,
                &mut back,
                (rows, rows.min(columns), columns),
            );
            assert!(
                a.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-11),
                "{rows} {columns}"
            );
        }
    }

    #[test]
    fn singular_values_make_the_matrix_again() {
        for edge in [1, 2, 9, 60] {
            let a = matrix(edge, edge);
            let (mut u, mut s, mut v) = (
                vec![0.0; edge * edge],
                vec![0.0; edge],
                vec![0.0; edge * edge],
            );
            square_svd(&a, edge, &mut u, &mut s, &mut v).unwrap();
            assert!(s.windows(2).all(|pair| pair[0] >= pair[1]));
            for (i, value) in v.iter_mut().enumerate() {
                *value *= s[i / edge];
            }
            let mut back = vec![0.0; edge * edge];
            product((&u, edge), &v, &mut back, (edge, edge, edge));
            assert!(
                a.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-10),
                "{edge}"
            );
        }
        let mut out = [0.0; 4];
        let (mut s, mut v) = ([0.0; 2], [0.0; 4]);
        assert!(square_svd(&[1.0, f64::NAN, 0.0, 1.0], 2, &mut out, &mut s, &mut v).is_err());
    }
}
