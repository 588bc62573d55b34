//! Boxes of arrays in C order, copied as bytes: what stored chunks and blocks have in common.
//!
//! What is read from files lies at any address, so nothing here is read as anything but bytes.

/// A box inside an array that lies in C order.
#[derive(Clone, Copy)]
pub(crate) struct Corner<'a> {
    /// The array's shape.
    pub(crate) shape: &'a [usize],
    /// The box's first element.
    pub(crate) at: &'a [usize],
}

/// Calls `each` with the byte offsets of every run of a box of `lengths` in `places`, and the
/// bytes of a run: as long as the box is contiguous in all of them.
fn runs<const N: usize>(
    places: [Corner<'_>; N],
    lengths: &[usize],
    item: usize,
    each: &mut dyn FnMut([usize; N], usize),
) {
    if lengths.contains(&0) {
        return;
    }
    // axes from `whole` on are taken entirely everywhere; with the one before them they are a run
    let whole = (0..lengths.len())
        .rev()
        .take_while(|&axis| {
            places
                .iter()
                .all(|place| place.shape[axis] == lengths[axis])
        })
        .last()
        .unwrap_or(lengths.len());
    let outer = whole.saturating_sub(1);
    let run = lengths[outer..].iter().product::<usize>() * item;
    let strides = places.map(|place| {
        let mut strides = vec![item; lengths.len()];
        for axis in (1..lengths.len()).rev() {
            strides[axis - 1] = strides[axis] * place.shape[axis];
        }
        strides
    });
    let mut at = vec![0; outer];
    loop {
        let mut offsets = [0; N];
        for (i, place) in places.iter().enumerate() {
            offsets[i] = (0..lengths.len())
                .map(|axis| (place.at[axis] + at.get(axis).unwrap_or(&0)) * strides[i][axis])
                .sum();
        }
        each(offsets, run);
        let mut axis = outer;
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            at[axis] += 1;
            if at[axis] < lengths[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
}

/// Copies a box of `lengths` elements of `item` bytes from one array to another.
pub(crate) fn copy_box(
    (from, from_place): (&[u8], Corner<'_>),
    (to, to_place): (&mut [u8], Corner<'_>),
    lengths: &[usize],
    item: usize,
) {
    runs([from_place, to_place], lengths, item, &mut |[a, b], run| {
        to[b..b + run].copy_from_slice(&from[a..a + run]);
    });
}

/// Fills a box with one element.
pub(crate) fn fill_box(to: &mut [u8], place: Corner<'_>, lengths: &[usize], element: &[u8]) {
    runs([place], lengths, element.len(), &mut |[at], run| {
        let run = &mut to[at..at + run];
        match element {
            [byte] => run.fill(*byte),
            _ if element.iter().all(|&byte| byte == 0) => run.fill(0),
            _ => run
                .chunks_exact_mut(element.len())
                .for_each(|to| to.copy_from_slice(element)),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_go_to_their_places() {
        let from: Vec<u8> = (0..4 * 5 * 3 * 2).collect();
        let mut to = vec![255u8; 3 * 3 * 3 * 2];
        let (a, b) = (
            Corner {
                shape: &[4, 5, 3],
                at: &[1, 2, 0],
            },
            Corner {
                shape: &[3, 3, 3],
                at: &[0, 1, 0],
            },
        );
        copy_box((&from, a), (&mut to, b), &[3, 2, 3], 2);
        for i in 0..3 {
            for j in 0..3 {
                for k in 0..3 {
                    let at = ((i * 3 + j) * 3 + k) * 2;
                    let expected = match j {
                        0 => 255,
                        _ => ((((i + 1) * 5 + j + 1) * 3 + k) * 2) as u8,
                    };
                    assert_eq!(to[at], expected, "{i} {j} {k}");
                }
            }
        }
        fill_box(&mut to, b, &[1, 1, 2], &[7, 8]);
        assert_eq!(to[6..12], [7, 8, 7, 8, to[10], to[11]]);
        let scalar = Corner {
            shape: &[],
            at: &[],
        };
        let mut one = [0; 2];
        copy_box((&[1, 2], scalar), (&mut one, scalar), &[], 2);
        assert_eq!(one, [1, 2]);
    }
}
