//! Transposing parts of matrices: lines side by side become columns.

/// Lines of the target that are written together: a few cache lines of each line are read for them.
const ACROSS: usize = 32;
/// Elements of each that are written at once.
const ALONG: usize = 8;

/// Writes `lines` lines of `length` elements, `stride` apart in `from`, as columns: element `i` of
/// line `j` becomes `to[i * to_stride + j]`.
///
/// # Safety
/// All these places may be written, and nobody else uses them during the call.
pub(crate) unsafe fn transpose<T: Copy>(
    from: &[T],
    stride: usize,
    (lines, length): (usize, usize),
    to: *mut T,
    to_stride: usize,
) {
    if lines == 0 || length == 0 {
        return;
    }
    assert!((lines - 1) * stride + length <= from.len());
    for first in (0..length).step_by(ACROSS) {
        let across = first..(first + ACROSS).min(length);
        let whole = lines - lines % ALONG;
        for line in (0..whole).step_by(ALONG) {
            let read: [&[T]; ALONG] =
                std::array::from_fn(|i| &from[(line + i) * stride..][across.clone()]);
            for i in 0..across.len() {
                // SAFETY: eight elements of a line of the target, which the caller lets us write.
                unsafe {
                    let out = to.add((first + i) * to_stride + line).cast::<[T; ALONG]>();
                    out.write_unaligned(read.map(|values| values[i]));
                }
            }
        }
        for line in whole..lines {
            for i in across.clone() {
                // SAFETY: as above.
                unsafe { to.add(i * to_stride + line).write(from[line * stride + i]) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_columns() {
        for (lines, length, gap) in [(0, 3, 0), (3, 0, 1), (1, 1, 0), (8, 32, 0), (13, 77, 5)] {
            let stride = length + gap;
            let from: Vec<u32> = (0..(lines * stride) as u32).collect();
            let mut to = vec![u32::MAX; length * (lines + 2)];
            // SAFETY: the target has `length` lines of more than `lines` elements.
            unsafe {
                transpose(&from, stride, (lines, length), to.as_mut_ptr(), lines + 2);
            }
            for i in 0..length {
                for j in 0..lines {
                    assert_eq!(to[i * (lines + 2) + j], from[j * stride + i]);
                }
                assert_eq!(to[i * (lines + 2) + lines..][..2], [u32::MAX; 2]);
            }
        }
    }
}
