//! What NumPy makes of operations on arrays of any type, one element after the other.

use std::cmp::Ordering;

use flagstone_array::{DType, Index};
use ndarray::{ArrayD, Axis, IxDyn};

use super::numbers::{Number, Numbers};
use super::typed::{Beyond, Fold, Op};

/// The array after an operation; `None` where that is a mistake.
pub fn expected(x: &Numbers, op: &Op) -> Option<Numbers> {
    let (bits, shape) = (&x.bits, x.bits.shape());
    let number = |bits: &u64| x.number(*bits);
    let moved = match op {
        Op::Index(indices) => indexed(bits, indices),
        Op::Permute(axes) => bits.clone().permuted_axes(&axes[..]),
        Op::Reshape(shape) => in_c_order(bits, shape),
        &Op::Concatenate(axis) => {
            let n = shape[axis];
            let places: Vec<usize> = (0..n).chain((0..n).rev()).collect();
            bits.select(Axis(axis), &places)
        }
        Op::Pad(widths, beyond) => padded(bits, widths, *beyond)?,
        &Op::Roll(by, axis) => {
            let n = shape[axis] as isize;
            let places: Vec<usize> = (0..n).map(|i| (i - by).rem_euclid(n) as usize).collect();
            bits.select(Axis(axis), &places)
        }
        &Op::Flip(axis) => {
            let places: Vec<usize> = (0..shape[axis]).rev().collect();
            bits.select(Axis(axis), &places)
        }
        Op::Fold(fold, axes) => return folded(x, *fold, axes),
        &Op::Argmax(axis) => {
            if shape[axis] == 0 {
                return None;
            }
            let places = bits.map_axis(Axis(axis), |line| {
                let beats = |a: Number, b: Number| b.is_nan() < a.is_nan() || a > b;
                let better = |best: usize, i: usize| {
                    let wins = !number(&line[best]).is_nan()
                        && beats(number(&line[i]), number(&line[best]));
                    if wins { i } else { best }
                };
                (1..line.len()).fold(0, better) as u64
            });
            return Some(Numbers::new(DType::I64, places));
        }
        &Op::Cumsum(axis) => {
            let dtype = summed(x.dtype);
            let mut sums = bits.clone();
            for mut line in sums.lanes_mut(Axis(axis)) {
                let mut sum = Number::Whole(0);
                for at in &mut line {
                    sum = sum.plus(number(at));
                    *at = sum.bits(dtype);
                }
            }
            return Some(Numbers::new(dtype, sums));
        }
        &Op::Sort(axis) => {
            let mut sorted = bits.clone();
            for mut line in sorted.lanes_mut(Axis(axis)) {
                let mut values = line.to_vec();
                values.sort_by(|a, b| in_order(number(a), number(b)));
                line.assign(&ndarray::arr1(&values));
            }
            sorted
        }
        Op::Unique => {
            let mut values: Vec<u64> = bits.iter().copied().collect();
            values.sort_by(|a, b| in_order(number(a), number(b)));
            values.dedup();
            ndarray::arr1(&values).into_dyn()
        }
    };
    Some(Numbers::new(x.dtype, moved))
}

/// The first of two operands is broadcast to the second or the other way round.
pub fn combined(sign: char, a: &Numbers, b: &Numbers, dtype: DType) -> Numbers {
    let shape: Vec<usize> = (0..a.bits.ndim().max(b.bits.ndim()))
        .rev()
        .map(|back| {
            let length = |x: &Numbers| x.bits.shape().iter().rev().nth(back).copied();
            match (length(a), length(b)) {
                (Some(1) | None, Some(length)) => length,
                (length, _) => length.unwrap_or(1),
            }
        })
        .collect();
    let cast = |x: &Numbers| {
        let bits = x.bits.broadcast(shape.clone()).unwrap().to_owned();
        // operands are brought to the common type first
        bits.mapv(|bits| match dtype.is_float() {
            true => Number::of(dtype, x.number(bits).bits(dtype)),
            false => x.number(bits),
        })
    };
    let both = ndarray::Zip::from(&cast(a))
        .and(&cast(b))
        .map_collect(|&a, &b| {
            let result = match (a, b) {
                (Number::Whole(a), Number::Whole(b)) => Number::Whole(match sign {
                    '+' => a + b,
                    '-' => a - b,
                    _ => a.wrapping_mul(b),
                }),
                (a, b) => Number::Real(match sign {
                    '+' => a.real() + b.real(),
                    '-' => a.real() - b.real(),
                    '*' => a.real() * b.real(),
                    _ => a.real() / b.real(),
                }),
            };
            result.bits(dtype)
        });
    Numbers::new(dtype, both)
}

fn in_order(a: Number, b: Number) -> Ordering {
    let by_value = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
    a.is_nan().cmp(&b.is_nan()).then(by_value)
}

fn in_c_order(bits: &ArrayD<u64>, shape: &[usize]) -> ArrayD<u64> {
    ArrayD::from_shape_vec(shape, bits.iter().copied().collect()).unwrap()
}

fn summed(dtype: DType) -> DType {
    match dtype {
        DType::F32 | DType::F64 => dtype,
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => DType::U64,
        _ => DType::I64,
    }
}

