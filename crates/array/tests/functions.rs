//! Users' functions of blocks, of several arrays' blocks, of windows and of lines, against plain
//! loops; on executors that cut arrays up.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::{at, numbers};
use flagstone_array::{Array, Blockwise, Boundary, Margin, Pad};
use flagstone_graph::SerialExecutor;
use ndarray::{ArrayD, Axis, Ix1, Ix2, IxDyn, s};
use proptest::prelude::*;

#[test]
fn blocks_become_blocks_of_other_shapes_and_types() {
    let x = numbers(&[10, 7]);
    let lazy = Array::from_ndarray(x.clone());
    // fewer rows
    let sums = lazy.map_blocks_to(&[4, 3], &[3, 7], &[1, 3], |place, block| {
        assert_eq!(place.counts, [3, 3]);
        assert_eq!(place.stop[0] - place.start[0], block.shape()[0]);
        block.sum_axis(Axis(0)).insert_axis(Axis(0))
    });
    let values = at(sums);
    for block in 0..3 {
        let rows = (block * 4..(block * 4 + 4).min(10)).collect::<Vec<_>>();
        let expected = x.select(Axis(0), &rows).sum_axis(Axis(0));
        assert_eq!(values.index_axis(Axis(0), block), expected);
    }
    // an axis less, another type; then an axis more
    let means = lazy.map_blocks_to(&[4, 7], &[10], &[4], |_, block| {
        block.map_axis(Axis(1), |row| row.sum() as f32 / 2.0)
    });
    let expected = x.map_axis(Axis(1), |row| row.sum() as f32 / 2.0);
    assert_eq!(at(means.clone()), expected);
    let pairs = means.map_blocks_to(&[3], &[10, 1, 2], &[3, 1, 2], |_, block| {
        let column = block.to_owned().insert_axis(Axis(1)).insert_axis(Axis(2));
        ndarray::concatenate(Axis(2), &[column.view(), column.mapv(|x| -x).view()]).unwrap()
    });
    assert_eq!(at(pairs)[[9, 0, 1]], -expected[[9]]);
    // every block larger
    let doubled = lazy.map_blocks_to(&[4, 7], &[20, 7], &[8, 7], |_, block| {
        ndarray::concatenate(Axis(0), &[block.view(), block.view()]).unwrap()
    });
    assert_eq!(
        at(doubled).index_axis(Axis(0), 19),
        x.index_axis(Axis(0), 9)
    );
}

