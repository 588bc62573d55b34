//! What a task takes is what its layer declared: every operation over arrays from all kinds of
//! sources, of lengths that are no multiple of anything, at budgets from tiny to gigabytes. Tasks of
//! arrays lease from an account of what they declared, so a lease beyond it is an error here; what they
//! allocate without leasing is measured.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use common::{Harness, Meter, table};
use flagstone_array::{Array, Chunks, Element, Pad, ZarrOptions, index};
use flagstone_common::ErrorKind;
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::Session;

/// The system's allocator, counting what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    // gone while a thread ends
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: the system's allocator, called with what we were called with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn begin() {
    PEAK.with(|peak| peak.set(HELD.with(Cell::get)));
    MARK.with(|mark| mark.set(HELD.with(Cell::get)));
}

thread_local! {
    static MARK: Cell<i64> = const { Cell::new(0) };
}

fn peak() -> u64 {
    let peak = PEAK.with(Cell::get) - MARK.with(Cell::get);
    peak.max(0) as u64
}

const METER: Meter = Meter { begin, peak };

/// Tiny, below, at and above what chunks are made for.
const BUDGETS: [u64; 7] = [
    4 << 10,
    100_000,
    1 << 20,
    3_000_001,
    64 << 20,
    1 << 30,
    4 << 30,
];

/// Computes on a harness that measures tasks, at some of the budgets; with `sessions`, on real ones at
/// the smallest budget that a refusal names, just above it and at twice that.
struct Declared {
    round: usize,
    sessions: bool,
    /// Smaller budgets only cut large arrays into more tasks.
    least_bytes: u64,
}

impl table::Visit for Declared {
    fn see<T: Element>(&mut self, name: &'static str, array: Array<T>) {
        if array.check().is_err() {
            return;
        }
        if self.sessions {
            return at_smallest(name, &array);
        }
        self.round += 1;
        for at in [self.round, self.round + 3] {
            let budget = BUDGETS[at % BUDGETS.len()].max(self.least_bytes);
            let mut harness = Harness::new(budget, 1);
            harness.meter = Some(METER);
            if let Err(error) = array.compute_with(&harness) {
                panic!("{name} at {}: {error:?}", harness.budget_bytes);
            }
        }
    }
}

/// Runs at exactly the smallest budget that is named, and above it.
fn at_smallest<T: Element>(name: &str, array: &Array<T>) {
    // of lengths that are not counted yet nothing is known
    let length = array.try_shape().map_or(1, |shape| shape.iter().product());
    let threads = 1 + length % 3;
    let run = |bytes: u64| {
        let session = Session::builder().memory_bytes(bytes).threads(threads);
        session
            .build()
            .and_then(|session| array.compute_with(&session))
    };
    let named = |text: &str| -> Option<u64> {
        let (_, after) = text.split_once("smallest budget that works is ")?;
        after.split_once(" MiB")?.0.parse().ok()
    };
    let mut smallest = 1 << 20;
    if let Err(error) = run(smallest) {
        assert_eq!(error.kind(), ErrorKind::Budget, "{name}: {error:?}");
        let text = error.to_string();
        let Some(mebibytes) = named(&text) else {
            panic!("{name}: {text}");
        };
        smallest = mebibytes << 20;
    }
    for budget in [smallest, smallest, smallest + (1 << 20), 2 * smallest] {
        if let Err(error) = run(budget) {
            panic!("{name} of {smallest} at {budget} on {threads} threads: {error:?}");
        }
    }
}

/// An array of the table's numbers from one kind of source after the other.
fn sources(directory: &Path, kind: usize) -> impl Fn(&[usize]) -> Array<f64> + '_ {
    let next = Cell::new(kind);
    move |shape| {
        let kind = next.replace(next.get() + 1) % 7;
        let values = Array::from_fn(shape, table::number);
        from_source(directory, kind, &values)
    }
}

fn from_source<T: Element>(directory: &Path, kind: usize, values: &Array<T>) -> Array<T> {
    static FILES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = FILES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = directory.join(number.to_string());
    let thirds: Vec<usize> = values
        .shape()
        .iter()
        .map(|&n| n.div_ceil(3).max(1))
        .collect();
    match kind {
        0 => {
            values.store_npy_with(&SerialExecutor, &path).unwrap();
            Array::open_npy(&path)
        }
        1 => Array::from_ndarray(values.compute_with(&SerialExecutor).unwrap()),
        2 => {
            let chunks = thirds.iter().map(|&length| length.min(1000)).collect();
            let options = ZarrOptions {
                chunks: Some(chunks),
                ..ZarrOptions::default()
            };
            values
                .store_zarr_with(&SerialExecutor, &path, &options)
                .unwrap();
            Array::open_zarr(&path)
        }
        3 => values.clone(),
        4 => values.map_blocks(&thirds, |_, block| block.to_owned()),
        // stored the other way round
        5 => {
            values.t().store_npy_with(&SerialExecutor, &path).unwrap();
            Array::open_npy(&path).t()
        }
        _ => values.rechunk(Chunks::along(
            thirds
                .iter()
                .enumerate()
                .map(|(axis, &n)| (axis as isize, n as isize)),
        )),
    }
}

