//! Sums along one axis, in an order that follows from the array's shape alone.
//!
//! The axis is cut into leaves of [`LEAF`] elements. A leaf is summed in ascending order (along a
//! contiguous axis in [`LANES`] interleaved lanes, which are added pairwise); leaves are added by
//! the canonical tree over their index, which splits at the largest power of two:
//!
//! ```text
//! five leaves:   ((0 + 1) + (2 + 3)) + 4
//! ```
//!
//! A run of leaves that starts at a multiple of 2^q and holds 2^q leaves is a subtree, so an axis
//! can be cut at such places, the parts summed anywhere, and merged by the same rule with the same
//! bits ([`Tree`]).

use ndarray::{ArrayViewD, Axis};

use crate::element::Element;

/// Elements that are added one after the other.
pub(crate) const LEAF: usize = 128;
const LANES: usize = 8;

/// Merges equal-sized partial sums by the canonical tree, holding at most one per level.
pub(crate) struct Tree<T> {
    /// Levels ascend towards the front: each entry is a complete subtree of 2^level parts.
    stack: Vec<(u32, Vec<T>)>,
}

impl<T: Element> Tree<T> {
    pub(crate) fn new() -> Self {
        Tree { stack: Vec::new() }
    }

    /// Adds the next part.
    pub(crate) fn push(&mut self, part: Vec<T>) {
        self.stack.push((0, part));
        while let [.., (left, _), (right, _)] = self.stack[..] {
            if left != right {
                break;
            }
            self.merge_last();
        }
    }

    fn merge_last(&mut self) {
        let Some((_, right)) = self.stack.pop() else {
            return;
        };
        if let Some((level, left)) = self.stack.last_mut() {
            for (a, b) in left.iter_mut().zip(right) {
                *a = a.plus(b);
            }
            *level += 1;
        }
    }

    /// The sum of all parts; `None` without parts.
    pub(crate) fn finish(mut self) -> Option<Vec<T>> {
        while self.stack.len() > 1 {
            self.merge_last();
        }
        self.stack.pop().map(|(_, sum)| sum)
    }

    /// How many partial sums are held at once for this many parts, the one being added included.
    pub(crate) fn depth(part_count: usize) -> usize {
        part_count.max(1).ilog2() as usize + 2
    }
}

/// Sums `view` along `axis` into a vector over the other axes, in their order.
pub(crate) fn sum_axis<T: Element>(view: &ArrayViewD<'_, T>, axis: usize) -> Vec<T> {
    let length = view.len_of(Axis(axis));
    let other: usize = view
        .shape()
        .iter()
        .enumerate()
        .filter(|&(i, _)| i != axis)
        .map(|(_, n)| n)
        .product();
    let mut tree = Tree::new();
    for leaf in view.axis_chunks_iter(Axis(axis), LEAF) {
        let mut sum = vec![T::ZERO; other];
        if axis + 1 == view.ndim() {
            for (lane, total) in leaf.lanes(Axis(axis)).into_iter().zip(&mut sum) {
                *total = match lane.as_slice() {
                    Some(values) => sum_lanes(values.iter().copied()),
                    None => sum_lanes(lane.iter().copied()),
                };
            }
        } else {
            for row in leaf.axis_iter(Axis(axis)) {
                match row.as_slice() {
                    Some(values) => {
                        for (total, &value) in sum.iter_mut().zip(values) {
                            *total = total.plus(value);
                        }
                    }
                    None => {
                        for (total, &value) in sum.iter_mut().zip(row.iter()) {
                            *total = total.plus(value);
                        }
                    }
                }
            }
        }
        tree.push(sum);
    }
    debug_assert!(length > 0 || tree.stack.is_empty());
    tree.finish().unwrap_or_else(|| vec![T::ZERO; other])
}

fn sum_lanes<T: Element>(values: impl Iterator<Item = T>) -> T {
    let mut lanes = [T::ZERO; LANES];
    for (i, value) in values.enumerate() {
        lanes[i % LANES] = lanes[i % LANES].plus(value);
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = lanes[i].plus(lanes[i + width]);
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::ArrayD;

    fn canonical(parts: &[f64]) -> f64 {
        match parts {
            [one] => *one,
            _ => {
                let split = parts.len().next_power_of_two() / 2;
                canonical(&parts[..split]) + canonical(&parts[split..])
            }
        }
    }

    #[test]
    fn the_tree_is_the_canonical_one() {
        for count in 1..70 {
            let parts: Vec<f64> = (0..count).map(|i| 1.0 / (i as f64 + 3.0)).collect();
            let mut tree = Tree::new();
            parts.iter().for_each(|&part| tree.push(vec![part]));
            assert!(tree.stack.len() <= Tree::<f64>::depth(count));
            assert_eq!(tree.finish(), Some(vec![canonical(&parts)]), "{count}");
        }
    }

    #[test]
    fn parts_of_a_power_of_two_leaves_merge_to_the_same_bits() {
        let n = 5 * LEAF * 4 + 77;
        let values: Vec<f64> = (0..n * 3)
            .map(|i| ((i * 2654435761usize) % 1000) as f64 / 7.0)
            .collect();
        let array = ArrayD::from_shape_vec(vec![n, 3], values).unwrap();
        let whole = sum_axis(&array.view(), 0);
        for leaves in [1, 2, 4, 16] {
            let mut tree = Tree::new();
            for part in array.axis_chunks_iter(Axis(0), leaves * LEAF) {
                tree.push(sum_axis(&part, 0));
            }
            assert_eq!(tree.finish(), Some(whole.clone()));
        }
    }

    #[test]
    fn an_empty_axis_sums_to_zero() {
        let array = ArrayD::<f64>::zeros(vec![0, 2]);
        assert_eq!(sum_axis(&array.view(), 0), [0.0, 0.0]);
    }
}