fn folded(x: &Numbers, fold: Fold, axes: &[isize]) -> Option<Numbers> {
    let gone = |axis: &usize| axes.contains(&(*axis as isize));
    let mut order: Vec<usize> = (0..x.bits.ndim()).filter(|axis| !gone(axis)).collect();
    let kept: Vec<usize> = order.iter().map(|&axis| x.bits.shape()[axis]).collect();
    order.extend((0..x.bits.ndim()).filter(gone));
    let width: usize = order[kept.len()..]
        .iter()
        .map(|&axis| x.bits.shape()[axis])
        .product();
    if width == 0 && matches!(fold, Fold::Min | Fold::Max) {
        return None;
    }
    let dtype = match fold {
        Fold::Sum => summed(x.dtype),
        Fold::Min | Fold::Max => x.dtype,
        Fold::Any | Fold::All => DType::Bool,
        Fold::Count => DType::I64,
    };
    let turned = x.bits.clone().permuted_axes(&order[..]);
    let lines = in_c_order(&turned, &[kept.iter().product(), width]);
    let line = |line: ndarray::ArrayViewD<'_, u64>| {
        let mut numbers = line.iter().map(|&bits| x.number(bits));
        // what is no number goes before any
        let best = |better: Ordering| {
            move |a: Number, b: Number| match b.is_nan() || b.partial_cmp(&a) == Some(better) {
                true if !a.is_nan() => b,
                _ => a,
            }
        };
        let result = match fold {
            Fold::Sum => numbers.fold(Number::Whole(0), Number::plus),
            Fold::Min => numbers.reduce(best(Ordering::Less)).unwrap(),
            Fold::Max => numbers.reduce(best(Ordering::Greater)).unwrap(),
            Fold::Any => Number::Whole(numbers.any(Number::is_set).into()),
            Fold::All => Number::Whole(numbers.all(Number::is_set).into()),
            Fold::Count => Number::Whole(numbers.filter(|x| x.is_set()).count() as i128),
        };
        result.bits(dtype)
    };
    let results: Vec<u64> = lines.outer_iter().map(line).collect();
    let results = ArrayD::from_shape_vec(IxDyn(&kept), results).unwrap();
    Some(Numbers::new(dtype, results))
}

fn padded(bits: &ArrayD<u64>, widths: &[(usize, usize)], beyond: Beyond) -> Option<ArrayD<u64>> {
    let mut result = bits.clone();
    for (axis, &(before, after)) in widths.iter().enumerate() {
        let n = result.shape()[axis] as isize;
        if let Beyond::Constant(value) = beyond {
            let mut shape = result.shape().to_vec();
            shape[axis] += before + after;
            let mut around = ArrayD::from_elem(shape, value);
            let inner = ndarray::Slice::from(before..before + n as usize);
            around.slice_axis_mut(Axis(axis), inner).assign(&result);
            result = around;
            continue;
        }
        if n == 0 && before + after > 0 {
            return None;
        }
        let place = |i: isize| match beyond {
            Beyond::Wrap => i.rem_euclid(n),
            Beyond::Symmetric => {
                let at = i.rem_euclid(2 * n);
                at.min(2 * n - 1 - at)
            }
            Beyond::Reflect if n > 1 => {
                let at = i.rem_euclid(2 * n - 2);
                at.min(2 * n - 2 - at)
            }
            _ => i.clamp(0, n - 1),
        };
        let places = -(before as isize)..n + after as isize;
        let places: Vec<usize> = places.map(|i| place(i) as usize).collect();
        result = result.select(Axis(axis), &places);
    }
    Some(result)
}

/// With at most one list, whose axis goes where NumPy puts it: in place, or in front where it and
/// integers stand apart.
fn indexed(bits: &ArrayD<u64>, indices: &[Index]) -> ArrayD<u64> {
    let (mut result, mut axis, mut list_axis) = (bits.clone(), 0, None);
    let has_list = indices.iter().any(|index| matches!(index, Index::List(_)));
    let mut advanced = Vec::new();
    for (entry, index) in indices.iter().enumerate() {
        if has_list && matches!(index, Index::At(_) | Index::List(_)) {
            advanced.push((entry, axis));
        }
        let n = result.shape().get(axis).copied().unwrap_or(0) as isize;
        let place = |at: isize| if at < 0 { at + n } else { at };
        match index {
            Index::At(at) => {
                result.index_axis_inplace(Axis(axis), place(*at) as usize);
                continue;
            }
            Index::List(list) => {
                let places: Vec<usize> =
                    list.iter().map(|&at| place(at as isize) as usize).collect();
                result = result.select(Axis(axis), &places);
                list_axis = Some(axis);
            }
            &Index::Slice { start, stop, step } => {
                let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
                let bound = |at: Option<isize>, none: isize| {
                    at.map_or(none, |at| place(at).clamp(low, high))
                };
                let (first, last) = if step > 0 { (low, high) } else { (high, low) };
                let (mut at, stop) = (bound(start, first), bound(stop, last));
                let mut places = Vec::new();
                while (stop - at) * step.signum() > 0 {
                    places.push(at as usize);
                    at += step;
                }
                result = result.select(Axis(axis), &places);
            }
            Index::NewAxis => result = result.insert_axis(Axis(axis)),
            Index::Ellipsis if entry + 1 == indices.len() => break,
            other => panic!("{other:?} is not expected here"),
        }
        axis += 1;
    }
    if let Some(from) = list_axis {
        let together = advanced.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1);
        let to = if together { advanced[0].1 } else { 0 };
        let mut order: Vec<usize> = (0..result.ndim()).filter(|&axis| axis != from).collect();
        order.insert(to, from);
        result = result.permuted_axes(&order[..]);
    }
    result
}