#[test]
fn tasks_take_what_they_declare_on_small_and_odd_shapes() {
    let directory = common::quick_directory();
    for (round, edge) in [1, 7, 8, 9].into_iter().enumerate() {
        let make = sources(directory.path(), 2 * round);
        let mut visit = Declared {
            round,
            sessions: false,
            least_bytes: 0,
        };
        table::functions_of_elements(&make, [edge, 9], &mut visit);
        table::reductions_and_orders(&make, [edge, 8 + round], &mut visit);
        table::shapes_and_indices(&make, [edge, 3, 5], edge, &mut visit);
        table::products_and_functions(&make, [edge + 8, 7, 5], [edge, 3, 4], &mut visit);
        table::made(edge, &mut visit);
    }
}

#[test]
fn tasks_take_what_they_declare_on_long_arrays() {
    let directory = common::quick_directory();
    for (round, shape) in [[1001, 7], [9, 1000]].into_iter().enumerate() {
        let make = sources(directory.path(), round);
        let mut visit = Declared {
            round,
            sessions: false,
            least_bytes: 100_000,
        };
        if round == 0 {
            table::functions_of_elements(&make, shape, &mut visit);
        }
        table::reductions_and_orders(&make, shape, &mut visit);
        let [a, b] = shape;
        table::shapes_and_indices(&make, [a, b.min(7), 9], 101, &mut visit);
        table::products_and_functions(&make, [a, b.min(40), 33], [a.min(50), 3, 11], &mut visit);
        table::made(a * b, &mut visit);
    }
}

/// Operations that exist for every type, on large flat arrays.
fn typed<T: Element>(x: &Array<T>, visit: &mut impl table::Visit) {
    let length = x.len();
    let third = length.div_ceil(3);
    visit.see("max", x.max(..));
    visit.see("min", x.min(0));
    visit.see("any", x.any(..));
    visit.see("all", x.all(0));
    visit.see("sum", x.sum(..));
    visit.see("argmax", x.argmax(..));
    visit.see("cast", x.astype::<u8>().max(..));
    visit.see("bincount", x.astype::<u8>().bincount(0));
    let edges = vec![-1.0, 0.0, 3.0, 1000.0];
    visit.see("histogram", x.rechunk(third).histogram(edges).0);
    visit.see("pad", x.pad(&[(1, 2)], Pad::Edge));
    visit.see("roll", x.roll(5, 0).roll(-1, 0));
    visit.see("flip", x.flip(0));
    visit.see("concatenate", Array::concatenate(&[x, &x.flip(0), x, x], 0));
    let blocks = x.map_blocks(&[length.div_ceil(2)], |_, block| block.to_owned());
    visit.see(
        "concatenate",
        Array::concatenate(&[&blocks, &blocks, &blocks], 0),
    );
    visit.see("max", blocks.astype::<u8>().max(..));
    // the others go through their elements many times
    if length > 200_000 {
        return;
    }
    visit.see("sort", x.sort(0));
    visit.see("unique", x.unique_counts().1);
    visit.see("cumsum", x.astype::<i64>().cumsum(0));
    let gone = index![(length as i64 / 3)..];
    visit.see("slice", x.index(gone).flip(0));
    let rows = x
        .pad(&[(0, (7 - length % 7) % 7)], Pad::Edge)
        .reshape_to(&[7, -1]);
    visit.see("reshape", rows.t().pad(&[(1, 0), (0, 1)], Pad::Wrap));
    visit.see("median", rows.median(0));
}

#[test]
fn tasks_take_what_they_declare_of_every_type_and_length() {
    let directory = common::quick_directory();
    for (i, length) in [1001, 100_000, 1_000_001].into_iter().enumerate() {
        let mut visit = Declared {
            round: i,
            sessions: false,
            least_bytes: 4 * length as u64,
        };
        let values = Array::from_fn(&[length], |at| (at[0] % 251) as u8);
        let kinds = if length < 1_000_000 { 2 } else { 1 };
        for kind in [i, i + 3].into_iter().take(kinds) {
            // a file, where there are many elements
            let kind = if kinds == 1 { 0 } else { kind % 7 };
            let x = from_source(directory.path(), kind, &values);
            typed(&x, &mut visit);
        }
        if length < 1_000_000 {
            typed(
                &from_source(directory.path(), i + 1, &values.astype::<i16>()),
                &mut visit,
            );
            typed(
                &from_source(directory.path(), i + 2, &values.astype::<f32>()),
                &mut visit,
            );
            typed(
                &from_source(directory.path(), i, &values.astype::<f64>()),
                &mut visit,
            );
        }
    }
}

