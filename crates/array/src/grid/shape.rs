//! Shapes: what may be one, and what several are broadcast to.

/// No array has more axes: as many as NumPy's have. Plans and messages have a part for each, so a file
/// that claims thousands is refused when it is opened.
pub(crate) const NDIM_MAX: usize = 64;

/// The sentence for more axes than that.
pub(crate) fn too_many_axes(ndim: usize) -> Option<String> {
    let message = || format!("it has {ndim} axes, and arrays have at most {NDIM_MAX}");
    (ndim > NDIM_MAX).then(message)
}

/// The shape of shapes broadcast against each other, by NumPy's rule.
pub(crate) fn broadcast(shapes: &[&[usize]]) -> Option<Vec<usize>> {
    let ndim = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut result = vec![1; ndim];
    for shape in shapes {
        let skip = ndim - shape.len();
        for (length, &other) in result[skip..].iter_mut().zip(*shape) {
            match (*length, other) {
                (a, b) if a == b => {}
                (1, b) => *length = b,
                (_, 1) => {}
                _ => return None,
            }
        }
    }
    Some(result)
}

/// Refuses shapes whose elements cannot be counted.
pub(crate) fn check_shape(shape: &[usize]) -> Result<(), String> {
    let product = shape
        .iter()
        .try_fold(1usize, |size, &length| size.checked_mul(length));
    match product {
        Some(size) if size <= isize::MAX as usize / 8 => Ok(()),
        _ => Err(format!(
            "an array of shape {shape:?} has more elements than 2^64 bytes hold"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_numpy_does() {
        assert_eq!(broadcast(&[&[5, 4], &[4]]), Some(vec![5, 4]));
        assert_eq!(broadcast(&[&[5, 1], &[1, 4]]), Some(vec![5, 4]));
        assert_eq!(broadcast(&[&[], &[0, 3]]), Some(vec![0, 3]));
        assert_eq!(broadcast(&[&[2], &[3]]), None);
        assert_eq!(broadcast(&[&[0], &[1]]), Some(vec![0]));
        assert_eq!(broadcast(&[&[3, 1], &[], &[4]]), Some(vec![3, 4]));
        assert_eq!(broadcast(&[]), Some(vec![]));
    }
}
