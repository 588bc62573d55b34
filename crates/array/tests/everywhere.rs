//! Every operation under the reference executor, under a tiny budget with blocks that go through
//! their codec, and on several threads: with equal bits. One that is not in the table fails the test
//! that reads the sources.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::at;
use flagstone_array::{
    Array, Bins, Blockwise, Boundary, Element, Index, IntoAxes, Margin, Norm, Pad, index, keep,
    meshgrid, meshgrid_xy,
};
use ndarray::{ArrayD, Axis};

fn check<T: Element>(name: &str, array: Array<T>) {
    if let Err(error) = array.check() {
        panic!("{name}: {error}");
    }
    let values = at(array);
    assert!(!values.is_empty(), "{name} has nothing to compare");
}

/// `x.name(...)` for each, checked by its name.
macro_rules! all {
    ($($array:ident . $name:ident ( $($arg:expr),* ));* $(;)?) => {
        $( check(stringify!($name), $array.$name($($arg),*)); )*
    };
}

/// Numbers of both signs, some equal, some with fractions; blocks of a layer rather than memory.
fn floats(shape: &[usize]) -> Array<f64> {
    let x = Array::from_fn(shape, |i| {
        let mixed = i.iter().fold(7, |sum, &at| (sum * 31 + at * 17) % 101);
        mixed as f64 / 4.0 - 12.0
    });
    x.expand_dims(0).sum_axis(0)
}

fn holes(x: &Array<f64>) -> Array<f64> {
    x.map(|x| if x > 9.0 { f64::NAN } else { x })
}

#[test]
fn functions_of_elements() {
    let (x, y) = (floats(&[37, 29]), floats(&[29]) + 0.5);
    let (small, integers) = (&x / 20.0, x.cast::<i64>());
    let (others, bits) = (&integers + 3, integers.greater(&Array::scalar(2)));
    let unit = (&x / 13.0).clip(-0.99, 0.99);
    let above = x.abs() + 1.0;
    let exponents = (integers.abs().modulo(&Array::scalar(5))).cast::<u32>();
    let powers = exponents.cast::<i32>();
    all! {
        small.exp(); small.exp2(); small.expm1(); above.ln(); above.log2(); above.log10();
        above.log1p(); above.sqrt(); x.cbrt(); x.sin(); x.cos(); unit.tan(); unit.arcsin();
        unit.arccos(); x.arctan(); unit.sinh(); unit.cosh(); x.tanh(); x.arcsinh(); above.arccosh();
        unit.arctanh(); x.deg2rad(); x.rad2deg(); x.sinc();
        above.pow(&y); x.arctan2(&y); x.hypot(&y); x.fmod(&y); x.copysign(&y); small.logaddexp(&y);
        small.logaddexp2(&y); x.heaviside(&y);
        x.square(); x.abs(); x.sign(); above.reciprocal(); x.powi(3); x.power(&exponents);
        x.nextafter(&y); x.spacing(); x.ldexp(&powers);
        x.floor(); x.ceil(); x.trunc(); x.rint(); x.round(1); x.floor_divide(&y); x.remainder(&y);
        integers.int_divide(&others); integers.modulo(&others); x.clip(-3.0, 4.0); x.clip_to(&y, &above);
        x.equal(&y); x.not_equal(&y); x.less(&y); x.less_equal(&y); x.greater(&y); x.greater_equal(&y);
        x.maximum(&y); x.minimum(&y); x.fmax(&y); x.fmin(&y);
        x.isnan(); x.isinf(); x.isfinite(); x.isneginf(); x.isposinf(); x.signbit();
        x.isclose(&y, 0.1, 1.0); x.allclose(&y, 0.1, 1.0);
        x.logical_and(&y); x.logical_or(&y); x.logical_xor(&y); x.logical_not();
        integers.bitwise_and(&others); integers.bitwise_or(&others); integers.bitwise_xor(&others);
        integers.left_shift(&others); integers.right_shift(&others); integers.gcd(&others);
        integers.lcm(&others); integers.invert(); integers.bitwise_count();
        bits.select(&x, &y); x.nan_to_num(); x.fill_nan(1.0);
        x.map(|x: f64| x + 1.0); x.zip_map(&y, |a: f64, b: f64| a * b);
    }
    check("cast", x.cast::<u8>());
    check("frexp", x.frexp().0);
    check("modf", x.modf().1);
    check("divmod", x.divmod(&y).0);
    check("choose", Array::choose(&[(&bits, &x)], &above));
}

