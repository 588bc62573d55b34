//! Folds along one axis, in an order that follows from the array's shape alone.
//!
//! The axis is cut into leaves of [`LEAF`] elements. A leaf is folded in a fixed way; leaves are
//! merged by the canonical tree over their index, which splits at the largest power of two:
//!
//! ```text
//! five leaves:   ((0 + 1) + (2 + 3)) + 4
//! ```
//!
//! A run of leaves that starts at a multiple of 2^q and holds 2^q leaves is a subtree, so an axis
//! can be cut at such places, the parts folded anywhere, and merged by the same rule with the same
//! bits ([`Tree`]).

use crate::elements::element::Element;

/// Elements that are folded one after the other.
pub(crate) const LEAF: usize = 128;

/// A way to make one value of many: a state per run of elements, and how two states merge.
pub(crate) trait Fold: Send + Sync + 'static {
    type In: Element;
    type State: Copy + Send + Sync + 'static;
    type Out: Element;
    /// 64-bit words that a state is stored in between tasks.
    const WORDS: usize;

    /// The operation's name in keys.
    fn name(&self) -> &'static str;

    /// The state of no elements.
    fn empty(&self) -> Self::State;

    /// The state of one element, which has this index along the axis.
    fn first(&self, value: Self::In, index: usize) -> Self::State;

    /// Adds the next element.
    fn push(&self, state: &mut Self::State, value: Self::In, index: usize);

    /// Adds the state of later elements.
    fn merge(&self, left: &mut Self::State, right: &Self::State);

    /// The result for this many elements.
    fn finish(&self, state: &Self::State, count: usize) -> Self::Out;

    fn save(&self, state: &Self::State, words: &mut [u64]);
    fn load(&self, words: &[u64]) -> Self::State;

    /// What distinguishes it from others of its name, for tokens.
    fn token(&self) -> String {
        String::new()
    }

    /// The state of a leaf whose elements lie side by side.
    fn lane(&self, values: &[Self::In], start: usize) -> Self::State {
        let Some((&first, rest)) = values.split_first() else {
            return self.empty();
        };
        let mut state = self.first(first, start);
        for (i, &value) in rest.iter().enumerate() {
            self.push(&mut state, value, start + 1 + i);
        }
        state
    }

    /// The states of `states.len()` leaves whose elements lie `states.len()` apart: columns of
    /// rows.
    fn columns(&self, rows: &[Self::In], start: usize, states: &mut [Self::State]) {
        for (i, row) in rows.chunks_exact(states.len().max(1)).enumerate() {
            if i == 0 {
                for (state, &value) in states.iter_mut().zip(row) {
                    *state = self.first(value, start);
                }
            } else {
                for (state, &value) in states.iter_mut().zip(row) {
                    self.push(state, value, start + i);
                }
            }
        }
    }
}

/// Merges equal-sized partial states by the canonical tree, holding at most one per level.
pub(crate) struct Tree<S> {
    /// Levels ascend towards the front: each entry is a complete subtree of 2^level parts.
    stack: Vec<(u32, Vec<S>)>,
}

impl<S: Copy> Tree<S> {
    pub(crate) fn new() -> Self {
        Tree { stack: Vec::new() }
    }

    /// Adds the next part.
    pub(crate) fn push(&mut self, part: Vec<S>, merge: &impl Fn(&mut S, &S)) {
        self.stack.push((0, part));
        while let [.., (left, _), (right, _)] = self.stack[..] {
            if left != right {
                break;
            }
            self.merge_last(merge);
        }
    }

    fn merge_last(&mut self, merge: &impl Fn(&mut S, &S)) {
        let Some((_, right)) = self.stack.pop() else {
            return;
        };
        if let Some((level, left)) = self.stack.last_mut() {
            for (a, b) in left.iter_mut().zip(&right) {
                merge(a, b);
            }
            *level += 1;
        }
    }

