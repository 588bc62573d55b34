//! Which bytes of a file hold a window of an array: equal runs at computed places.
//!
//! A run is what lies side by side. Whole rows are one run and one read. Short runs with small gaps
//! are read together and picked apart, because a system call costs about as much as copying 4 KiB.

use flagstone_common::Result;

use crate::grid::along::Along;

/// Reads that skip gaps go through a buffer of this size, a constant beside the leases.
const BOUNCE_BYTES: usize = 64 << 10;

/// The bytes from the first to the last element of a window of spans, and the steps between its
/// places: `None` where little of that is the window, or there is little of it, so that reading is
/// better than mapping.
pub(crate) fn dense(
    shape: &[usize],
    window: &[Along],
    item: usize,
) -> Option<(std::ops::Range<usize>, Vec<isize>)> {
    const MAPPED_BYTES_MIN: usize = 256 << 10;
    let bytes = item * window.iter().map(Along::len).product::<usize>();
    if bytes < MAPPED_BYTES_MIN {
        return None;
    }
    let (mut stride, mut first, mut last) = (item, 0, 0);
    let mut strides = vec![0; shape.len()];
    for (axis, along) in window.iter().enumerate().rev() {
        let Along::Span { step, count, .. } = along else {
            return None;
        };
        first += along.at(0) * stride;
        last += along.at(count - 1) * stride;
        strides[axis] = stride as isize * step;
        stride *= shape[axis];
    }
    let span = first..last + item;
    (span.len() <= bytes + bytes / 4).then_some((span, strides))
}

/// The runs of a window of an array that lies in C order.
pub(crate) struct Runs {
    /// Bytes of a run.
    run: usize,
    /// The axis outside the runs: its places, and the bytes from one place to the next.
    inner: Along,
    inner_stride: usize,
    /// The axes outside that.
    outer: Vec<(Along, usize)>,
    /// Where the window starts that every place adds to.
    base: usize,
}