#[test]
fn reductions_and_orders() {
    let x = floats(&[70, 31]);
    let (gaps, weights) = (holes(&x), x.abs() + 1.0);
    let integers = x.abs().cast::<i64>();
    let edges = Array::arange(-12.0, 12.0, 1.5);
    all! {
        x.sum(); x.sum_axis(keep(0)); x.prod(1); x.mean([0, 1]); x.var(0); x.var_ddof(1, 1);
        x.std(1); x.std_ddof(0, 1); x.min(0); x.max(..); x.ptp(1); x.argmin(0); x.argmax(..);
        x.any(0); x.all(1); x.count_nonzero(0);
        gaps.nansum(0); gaps.nanprod(0); gaps.nanmean(1); gaps.nanvar(0, 0); gaps.nanstd(1, 1);
        gaps.nanmin(0); gaps.nanmax(1); gaps.nanptp(0); gaps.nanargmin(1); gaps.nanargmax(..);
        x.cumsum(0); x.cumprod(1); gaps.nancumsum(1); gaps.nancumprod(0); x.diff(1);
        x.median(keep(0)); x.quantile(0.3, ..); x.percentile(70.0, 1); x.quantiles(&[0.1, 0.9], [0, 1]);
        gaps.nanmedian(0); gaps.nanquantile(0.4, 1); gaps.nanpercentile(40.0, keep([0, 1]));
        x.sort(0); gaps.sort(1); x.argsort(0); x.topk(5, 0); x.argtopk(5, 1);
        x.unique(); integers.bincount(3); x.digitize(&[-3.0, 0.0, 4.0], false);
        edges.searchsorted(&x, true); x.isin(&edges);
        x.cov(1); x.corrcoef(); x.average(&weights, 0); x.norm(0);
        x.norm_of(Norm::P(3.0), 0);
        x.apply_along_axis(0, 1, |line: &[f64], out: &mut [f64]| out[0] = line[0]);
        integers.flatnonzero(); integers.argwhere();
    }
    check("nonzero", integers.nonzero().remove(1));
    check("unique_counts", x.unique_counts().1);
    check("unique_inverse", x.unique_inverse().1);
    check("histogram", x.histogram(Bins::Range(9, -12.0, 12.0)).0);
    check("histogram_weighted", x.histogram_weighted(7, &weights).0);
    check("histogram_density", x.histogram_density(5).0);
    check(
        "histogram_weighted_density",
        x.histogram_weighted_density(5, &weights).0,
    );
    check("bincount_weighted", integers.bincount_weighted(&weights, 0));
}

#[test]
fn shapes_and_indices() {
    let x = floats(&[12, 5, 9]);
    let square = floats(&[11, 11]);
    let positive = x.greater(&Array::scalar(0.0));
    let places = Array::random_integers(&[20], -12, 12, 3);
    all! {
        x.t(); x.permuted(&[1, 2, 0]); x.transpose(&[2, 1, 0]); x.swapaxes(0, 2); x.moveaxis(0, -1);
        x.expand_dims(1); x.broadcast_to(&[2, 12, 5, 9]); x.flip([0, 2]); x.rot90(1, (0, 1));
        x.reshape(&[60, 9]); x.reshape_to(&[-1, 27]); x.ravel(); x.append(&x, 1); x.tile(&[2, 1, 2]);
        x.repeat(2, 1); x.repeat_each(&[1, 0, 2, 0, 1], 1); x.roll(4, 0); x.roll_axes(&[1, 2], &[0, 2]);
        x.rechunk([5, 2, 4]); x.tril(0); x.triu(1); square.diag(1); x.full_like(3i32); x.zeros_like();
        x.ones_like();
        x.slice(ndarray::s![1..;2, .., -1]); x.index(index![&positive]); x.take(&[4, 0, 4], 2);
        x.take_lazy(&places, 0); x.shuffled(0, 5); x.compress(&[true, false, true, true, false], 1);
        x.compress_where(&places.range_mask(12), 0); x.extract(&positive);
        x.with_assigned(index![.., [0, 2], -1], &Array::scalar(7.0));
        x.sliding_windows(3, 0); x.sliding_window_view(&[2, 3], &[0, 2]);
    }
    let row = floats(&[9]);
    check(
        "with_assigned",
        x.with_assigned(index![&positive.any(2)], &row),
    );
    check("squeeze", x.index(index![..1]).squeeze(0));
    check("squeeze_all", x.index(index![..1]).squeeze_all());
    check("stack", Array::stack(&[&x, &x], 1));
    check("concatenate", Array::concatenate(&[&x, &x], -1));
    check(
        "block",
        Array::block(&[&[&square, &square], &[&square, &square]]),
    );
    check("meshgrid", meshgrid(&[&row, &row]).remove(0));
    check("meshgrid_xy", meshgrid_xy(&[&row, &row]).remove(0));
    for pad in [
        Pad::Constant(1.0),
        Pad::Edge,
        Pad::Reflect,
        Pad::Symmetric,
        Pad::Wrap,
        Pad::LinearRamp(2.0),
        Pad::Maximum,
        Pad::Minimum,
        Pad::Mean,
        Pad::Median,
    ] {
        check("pad", x.pad(&[(2, 1), (0, 3), (1, 0)], pad));
        let same =
            |_: &flagstone_array::BlockPlace, block: ndarray::ArrayViewD<'_, f64>| block.to_owned();
        check(
            "map_overlap",
            x.map_overlap(&[5, 5, 4], &[1, 0, 2], Boundary::Padded(pad), same),
        );
        let margins = [
            Margin::new(2, 0, pad),
            Margin::new(0, 1, Boundary::None),
            Margin::new(0, 3, Pad::Wrap),
        ];
        check("map_margins", x.map_margins(&[5, 5, 4], &margins, same));
    }
}

