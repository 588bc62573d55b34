//! Elements at strides: where they lie, and copies of them.

use crate::elements::dtype::DType;

/// A strided array that somebody keeps alive.
#[derive(Debug, Clone)]
pub(crate) struct Strided {
    /// The first element.
    pub(crate) start: *const u8,
    /// From one element to the next along each axis, in bytes.
    pub(crate) strides: Vec<isize>,
    pub(crate) dtype: DType,
}

/// Where the result goes.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) start: *mut u8,
    /// In bytes.
    pub(crate) strides: Vec<isize>,
    pub(crate) dtype: DType,
}

/// Strides of a C-ordered array, in bytes.
pub(crate) fn c_strides(shape: &[usize], item: usize) -> Vec<isize> {
    let mut strides = vec![0; shape.len()];
    let mut stride = item as isize;
    for (axis, &length) in shape.iter().enumerate().rev() {
        strides[axis] = stride;
        stride *= length as isize;
    }
    strides
}

/// Whether the elements of a tile lie one after the other.
pub(crate) fn lies_in_order(extent: &[usize], strides: &[isize], item: usize) -> bool {
    let mut expected = item as isize;
    for (&length, &stride) in extent.iter().zip(strides).rev() {
        if length > 1 && stride != expected {
            return false;
        }
        expected *= length as isize;
    }
    true
}

/// Merges axes that every array steps through as one.
pub(super) fn coalesce(
    shape: &[usize],
    operands: &[Strided],
    target: &Target,
) -> (Vec<usize>, Vec<Strided>, Target) {
    let mut kept: Vec<usize> = Vec::new();
    let mut merged: Vec<usize> = Vec::new();
    let all = |f: &dyn Fn(&[isize]) -> bool| {
        f(&target.strides) && operands.iter().all(|operand| f(&operand.strides))
    };
    for (axis, &length) in shape.iter().enumerate() {
        if length == 1 {
            continue;
        }
        match (kept.last_mut(), merged.last_mut()) {
            (Some(last), Some(total))
                if all(&|strides| strides[*last] == strides[axis] * length as isize) =>
            {
                *total *= length;
                *last = axis;
            }
            _ => {
                kept.push(axis);
                merged.push(length);
            }
        }
    }
    let select = |strides: &[isize]| kept.iter().map(|&axis| strides[axis]).collect();
    let operands = operands
        .iter()
        .map(|operand| Strided {
            start: operand.start,
            strides: select(&operand.strides),
            dtype: operand.dtype,
        })
        .collect();
    let target = Target {
        start: target.start,
        strides: select(&target.strides),
        dtype: target.dtype,
    };
    (merged, operands, target)
}

/// Copies elements between two strided arrays of one shape and type.
///
/// # Safety
/// Both have an element at each place of `shape`, the target's may be written, and the two are
/// the same memory or do not overlap.
pub(crate) unsafe fn copy(shape: &[usize], from: &Strided, to: &Target) {
    // SAFETY: the caller's promise, for an integer as wide as the elements.
    unsafe {
        match from.dtype.size() {
            1 => copy_sized::<u8>(shape, from, to),
            2 => copy_sized::<u16>(shape, from, to),
            4 => copy_sized::<u32>(shape, from, to),
            _ => copy_sized::<u64>(shape, from, to),
        }
    }
}

unsafe fn copy_sized<W: Copy>(shape: &[usize], from: &Strided, to: &Target) {
    if shape.contains(&0) {
        return;
    }
    let Some(last) = shape.len().checked_sub(1) else {
        // SAFETY: one element on each side.
        unsafe { to.start.cast::<W>().write(from.start.cast::<W>().read()) };
        return;
    };
    let (near, far) = (from.strides[last], to.strides[last]);
    let item = size_of::<W>() as isize;
    let mut at = vec![0usize; last];
    loop {
        let offset = |strides: &[isize]| -> isize {
            at.iter()
                .zip(strides)
                .map(|(&at, &stride)| at as isize * stride)
                .sum()
        };
        let source = from.start.wrapping_offset(offset(&from.strides));
        let target = to.start.wrapping_offset(offset(&to.strides));
        // SAFETY: one row of places of `shape`, on both sides.
        unsafe {
            if near == item && far == item {
                std::ptr::copy(source.cast::<W>(), target.cast::<W>(), shape[last]);
            } else {
                for i in 0..shape[last] as isize {
                    let value = source.offset(i * near).cast::<W>().read();
                    target.offset(i * far).cast::<W>().write(value);
                }
            }
        }
        let mut axis = last;
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            at[axis] += 1;
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
}