#[test]
fn images_and_cubes_are_padded_and_rolled_at_every_budget() {
    let directory = common::quick_directory();
    let path = directory.path().join("image.npy");
    Array::<f32>::ones(&[1080, 1920])
        .store_npy_with(&SerialExecutor, &path)
        .unwrap();
    let x = Array::<f32>::open_npy(&path);
    let cube = Array::from_ndarray(ndarray::ArrayD::<u16>::zeros(vec![1, 1135, 180]));
    for budget in [64 << 20, 128 << 20, 1 << 30, u64::MAX] {
        let harness = Harness::new(budget, 2);
        let shape = |array: &Array<f32>| array.compute_with(&harness).unwrap().shape().to_vec();
        assert_eq!(shape(&x.pad(&[(1, 1), (1, 1)], Pad::Edge)), [1082, 1922]);
        assert_eq!(shape(&x.roll(1, 0).roll(1, 1)), [1080, 1920]);
        let padded = cube.pad(&[(1, 4), (2, 0), (0, 4)], Pad::Reflect);
        assert_eq!(
            padded.compute_with(&harness).unwrap().shape(),
            [6, 1137, 184]
        );
    }
}

/// A budget that is named works, also on several threads, whose tasks end in any order.
#[test]
fn named_budgets_work() {
    let directory = common::quick_directory();
    let make = sources(directory.path(), 0);
    let mut visit = Declared {
        round: 0,
        sessions: true,
        least_bytes: 1 << 20,
    };
    table::reductions_and_orders(&make, [401, 301], &mut visit);
    table::shapes_and_indices(&make, [201, 23, 19], 301, &mut visit);
    table::products_and_functions(&make, [500, 151, 100], [40, 21, 11], &mut visit);
}

#[test]
fn a_product_at_its_smallest_budget_finishes_every_time() {
    let directory = common::quick_directory();
    let path = directory.path().join("a.npy");
    let values = |shape: &[usize], seed| {
        let numbers = Array::random_integers(shape, -9, 9, seed).astype::<i32>();
        numbers.compute_with(&SerialExecutor).unwrap()
    };
    let numbers = Array::from_ndarray(values(&[158, 379], 1));
    numbers.store_npy_with(&SerialExecutor, &path).unwrap();
    let a = Array::<i32>::open_npy(&path);
    let chunks = Chunks::along([(0, 207), (1, 148)]);
    let b = Array::from_ndarray(values(&[379, 269], 2)).rechunk(chunks);
    let product = a.dot(&b);
    let expected = product.compute_with(&SerialExecutor).unwrap();
    for _ in 0..60 {
        let session = Session::builder().memory_bytes(1 << 20).threads(2);
        let session = session.build().unwrap();
        assert_eq!(product.compute_with(&session).unwrap(), expected);
    }
}

/// What a description says is kept only where an array needs it.
#[test]
fn descriptions_of_strangers_take_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    let grid = |lengths: &str| {
        format!(
            r#""chunk_grid": {{"name": "rectilinear", "configuration": {{"kind": "inline",
            "chunk_shapes": {lengths}}}}}"#
        )
    };
    let two = grid("[[1, 2]]");
    let members: String = (0..10_000).map(|i| format!("\"k{i}\": 1, ")).collect();
    for (name, length, more) in [
        (
            "lengths",
            393_216,
            grid(&format!("[[{}1, 2]]", "1, 2, ".repeat(131_071))),
        ),
        (
            "attributes",
            3,
            format!("{two}, \"attributes\": [{}1]", "1, ".repeat(2_000_000)),
        ),
        (
            "extension",
            3,
            format!(
                "{two}, \"x\": {{\"must_understand\": false, \"y\": [{}1]}}",
                "{}, ".repeat(1_000_000)
            ),
        ),
        (
            "members",
            3,
            format!("{two}, \"x\": {{{members} \"must_understand\": false}}"),
        ),
        (
            "values",
            3,
            format!(
                "{two}, \"dimension_names\": [{}null]",
                "null, ".repeat(1_000_000)
            ),
        ),
    ] {
        let path = directory.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let json = format!(
            r#"{{"zarr_format": 3, "node_type": "array", "shape": [{length}], "fill_value": 0,
            "data_type": "uint8", {more}, "codecs": ["bytes"],
            "chunk_key_encoding": {{"name": "default", "configuration": {{"separator": "/"}}}}}}"#
        );
        std::fs::write(path.join("zarr.json"), json).unwrap();
        begin();
        let opened = Array::<u8>::open_zarr(&path);
        let peak = peak();
        assert_eq!(
            opened.check().is_ok(),
            name != "values",
            "{name}: {opened:?}"
        );
        assert!(peak < 16 << 20, "{name}: {peak} bytes");
    }
}