/// What only this test needs: a mask of a length from numbers.
trait RangeMask {
    fn range_mask(&self, length: usize) -> Array<bool>;
}

impl RangeMask for Array<i64> {
    fn range_mask(&self, length: usize) -> Array<bool> {
        self.index(index![..length as i64])
            .greater(&Array::scalar(-3))
    }
}

#[test]
fn products_functions_and_random_numbers() {
    let (a, b) = (floats(&[40, 23]), floats(&[23, 17]));
    let v = floats(&[23]);
    let cube = floats(&[4, 5, 6]);
    let sums = |block: ndarray::ArrayViewD<'_, f64>| block.sum_axis(Axis(0)).insert_axis(Axis(0));
    all! {
        a.dot(&b); a.matmul(&v); v.outer(&v); v.vdot(&v); cube.tensordot(&cube, &[0, 2], &[0, 2]);
        a.map_blocks(&[7, 23], |_, block| block.mapv(|x| x * 2.0));
        a.map_blocks_to(&[8, 23], &[5, 23], &[1, 23], move |_, block| sums(block));
    }
    check(
        "map_chunks",
        a.rechunk([9, 9]).map_chunks(|_, chunk| chunk.to_owned()),
    );
    let contract = Blockwise::new("i")
        .block('i', 7)
        .block('j', 5)
        .combine(|a, b| a + b);
    check(
        "apply",
        contract.apply((&a, "ij"), |_, block| block.sum_axis(Axis(1))),
    );
    check("qr", a.qr().1);
    check("tsqr", a.tsqr().0);
    check("svd", a.svd().1);
    check("singular_values", b.singular_values());
    check(
        "random_uniform",
        Array::<f64>::random_uniform(&[300], 0.0, 2.0, 1),
    );
    check(
        "random_normal",
        Array::<f32>::random_normal(&[300], 0.0, 2.0, 1),
    );
    check("random_integers", Array::random_integers(&[300], -5, 5, 1));
    check("random_choice", Array::random_choice(&[1u8, 7], &[300], 1));
    check(
        "random_choice_weighted",
        Array::random_choice_weighted(&[1u8, 7], &[0.5, 2.0], &[300], 1),
    );
    check(
        "random_sample",
        Array::random_sample(&[4i16, 5, 6, 7], 3, 1),
    );
    check("random_permutation", Array::random_permutation(300, 1));
    check("arange", Array::arange(0i32, 300, 2));
    check("linspace", Array::linspace(0.0, 1.0, 300));
    check("eye", Array::<u8>::eye(30, 20, 2));
    check("identity", Array::<u8>::identity(30));
    check("tri", Array::<u8>::tri(30, 20, 2));
    check("indices", Array::indices(&[30, 20]).remove(1));
    check("full", Array::full(&[300], 4.0));
    check("zeros", Array::<f64>::zeros(&[300]));
    check("ones", Array::<f64>::ones(&[300]));
    check("scalar", Array::scalar(3.0));
    check(
        "from_ndarray",
        Array::from_ndarray(ArrayD::<f64>::ones(vec![300])),
    );
    let blocks = Array::from_blocks(&[300], 70, |place, ranges| {
        ArrayD::from_elem(vec![ranges[0].len()], place.coords[0] as f64)
    });
    check("from_blocks", blocks);
    let value = flagstone_graph::delayed(|| ArrayD::<f64>::ones(vec![30]));
    check("from_delayed", Array::from_delayed(&value.call(()), &[30]));
    let _ = (Index::NewAxis, 0.into_axes());
}

/// Operations whose results are files, blocks of graphs, or questions about an array: tested where
/// those are.
const ELSEWHERE: &[&str] = &[
    "open_npy",
    "open_raw",
    "open_npy_stack",
    "open_npy_directory",
    "open_zarr",
    "from_layer",
    "from_partitions",
    "push_rows",
    "chunk_values",
    "chunks",
    "notes_with",
    "from_fn",
    "new",
    "auto",
    "bytes",
    "along",
    "lists",
    "balanced",
    "combine",
    "becomes",
    "keep",
    "reversed",
];

#[test]
fn no_operation_is_missing_here() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops");
    let (mut folders, mut missing, mut found) = (vec![sources.into()], Vec::new(), 0);
    let table = include_str!("everywhere.rs");
    while let Some(folder) = folders.pop() {
        let folder: std::path::PathBuf = folder;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(path).unwrap();
            for after in source.split("pub fn ").skip(1) {
                let end = after
                    .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .unwrap();
                let name = &after[..end];
                found += usize::from(!name.is_empty());
                let calls = [
                    format!(".{name}("),
                    format!(".{name}::<"),
                    format!("::{name}("),
                ];
                let elsewhere =
                    name.is_empty() || name.starts_with("meshgrid") || ELSEWHERE.contains(&name);
                if !elsewhere && !calls.iter().any(|call| table.contains(call)) {
                    missing.push(name.to_owned());
                }
            }
        }
    }
    assert!(found > 150, "{found}");
    assert!(missing.is_empty(), "{missing:?}");
}