#[test]
fn wrong_blocks_say_what_is_wrong() {
    let lazy = Array::from_ndarray(numbers(&[10, 7]));
    let same =
        |_: &flagstone_array::BlockPlace, block: ndarray::ArrayViewD<'_, i64>| block.to_owned();
    let short = Blockwise::<i64>::new("i");
    for (array, part) in [
        (lazy.map_blocks(&[3], same), "cannot be made of blocks"),
        (lazy.map_blocks(&[3, 0], same), "cannot be made of blocks"),
        (
            lazy.map_blocks_to(&[4, 7], &[2, 7], &[1, 7], same),
            "cannot become",
        ),
        (
            lazy.map_overlap(&[4, 7], &[1], Pad::Edge, same),
            "block lengths and depths",
        ),
        (
            short.apply((&lazy, "ijk"), |_, x| x.to_owned()),
            "different letters",
        ),
        (
            Blockwise::new("i").apply((&lazy, "jj"), |_, x| x.to_owned()),
            "different letters",
        ),
        (
            Blockwise::new("ii").apply((&lazy, "ij"), |_, x| x.to_owned()),
            "twice",
        ),
        (
            Blockwise::new("iz").apply((&lazy, "ij"), |_, x| x.to_owned()),
            "give its length",
        ),
        (
            Blockwise::new("i")
                .block('j', 2)
                .apply((&lazy, "ij"), |_, x| x.to_owned()),
            "say with `combine`",
        ),
        (
            Blockwise::new("i")
                .block('q', 2)
                .apply((&lazy, "ij"), |_, x| x.to_owned()),
            "has the index 'q'",
        ),
        (
            Blockwise::new("i").apply(((&lazy, "ij"), (&lazy, "ji")), |_, (x, _)| x.to_owned()),
            "has lengths 7 and 10",
        ),
        (lazy.sliding_window_view(&[8], &[1]), "no windows of 8"),
        (lazy.sliding_window_view(&[8, 1], &[1]), "cannot slide"),
    ] {
        let message = array.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let wrong =
        Blockwise::new("ij").apply((&lazy, "ij"), |_, x| x.index_axis(Axis(0), 0).to_owned());
    let message = wrong.compute_with(&SerialExecutor).unwrap_err().to_string();
    assert!(
        message.contains("returned the shape [7], not [10, 7]"),
        "{message}"
    );
}

#[test]
fn blockwise_contracts_broadcasts_and_resizes() {
    let (x, y) = (numbers(&[6, 9]), numbers(&[9, 4]));
    let (a, b) = (
        Array::from_ndarray(x.clone()),
        Array::from_ndarray(y.clone()),
    );
    let two = |x: ndarray::ArrayViewD<'_, i64>| x.to_owned().into_dimensionality::<Ix2>().unwrap();
    let expected = two(x.view()).dot(&two(y.view())).into_dyn();
    let multiply =
        move |_: &flagstone_array::BlockPlace,
              (a, b): (ndarray::ArrayViewD<'_, i64>, ndarray::ArrayViewD<'_, i64>)| {
            two(a).dot(&two(b)).into_dyn()
        };
    let operands = ((&a, "ik"), (&b, "kj"));
    let whole = Blockwise::new("ij").block('i', 4).apply(operands, multiply);
    assert_eq!(at(whole), expected);
    let combined = Blockwise::new("ij")
        .block('i', 4)
        .block('k', 2)
        .block('j', 3);
    let combined = combined
        .combine(|sum, part| sum + part)
        .apply(operands, multiply);
    assert_eq!(at(combined), expected);
    let turned = Blockwise::new("ji")
        .block('k', 5)
        .combine(|sum, part| sum + part);
    let turned = turned.apply(operands, move |place, blocks| {
        multiply(place, blocks).t().to_owned()
    });
    assert_eq!(at(&turned + 0), expected.t());
    // an axis of length 1 meets every block; other types; three operands
    let row = Array::from_ndarray(numbers(&[1, 9]).mapv(|v| v as f32));
    let flags = a.greater(&Array::scalar(20));
    let mixed = Blockwise::new("ik").block('i', 2).block('k', 4).apply(
        ((&a, "ik"), (&row, "ik"), (&flags, "ik")),
        |_, (a, row, flags)| {
            let row = row.broadcast(a.raw_dim()).unwrap();
            let mut out = a.mapv(|v| v as f64);
            ndarray::Zip::from(&mut out)
                .and(&row)
                .and(&flags)
                .for_each(|out, &row, &flag| {
                    *out += if flag { f64::from(row) } else { 0.0 };
                });
            out
        },
    );
    let at_mixed = at(mixed);
    assert_eq!((at_mixed[[0, 8]], at_mixed[[5, 8]]), (8.0, 53.0 + 8.0));
    // indices that become shorter, and new ones
    let resized = Blockwise::new("iz")
        .block('i', 4)
        .becomes('i', 2, 1)
        .becomes('z', 3, 3);
    let resized = resized.apply((&a, "ik"), |_, block| {
        ArrayD::from_elem(IxDyn(&[1, 3]), block.sum())
    });
    let sums: Vec<i64> = vec![
        x.slice_axis(Axis(0), (0..4).into()).sum(),
        x.slice_axis(Axis(0), (4..6).into()).sum(),
    ];
    let resized = at(resized);
    assert_eq!((resized[[0, 2]], resized[[1, 0]]), (sums[0], sums[1]));
    // everything is contracted
    let total = Blockwise::new("")
        .block('i', 4)
        .combine(|sum, part| sum + part);
    let total = total.apply((&a, "ik"), |_, block| {
        ArrayD::from_elem(IxDyn(&[]), block.sum())
    });
    assert_eq!(at(total)[[]], x.sum());
}

fn rules() -> [Boundary<i64>; 6] {
    [
        Boundary::None,
        Boundary::Padded(Pad::Constant(1000)),
        Boundary::Padded(Pad::Edge),
        Boundary::Padded(Pad::Wrap),
        Boundary::Padded(Pad::Reflect),
        Boundary::Padded(Pad::Symmetric),
    ]
}

/// What stands at a place beyond the ends, by rule.
fn beyond(x: &[i64], at: isize, boundary: Boundary<i64>) -> Option<i64> {
    let n = x.len() as isize;
    let inside = |at: isize| Some(x[at as usize]);
    if (0..n).contains(&at) {
        return inside(at);
    }
    match boundary {
        Boundary::Padded(Pad::Constant(value)) => Some(value),
        Boundary::Padded(Pad::Edge) => inside(at.clamp(0, n - 1)),
        Boundary::Padded(Pad::Wrap) => inside(at.rem_euclid(n)),
        Boundary::Padded(Pad::Reflect) if n == 1 => inside(0),
        Boundary::Padded(Pad::Reflect) => {
            let at = at.rem_euclid(2 * n - 2);
            inside(if at < n { at } else { 2 * n - 2 - at })
        }
        Boundary::Padded(Pad::Symmetric) => {
            let at = at.rem_euclid(2 * n);
            inside(if at < n { at } else { 2 * n - 1 - at })
        }
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn blocks_with_edges_see_what_the_boundary_says(
        length in 1usize..20, block in 1usize..8, depth in 0usize..6, rule in 0usize..6,
    ) {
        let boundary = rules()[rule];
        let line: Vec<i64> = (0..length as i64).map(|i| i * i + 3).collect();
        let lazy = Array::from_ndarray(ndarray::Array1::from(line.clone()));
        // the weighted sum of the window around each element
        let sums = lazy.map_overlap(&[block], &[depth], boundary, move |_, block| {
            let block = block.into_dimensionality::<Ix1>().unwrap();
            let n = block.len();
            let sum = |i: usize| (i.saturating_sub(depth)..(i + depth + 1).min(n)).map(|j| block[j]).sum();
            ndarray::Array1::from((0..n).map(sum).collect::<Vec<i64>>()).into_dyn()
        });
        let expected: Vec<i64> = (0..length as isize)
            .map(|i| {
                let window = i - depth as isize..=i + depth as isize;
                window.filter_map(|at| beyond(&line, at, boundary)).sum()
            })
            .collect();
        prop_assert_eq!(at(sums).into_raw_vec_and_offset().0, expected);
    }

    #[test]
    fn margins_differ_by_side_and_axis(
        axes in prop::collection::vec((1usize..9, 1usize..5, 0usize..4, 0usize..4, 0usize..6), 2),
    ) {
        let shape = [axes[0].0, axes[1].0];
        let block = [axes[0].1, axes[1].1];
        let rules: Vec<Boundary<i64>> = axes.iter().map(|axis| rules()[axis.4]).collect();
        let depths: Vec<(usize, usize)> = axes.iter().map(|axis| (axis.2, axis.3)).collect();
        let margins: Vec<Margin<i64>> = depths
            .iter()
            .zip(&rules)
            .map(|(&(before, after), &rule)| Margin::new(before, after, rule))
            .collect();
        let x = numbers(&shape).mapv(|v| v * v + 3);
        // the sum of the window around each element
        let window = {
            let depths = depths.clone();
            move |axis: usize, at: usize, n: usize| {
                let (before, after) = depths[axis];
                at.saturating_sub(before)..(at + after + 1).min(n)
            }
        };
        let sums = Array::from_ndarray(x.clone()).map_margins(&block, &margins, move |_, block| {
            let block = block.into_dimensionality::<Ix2>().unwrap();
            let (m, n) = block.dim();
            let sum = |(i, j): (usize, usize)| {
                let part = block.slice(s![window(0, i, m), window(1, j, n)]);
                part.sum()
            };
            ndarray::Array2::from_shape_fn((m, n), sum).into_dyn()
        });
        // what lies beyond the first axis is that of columns, then the second is padded
        let column = |at: isize, j: usize| {
            let column: Vec<i64> = x.index_axis(Axis(1), j).iter().copied().collect();
            beyond(&column, at, rules[0])
        };
        let value = |i: isize, j: isize| {
            let row: Option<Vec<i64>> = (0..shape[1]).map(|j| column(i, j)).collect();
            row.and_then(|row| beyond(&row, j, rules[1]))
        };
        let around = |at: usize, axis: usize| {
            let (before, after) = depths[axis];
            at as isize - before as isize..=at as isize + after as isize
        };
        let expected = ArrayD::from_shape_fn(IxDyn(&shape), |at| {
            around(at[0], 0)
                .flat_map(|i| around(at[1], 1).map(move |j| (i, j)))
                .filter_map(|(i, j)| value(i, j))
                .sum::<i64>()
        });
        prop_assert_eq!(at(sums), expected);
    }
}

#[test]
fn windows_slide_along_several_axes() {
    let x = numbers(&[5, 6]);
    let lazy = Array::from_ndarray(x.clone());
    let windows = lazy.sliding_window_view(&[2, 3], &[0, -1]);
    assert_eq!(windows.shape(), [4, 4, 2, 3]);
    let values = at(windows);
    for ((i, j), (k, l)) in [((0, 0), (1, 2)), ((3, 3), (1, 2)), ((2, 1), (0, 1))] {
        assert_eq!(values[[i, j, k, l]], x[[i + k, j + l]]);
    }
}

#[test]
fn functions_of_lines_may_change_length_and_type() {
    let x = numbers(&[4, 9, 3]);
    let lazy = Array::from_ndarray(x.clone());
    for axis in 0..3 {
        let ends = lazy.apply_along_axis(axis as isize, 2, |line: &[i64], out: &mut [f64]| {
            out.copy_from_slice(&[line[0] as f64, line[line.len() - 1] as f64]);
        });
        let last = x.shape()[axis] - 1;
        let expected = x.select(Axis(axis), &[0, last]).mapv(|v| v as f64);
        assert_eq!(at(ends), expected);
    }
}
