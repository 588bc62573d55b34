//! Arrays from closures, delayed values and other collections, and their rows for those.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::Harness;
use flagstone_array::{Array, Chunks};
use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{
    Block, Deps, Execute, Footprint, Graph, Inputs, Layer, SerialExecutor, Value, delayed,
};
use flagstone_scheduler::Session;
use ndarray::{ArrayD, IxDyn, s};

/// Counts what this thread asks for.
struct Counted;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does it all; a cell without destructor is counted in beside it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        // SAFETY: as the caller promises
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;

fn numbers(shape: &[usize]) -> ArrayD<f64> {
    let mut next = 0.0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        next += 1.0;
        next
    })
}

#[test]
fn blocks_come_from_a_closure_and_only_those_that_are_needed() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let make = |shape: [usize; 2], chunks: Chunks| {
        Array::from_blocks(&shape, chunks, move |place, ranges| {
            CALLS.fetch_add(1, Ordering::Relaxed);
            assert!(
                place
                    .start
                    .iter()
                    .zip(ranges)
                    .all(|(start, range)| *start == range.start)
            );
            ArrayD::from_shape_fn(IxDyn(&[ranges[0].len(), ranges[1].len()]), |i| {
                ((ranges[0].start + i[0]) * shape[1] + ranges[1].start + i[1] + 1) as f64
            })
        })
    };
    let expected = numbers(&[23, 17]);
    for chunks in [
        Chunks::from([5, 4]),
        Chunks::lists([vec![20, 3], vec![1, 16]]),
    ] {
        let x = make([23, 17], chunks);
        for harness in [Harness::new(1 << 10, 2), Harness::new(1 << 20, 1)] {
            assert_eq!(x.compute_with(&harness).unwrap(), expected);
            let doubled = (x.t() * 2.0).compute_with(&harness).unwrap();
            assert_eq!(doubled, expected.t().to_owned() * 2.0);
        }
    }
    CALLS.store(0, Ordering::Relaxed);
    let x = make([1 << 20, 1 << 20], [1024, 1024].into());
    let corner = x
        .slice(s![-2.., -2..])
        .compute_with(&SerialExecutor)
        .unwrap();
    assert_eq!(
        (corner[[1, 1]], CALLS.load(Ordering::Relaxed)),
        (2f64.powi(40), 1)
    );
    let wrong = Array::from_blocks(&[4], 2, |_, _| ArrayD::<f64>::zeros(vec![3]));
    let error = wrong.compute_with(&SerialExecutor).unwrap_err().to_string();
    assert!(error.contains("[3] where [2] was promised"), "{error}");
    let auto = Array::from_blocks(&[4], Chunks::auto(), |_, _| ArrayD::<f64>::zeros(vec![4]));
    assert!(
        auto.check()
            .unwrap_err()
            .to_string()
            .contains("have to be given")
    );
}

#[test]
fn delayed_values_are_computed_once_and_must_have_their_shape() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let load = delayed(|| {
        CALLS.fetch_add(1, Ordering::Relaxed);
        numbers(&[6, 4])
    });
    let load = load.call(());
    let x = Array::from_delayed(&load, &[6, 4]);
    let both = Array::concatenate(&[&x, &(&x * 2.0)], 0);
    let expected = numbers(&[6, 4]);
    let result = both.compute_with(&Harness::new(1 << 12, 2)).unwrap();
    assert_eq!(result.slice(s![..6, ..]).to_owned().into_dyn(), expected);
    assert_eq!(
        result.slice(s![6.., ..]).to_owned().into_dyn(),
        expected * 2.0
    );
    assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    let wrong = Array::from_delayed(&load, &[4, 6]);
    let error = wrong
        .sum(..)
        .compute_with(&SerialExecutor)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("[6, 4] where [4, 6] was promised"),
        "{error}"
    );
}

#[test]
fn persisted_blocks_are_an_array_again() {
    let session = Session::builder()
        .memory("16MiB")
        .threads(2)
        .build()
        .unwrap();
    let x = Array::<f64>::random_normal(&[700, 300], 0.0, 1.0, 3);
    let squared = &x * &x;
    let built = squared.build(session.resources()).unwrap();
    let kept = session
        .persist(&built.graph, &[built.output])
        .unwrap()
        .pop()
        .unwrap();
    let kept: Arc<dyn Layer> = Arc::new(kept);
    let again = Array::<f64>::from_layer(built.grid.clone(), move |graph| {
        Ok(graph.push_at(Arc::clone(&kept), &[], None))
    });
    let expected = squared.compute_with(&SerialExecutor).unwrap();
    assert_eq!(again.compute_with(&session).unwrap(), expected);
    let sums = (&again + again.mean(0)).sum(1);
    let same = (&squared + squared.mean(0)).sum(1);
    assert_eq!(
        sums.compute_with(&session).unwrap(),
        same.compute_with(&SerialExecutor).unwrap()
    );
    // what the blocks are is not taken on trust
    let ones = Array::<f32>::ones(&[10, 4]);
    let built = ones.build(session.resources()).unwrap();
    let kept = session
        .persist(&built.graph, &[built.output])
        .unwrap()
        .pop()
        .unwrap();
    let kept: Arc<dyn Layer> = Arc::new(kept);
    let other = Array::<f64>::from_layer(built.grid, move |graph| {
        Ok(graph.push_at(Arc::clone(&kept), &[], None))
    });
    let error = other
        .sum(..)
        .compute_with(&session)
        .unwrap_err()
        .to_string();
    assert!(error.contains("a chunk of f32"), "{error}");
}

/// Partitions of another collection: vectors of numbers.
struct Partitions(Vec<Vec<f64>>);

impl Layer for Partitions {
    fn name(&self) -> &str {
        "partitions"
    }