    /// The state of all parts; `None` without parts.
    pub(crate) fn finish(mut self, merge: &impl Fn(&mut S, &S)) -> Option<Vec<S>> {
        while self.stack.len() > 1 {
            self.merge_last(merge);
        }
        self.stack.pop().map(|(_, state)| state)
    }

    /// How many parts are held at once for this many, the one being added included.
    pub(crate) fn depth(part_count: usize) -> usize {
        part_count.max(1).ilog2() as usize + 2
    }
}

/// Folds a block of shape (outer, length, inner) in C order along its middle axis, leaf by leaf,
/// into a tree whose parts have outer x inner states. `start` is the index of the first row along
/// the axis, a multiple of [`LEAF`]. `lanes` says how leaves are folded: whether the elements of a
/// line lie side by side in the array, of which the block may be a part one column wide.
pub(crate) fn fold_block<F: Fold>(
    fold: &F,
    values: &[F::In],
    (outer, length, inner): (usize, usize, usize),
    (start, lanes): (usize, bool),
    tree: &mut Tree<F::State>,
) {
    let merge = |left: &mut F::State, right: &F::State| fold.merge(left, right);
    for from in (0..length).step_by(LEAF) {
        let to = (from + LEAF).min(length);
        let mut states = vec![fold.empty(); outer * inner];
        // a block without columns has no states
        for o in 0..if inner == 0 { 0 } else { outer } {
            let leaf = &values[(o * length + from) * inner..(o * length + to) * inner];
            match lanes {
                true => states[o] = fold.lane(leaf, start + from),
                false => fold.columns(leaf, start + from, &mut states[o * inner..(o + 1) * inner]),
            }
        }
        tree.push(states, &merge);
    }
}

/// Merges a block of states of shape (outer, length, inner) along its middle axis.
pub(crate) fn merge_block<F: Fold>(
    fold: &F,
    states: &[F::State],
    (outer, length, inner): (usize, usize, usize),
) -> Vec<F::State> {
    let merge = |left: &mut F::State, right: &F::State| fold.merge(left, right);
    let mut tree = Tree::new();
    for row in 0..length {
        let part = (0..outer)
            .flat_map(|o| {
                states[(o * length + row) * inner..][..inner]
                    .iter()
                    .copied()
            })
            .collect();
        tree.push(part, &merge);
    }
    tree.finish(&merge)
        .unwrap_or_else(|| vec![fold.empty(); outer * inner])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::folds::sum::Sum;

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
        let add = |a: &mut f64, b: &f64| *a += b;
        for count in 1..70 {
            let parts: Vec<f64> = (0..count).map(|i| 1.0 / (i as f64 + 3.0)).collect();
            let mut tree = Tree::new();
            parts.iter().for_each(|&part| tree.push(vec![part], &add));
            assert!(tree.stack.len() <= Tree::<f64>::depth(count));
            assert_eq!(tree.finish(&add), Some(vec![canonical(&parts)]), "{count}");
        }
    }

    #[test]
    fn parts_of_a_power_of_two_leaves_merge_to_the_same_bits() {
        let fold = Sum::<f64, f64>::new();
        let merge = |a: &mut f64, b: &f64| fold.merge(a, b);
        let n = 5 * LEAF * 4 + 77;
        let values: Vec<f64> = (0..n * 3)
            .map(|i| ((i * 2654435761usize) % 1000) as f64 / 7.0)
            .collect();
        let folded = |values: &[f64], start: usize| {
            let mut tree = Tree::new();
            fold_block(
                &fold,
                values,
                (1, values.len() / 3, 3),
                (start, false),
                &mut tree,
            );
            tree.finish(&merge).unwrap()
        };
        let whole = folded(&values, 0);
        for leaves in [1, 2, 4, 16] {
            let rows = leaves * LEAF;
            let mut tree = Tree::new();
            for (i, part) in values.chunks(rows * 3).enumerate() {
                tree.push(folded(part, i * rows), &merge);
            }
            assert_eq!(tree.finish(&merge), Some(whole.clone()));
        }
    }
}
