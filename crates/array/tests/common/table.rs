//! Every operation on arrays, once: what tests of all of them run through. The operands are made by
//! whoever runs it, of shapes and from sources of its choice; parameters follow from the shapes.

use flagstone_array::{
    Array, Bins, BlockPlace, Blockwise, Boundary, Element, HistogramOptions, Index, IntoAxes,
    Margin, Norm, Pad, index, keep, meshgrid, meshgrid_xy,
};
use ndarray::{ArrayD, ArrayViewD, Axis};

/// What is done with each operation's result.
pub trait Visit {
    fn see<T: Element>(&mut self, name: &'static str, array: Array<T>);
}

/// Makes operands: numbers of both signs, some equal, some with fractions ([`number`]).
pub type Make<'m> = &'m dyn Fn(&[usize]) -> Array<f64>;

/// The number at a place of an operand.
pub fn number(at: &[usize]) -> f64 {
    let mixed = at.iter().fold(7, |sum, &at| (sum * 31 + at * 17) % 101);
    mixed as f64 / 4.0 - 12.0
}

/// `x.name(...)` for each, by its name.
macro_rules! all {
    ($visit:ident; $($array:ident . $name:ident ( $($arg:expr),* ));* $(;)?) => {
        $( $visit.see(stringify!($name), $array.$name($($arg),*)); )*
    };
}

fn holes(x: &Array<f64>) -> Array<f64> {
    x.map(|x| if x > 9.0 { f64::NAN } else { x })
}

pub fn functions_of_elements(make: Make<'_>, [rows, columns]: [usize; 2], visit: &mut impl Visit) {
    let (x, y) = (make(&[rows, columns]), make(&[columns]) + 0.5);
    let (small, integers) = (&x / 20.0, x.astype::<i64>());
    let (others, bits) = (&integers + 3, integers.greater(&Array::scalar(2)));
    let unit = (&x / 13.0).clip(-0.99, 0.99);
    let above = x.abs() + 1.0;
    let exponents = (integers.abs().modulo(&Array::scalar(5))).astype::<u32>();
    let powers = exponents.astype::<i32>();
    all! { visit;
        small.exp(); small.exp2(); small.expm1(); above.log(); above.log2(); above.log10();
        above.log1p(); above.sqrt(); x.cbrt(); x.sin(); x.cos(); unit.tan(); unit.arcsin();
        unit.arccos(); x.arctan(); unit.sinh(); unit.cosh(); x.tanh(); x.arcsinh(); above.arccosh();
        unit.arctanh(); x.deg2rad(); x.rad2deg(); x.sinc();
        above.pow(&y); x.arctan2(&y); x.hypot(&y); x.fmod(&y); x.copysign(&y); small.logaddexp(&y);
        small.logaddexp2(&y); x.heaviside(&y);
        x.square(); x.abs(); x.sign(); above.reciprocal(); x.powi(3); x.power(&exponents);
        x.nextafter(&y); x.spacing(); x.ldexp(&powers);
        x.floor(); x.ceil(); x.trunc(); x.rint(); x.round(1); x.floor_divide(&y); x.remainder(&y);
        integers.int_divide(&others); integers.modulo(&others); x.clip(-3.0, 4.0);
        x.clip_to(&y, &above);
        x.equal(&y); x.not_equal(&y); x.less(&y); x.less_equal(&y); x.greater(&y);
        x.greater_equal(&y);
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
    visit.see("cast", x.astype::<u8>());
    visit.see("frexp", x.frexp().0);
    visit.see("modf", x.modf().1);
    visit.see("divmod", x.divmod(&y).0);
    visit.see("choose", Array::choose(&[(&bits, &x)], &above));
}

pub fn reductions_and_orders(make: Make<'_>, [rows, columns]: [usize; 2], visit: &mut impl Visit) {
    let x = make(&[rows, columns]);
    let (gaps, weights) = (holes(&x), x.abs() + 1.0);
    let integers = x.abs().astype::<i64>();
    let edges = Array::arange(-12.0, 12.0, 1.5);
    let (top, wide_top) = (rows.min(5), columns.min(5));
    all! { visit;
        x.sum(..); x.sum(keep(0)); x.prod(1); x.mean([0, 1]); x.var(0); x.var_ddof(1, 1);
        x.std(1); x.std_ddof(0, 1); x.min(0); x.max(..); x.ptp(1); x.argmin(0); x.argmax(..);
        x.any(0); x.all(1); x.count_nonzero(0);
        gaps.nansum(0); gaps.nanprod(0); gaps.nanmean(1); gaps.nanvar(0); gaps.nanvar_ddof(0, 0); gaps.nanstd(1); gaps.nanstd_ddof(1, 1);
        gaps.nanmin(0); gaps.nanmax(1); gaps.nanptp(0); gaps.nanargmin(1); gaps.nanargmax(..);
        x.cumsum(0); x.cumprod(1); gaps.nancumsum(1); gaps.nancumprod(0); x.diff(1);
        x.median(keep(0)); x.quantile(0.3, ..); x.percentile(70.0, 1);
        x.quantiles(&[0.1, 0.9], [0, 1]);
        gaps.nanmedian(0); gaps.nanquantile(0.4, 1); gaps.nanpercentile(40.0, keep([0, 1]));
        x.sort(0); gaps.sort(1); x.argsort(0); x.topk(top, 0); x.argtopk(wide_top, 1);
        x.unique(); integers.bincount(3); x.digitize(&[-3.0, 0.0, 4.0], false);
        edges.searchsorted(&x, true); x.isin(&edges);
        x.cov(1); x.corrcoef(); x.average(&weights, 0); x.norm(0);
        x.norm_of(Norm::P(3.0), 0);
        x.apply_along_axis(0, 1, |line: &[f64], out: &mut [f64]| out[0] = line[0]);
        integers.flatnonzero(); integers.argwhere();
    }
    visit.see("nonzero", integers.nonzero().pop().unwrap());
    visit.see("unique_counts", x.unique_counts().1);
    visit.see("unique_inverse", x.unique_inverse().1);
    visit.see("histogram", x.histogram(Bins::Range(9, -12.0, 12.0)).0);
    for (density, weights) in [
        (false, Some(&weights)),
        (true, None),
        (true, Some(&weights)),
    ] {
        let weights = weights.cloned();
        let options = HistogramOptions { weights, density };
        visit.see("histogram_options", x.histogram_options(5, &options).0);
    }
    visit.see("bincount_weighted", integers.bincount_weighted(&weights, 0));
}

/// Along an axis of so many places: a few of them, one twice.
fn some_places(length: usize) -> [i64; 3] {
    let last = length as i64 - 1;
    [last, 0, last]
}

/// Lengths of blocks that cut an axis in a few.
fn few(length: usize) -> usize {
    (length / 3 + 1).max(5)
}

fn same(_: &BlockPlace, block: ArrayViewD<'_, f64>) -> ArrayD<f64> {
    block.to_owned()
}

pub fn shapes_and_indices(
    make: Make<'_>,
    shape @ [a, b, c]: [usize; 3],
    edge: usize,
    visit: &mut impl Visit,
) {
    let x = make(&shape);
    let square = make(&[edge, edge]);
    let positive = x.greater(&Array::scalar(0.0));
    let places = Array::random_integers(&[20], -(a as i64), a as i64, 3);
    let (wide, rows) = (make(&[c, 7]), a as i64);
    let some: Vec<bool> = (0..b).map(|i| i % 3 != 1).collect();
    let times: Vec<usize> = (0..b).map(|i| [1, 0, 2][i % 3]).collect();
    let lists = index![.., [0, b as i64 - 1], -1];
    let first_rows =
        Array::random_integers(&[a], -(a as i64 + 1), rows, 5).greater(&Array::scalar(0));
    all! { visit;
        x.t(); x.transpose(&[1, 2, 0]); x.transpose(&[2, 1, 0]); x.swapaxes(0, 2); x.moveaxis(0, -1);
        x.expand_dims(1); x.broadcast_to(&[2, a, b, c]); x.flip([0, 2]); x.rot90(1, (0, 1));
        x.reshape(&[a * b, c]); x.reshape_to(&[-1, a as isize]); x.ravel(); x.append(&x, 1);
        x.tile(&[2, 1, 2]);
        x.repeat(2, 1); x.repeat_each(&times, 1); x.roll(4, 0); x.roll_axes(&[1, 2], &[0, 2]);
        x.rechunk([few(a), few(b), few(c)]); x.tril(0); x.triu(1); square.diag(1);
        x.full_like(3i32); x.zeros_like(); x.ones_like();
        x.slice(ndarray::s![..;2, .., -1]); x.index(index![&positive]); x.take(&some_places(c), 2);
        x.take_lazy(&places, 0); x.shuffled(0, 5); x.compress(&some, 1);
        x.compress_where(&first_rows, 0); x.extract(&positive);
        x.with_assigned(lists, &Array::scalar(7.0));
        x.sliding_windows(a.min(3), 0); x.sliding_window_view(&[a.min(2), c.min(3)], &[0, 2]);
    }
    let row = make(&[c]);
    visit.see(
        "with_assigned",
        x.with_assigned(index![&positive.any(2)], &row),
    );
    visit.see("squeeze", x.index(index![..1]).squeeze(0));
    visit.see("squeeze_all", x.index(index![..1]).squeeze_all());
    visit.see("stack", Array::stack(&[&x, &x], 1));
    // three parts that lie in one chunk or in several
    visit.see("concatenate", Array::concatenate(&[&x, &x, &x], -1));
    visit.see(
        "concatenate",
        Array::concatenate(&[&wide, &wide.flip(0), &wide], 0),
    );
    visit.see("roll", x.roll(1, 0).roll(2, 1).roll(-1, 2));
    visit.see(
        "block",
        Array::block(&[&[&square, &square], &[&square, &square]]),
    );
    visit.see("meshgrid", meshgrid(&[&row, &row]).remove(0));
    visit.see("meshgrid_xy", meshgrid_xy(&[&row, &row]).remove(0));
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
        visit.see("pad", x.pad(&[(2, 1), (0, 3), (1, 0)], pad));
        let blocks = [few(a), few(b), few(c)];
        visit.see(
            "map_overlap",
            x.map_overlap(&blocks, &[1, 0, 2], Boundary::Padded(pad), same),
        );
        let margins = [
            Margin::new(2, 0, pad),
            Margin::new(0, 1, Boundary::None),
            Margin::new(0, 3, Pad::Wrap),
        ];
        visit.see("map_margins", x.map_margins(&blocks, &margins, same));
    }
}

pub fn products_and_functions(
    make: Make<'_>,
    [m, k, n]: [usize; 3],
    shape: [usize; 3],
    visit: &mut impl Visit,
) {
    let (a, b) = (make(&[m, k]), make(&[k, n]));
    let v = make(&[k]);
    let cube = make(&shape);
    let sums = |block: ArrayViewD<'_, f64>| block.sum_axis(Axis(0)).insert_axis(Axis(0));
    let (some, rows) = (few(m), m.div_ceil(5));
    let blocks = m.div_ceil(rows);
    all! { visit;
        a.dot(&b); a.matmul(&v); v.outer(&v); v.vdot(&v); cube.tensordot(&cube, &[0, 2], &[0, 2]);
        a.map_blocks(&[some, k], |_, block| block.mapv(|x| x * 2.0));
        a.map_blocks_to(&[rows, k], &[blocks, k], &[1, k], move |_, block| sums(block));
    }
    visit.see("dot", a.t().dot(&a));
    visit.see("map_chunks", a.rechunk([some, few(k)]).map_chunks(same));
    let contract = Blockwise::new("i")
        .block('i', some)
        .block('j', few(k))
        .combine(|a, b| a + b);
    visit.see(
        "apply",
        contract.apply((&a, "ij"), |_, block| block.sum_axis(Axis(1))),
    );
    visit.see("qr", a.qr().1);
    if m >= k {
        visit.see("tsqr", a.tsqr().0);
        visit.see("svd", a.svd().1);
    }
    if k >= n {
        visit.see("singular_values", b.singular_values());
    }
}

/// What makes arrays of so many elements out of nothing.
pub fn made(length: usize, visit: &mut impl Visit) {
    let shape = [length];
    let rows = length.div_ceil(10).max(1);
    visit.see(
        "random_uniform",
        Array::<f64>::random_uniform(&shape, 0.0, 2.0, 1),
    );
    visit.see(
        "random_normal",
        Array::<f32>::random_normal(&shape, 0.0, 2.0, 1),
    );
    visit.see("random_integers", Array::random_integers(&shape, -5, 5, 1));
    visit.see("random_choice", Array::random_choice(&[1u8, 7], &shape, 1));
    visit.see(
        "random_choice_weighted",
        Array::random_choice_weighted(&[1u8, 7], &[0.5, 2.0], &shape, 1),
    );
    visit.see(
        "random_sample",
        Array::random_sample(&[4i16, 5, 6, 7], 3, 1),
    );
    visit.see("random_permutation", Array::random_permutation(length, 1));
    visit.see("arange", Array::arange(0i32, length as i32, 2));
    visit.see("linspace", Array::linspace(0.0, 1.0, length));
    visit.see("eye", Array::<u8>::eye(rows, 20, 2));
    visit.see("identity", Array::<u8>::identity(rows.min(300)));
    visit.see("tri", Array::<u8>::tri(rows, 20, 2));
    visit.see("indices", Array::indices(&[rows, 20]).remove(1));
    visit.see("full", Array::full(&shape, 4.0));
    visit.see("zeros", Array::<f64>::zeros(&shape));
    visit.see("ones", Array::<f64>::ones(&shape));
    visit.see("scalar", Array::scalar(3.0));
    visit.see(
        "from_ndarray",
        Array::from_ndarray(ArrayD::<f64>::ones(shape.to_vec())),
    );
    let blocks = Array::from_blocks(&shape, 70.max(length / 7), |place, ranges| {
        ArrayD::from_elem(vec![ranges[0].len()], place.coords[0] as f64)
    });
    visit.see("from_blocks", blocks);
    let value = flagstone_graph::delayed(move || ArrayD::<f64>::ones(vec![length]));
    visit.see("from_delayed", Array::from_delayed(&value.call(()), &shape));
    let _ = (Index::NewAxis, 0.into_axes());
}