impl Runs {
    pub(crate) fn new(shape: &[usize], window: &[Along], item: usize) -> Self {
        let mut strides = vec![item; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        // axes from `whole` on are taken entirely; so the axis before them is contiguous too
        let mut whole = shape.len();
        while whole > 0 && window[whole - 1].is_all(shape[whole - 1]) {
            whole -= 1;
        }
        let mut run = item * shape[whole..].iter().product::<usize>();
        let mut base = 0;
        let mut axes: Vec<(Along, usize)> = window[..whole].iter().cloned().zip(strides).collect();
        if let Some((range, stride)) = axes
            .last()
            .and_then(|(along, stride)| Some((along.as_range()?, *stride)))
        {
            run *= range.len();
            base = range.start * stride;
            axes.pop();
        }
        if window.iter().any(|along| along.len() == 0) {
            run = 0;
        }
        let (inner, inner_stride) = axes.pop().unwrap_or((Along::range(0..1), 0));
        Runs {
            run,
            inner,
            inner_stride,
            outer: axes,
            base,
        }
    }

    /// The distance of neighbouring runs, if they are read together: when reading the gaps too is
    /// cheaper than a system call per run. Wide runs are never read with large gaps: the bytes
    /// moved are a promise of the products.
    fn together(&self) -> Option<usize> {
        let Along::Span { step, count, .. } = self.inner else {
            return None;
        };
        let stride = self.inner_stride * step.unsigned_abs();
        let gap = stride.saturating_sub(self.run);
        (count > 1
            && stride <= BOUNCE_BYTES / 2
            && (gap <= self.run / 4 || (self.run <= 512 && gap <= 4096)))
            .then_some(stride)
    }

    /// How many bytes reading touches.
    pub(crate) fn storage_bytes(&self) -> u64 {
        if self.run == 0 {
            return 0;
        }
        let loops: usize = self.outer.iter().map(|(along, _)| along.len()).product();
        let per_loop = match self.together() {
            Some(stride) => (self.inner.len() - 1) * stride + self.run,
            None => self.inner.len() * self.run,
        };
        (loops * per_loop) as u64
    }

    /// Fills `out` by reads at offsets from the start of the elements; returns the bytes read.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn read(
        &self,
        mut out: &mut [u8],
        read: &mut dyn FnMut(&mut [u8], usize) -> Result<()>,
    ) -> Result<u64> {
        if self.run == 0 || out.is_empty() {
            return Ok(0);
        }
        let mut bounce = vec![
            0u8;
            if self.together().is_some() {
                BOUNCE_BYTES
            } else {
                0
            }
        ];
        let mut moved = 0;
        let mut at = vec![0; self.outer.len()];
        loop {
            let outer = self.outer.iter().zip(&at);
            let offset: usize = outer
                .map(|((along, stride), &at)| along.at(at) * stride)
                .sum();
            let start = self.base + offset;
            let mut i = 0;
            while i < self.inner.len() {
                let from = start + self.inner.at(i) * self.inner_stride;
                let mut count = 1;
                if let Some(stride) = self.together() {
                    count += (BOUNCE_BYTES - self.run) / stride;
                    count = count.min(self.inner.len() - i);
                    let span = (count - 1) * stride + self.run;
                    read(&mut bounce[..span], from)?;
                    moved += span as u64;
                    for run in bounce.chunks(stride).take(count) {
                        let (head, tail) = std::mem::take(&mut out).split_at_mut(self.run);
                        head.copy_from_slice(&run[..self.run]);
                        out = tail;
                    }
                } else {
                    // neighbours in a list that lie side by side are one read
                    while self.run == self.inner_stride
                        && i + count < self.inner.len()
                        && self.inner.at(i + count) == self.inner.at(i) + count
                    {
                        count += 1;
                    }
                    let (head, tail) = std::mem::take(&mut out).split_at_mut(count * self.run);
                    read(head, from)?;
                    moved += head.len() as u64;
                    out = tail;
                }
                i += count;
            }
            let mut axis = self.outer.len();
            loop {
                if axis == 0 {
                    debug_assert!(out.is_empty());
                    return Ok(moved);
                }
                axis -= 1;
                at[axis] += 1;
                if at[axis] < self.outer[axis].0.len() {
                    break;
                }
                at[axis] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn along(length: usize) -> impl Strategy<Value = Along> {
        let span = (0..length, 0..length, 1isize..4).prop_map(|(a, b, step)| Along::Span {
            start: a.min(b),
            step,
            count: a.abs_diff(b) / step as usize + usize::from(a != b),
        });
        let list = prop::collection::vec(0..length, 0..5).prop_map(Along::list);
        prop_oneof![span, list, Just(Along::all(length))]
    }

    proptest! {
        #[test]
        fn runs_read_the_places_in_order(
            (shape, window) in prop::collection::vec(1usize..7, 0..4).prop_flat_map(|shape| {
                let window: Vec<_> = shape.iter().map(|&length| along(length)).collect();
                (Just(shape), window)
            })
        ) {
            let item = 2;
            let file: Vec<u8> = (0..shape.iter().product::<usize>() * item).map(|i| i as u8).collect();
            let mut expected = vec![0usize];
            for (length, along) in shape.iter().zip(&window) {
                expected = expected
                    .iter()
                    .flat_map(|&prefix| (0..along.len()).map(move |i| prefix * length + along.at(i)))
                    .collect();
            }
            let expected: Vec<u8> = expected
                .iter()
                .flat_map(|&i| file[i * item..(i + 1) * item].to_vec())
                .collect();
            let mut out = vec![0; expected.len()];
            let runs = Runs::new(&shape, &window, item);
            let moved = runs
                .read(&mut out, &mut |buffer, at| {
                    buffer.copy_from_slice(&file[at..at + buffer.len()]);
                    Ok(())
                })
                .unwrap();
            prop_assert_eq!(moved, if expected.is_empty() { 0 } else { runs.storage_bytes() });
            prop_assert_eq!(out, expected);
        }
    }
}