    fn task_count(&self) -> u32 {
        self.0.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        Footprint::exact(8 * self.0[task as usize].len() as u64 + 64)
    }

    fn run(&self, task: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let value = self.0[task as usize].clone();
        let heap_bytes = 8 * value.len() as u64;
        Ok(Block::new(Value { value, heap_bytes }))
    }
}

fn read(block: &Block, rows: &mut [f64]) -> Result<()> {
    let values = block.downcast_ref::<Value<Vec<f64>>>();
    let values = &values.ok_or_else(|| Error::invalid("not a vector"))?.value;
    if values.len() != rows.len() {
        return Err(Error::invalid(format!(
            "{} numbers, not {}",
            values.len(),
            rows.len()
        )));
    }
    rows.copy_from_slice(values);
    Ok(())
}

#[test]
fn partitions_of_known_lengths_become_rows() {
    let numbers: Vec<f64> = (0..60).map(f64::from).collect();
    for cut in [&[4, 0, 10, 6][..], &[0, 0], &[20]] {
        let (mut parts, mut from) = (Vec::new(), 0);
        for &rows in cut {
            parts.push(numbers[3 * from..3 * (from + rows)].to_vec());
            from += rows;
        }
        let of = |lengths: Option<&[usize]>, columns| {
            let parts = parts.clone();
            let push = move |graph: &mut Graph| Ok(graph.push(Partitions(parts.clone()), &[]));
            Array::from_partitions(lengths, columns, push, read)
        };
        let x = of(Some(cut), Some(3));
        assert_eq!(x.shape(), [from, 3]);
        let expected = ArrayD::from_shape_vec(vec![from, 3], numbers[..3 * from].to_vec());
        let expected = expected.unwrap();
        for harness in [Harness::new(512, 2), Harness::new(1 << 20, 1)] {
            assert_eq!(x.compute_with(&harness).unwrap(), expected);
            let sums = x.sum(0).compute_with(&harness).unwrap();
            assert_eq!(sums, expected.sum_axis(ndarray::Axis(0)));
        }
        let lengths: Vec<usize> = cut.iter().map(|rows| 3 * rows).collect();
        let flat = of(Some(&lengths), None)
            .compute_with(&SerialExecutor)
            .unwrap();
        assert_eq!(flat.as_slice().unwrap(), &numbers[..3 * from]);
        if from > 0 {
            let error = of(Some(cut), None)
                .compute_with(&SerialExecutor)
                .unwrap_err();
            assert!(error.to_string().contains("numbers, not"), "{error}");
        }
        let error = of(Some(&[1, 2, 3, 4, 5]), None).compute_with(&SerialExecutor);
        assert!(error.unwrap_err().to_string().contains("for an array of 5"));
        let error = of(None, Some(3)).check().unwrap_err();
        assert!(error.to_string().contains("compute the lengths first"));
    }
}

#[test]
fn rows_come_block_by_block_with_known_lengths() {
    let x = numbers(&[23, 4]);
    let lazy = Array::from_ndarray(x.clone()) + 1.0;
    for (budget, rows) in [(1 << 10, None), (1 << 20, Some(10)), (1 << 20, None)] {
        let harness = Harness::new(budget, 2);
        let mut graph = Graph::new();
        let pushed = lazy
            .push_rows(&mut graph, harness.resources(), rows)
            .unwrap();
        assert_eq!(pushed.lengths.iter().sum::<usize>(), 23);
        if rows.is_some() {
            assert_eq!(pushed.lengths, [10, 10, 3]);
        }
        let blocks = harness.execute(&graph, &[pushed.layer]).unwrap().remove(0);
        assert_eq!(blocks.len(), pushed.lengths.len());
        let mut at = 0;
        for (block, &rows) in blocks.iter().zip(&pushed.lengths) {
            let view = Array::<f64>::chunk_values(block).unwrap();
            assert_eq!(view.shape(), [rows, 4]);
            assert_eq!(view, (&x.slice(s![at..at + rows, ..]) + 1.0).into_dyn());
            assert!(Array::<f32>::chunk_values(block).is_err());
            at += rows;
        }
    }
    let mut graph = Graph::new();
    let scalar = Array::scalar(1.0).push_rows(&mut graph, SerialExecutor.resources(), None);
    assert!(scalar.unwrap_err().to_string().contains("without axes"));
}

#[test]
fn a_trillion_ones_are_sliced_to_a_corner_at_once() {
    let corner = |side: usize| (Array::<f64>::ones(&[side, side]) + 1.0).slice(s![-3.., ..2]);
    let built = |side: usize| corner(side).build(SerialExecutor.resources()).unwrap();
    let found = corner(1_000_000).compute_with(&SerialExecutor).unwrap();
    assert_eq!(found, ArrayD::from_elem(vec![3, 2], 2.0));
    // what is built does not grow with the array; hash tables vary by a few bytes
    let allocated = |side: usize| {
        let bytes = (0..200).map(|_| {
            let before = ALLOCATED.get();
            drop(built(side));
            ALLOCATED.get() - before
        });
        bytes.min().unwrap()
    };
    let bytes = [10, 1_000, 1_000_000, 1_000_000_000].map(allocated);
    assert!(
        bytes.iter().all(|&b| b == bytes[0] && b < 16 << 10),
        "{bytes:?}"
    );
    let sums = Array::<f64>::ones(&[1_000_000, 1_000_000]).sum(0);
    assert_eq!(sums.shape(), [1_000_000]);
}

#[test]
fn triangles_and_their_kin() {
    let x = Array::<i64>::tri(3, 4, 1)
        .compute_with(&SerialExecutor)
        .unwrap();
    let expected = ndarray::arr2(&[[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]);
    assert_eq!(x, expected.into_dyn());
}
