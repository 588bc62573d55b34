//! npy files in and out: both orders, all types, windows, damage, and output that is whole or absent.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use std::fs;
use std::path::Path;

use common::Harness;
use flagstone_array::{Array, Element};
use flagstone_common::Counter;
use flagstone_graph::SerialExecutor;
use flagstone_io::OutputOptions;
use ndarray::{ArrayD, IxDyn, ShapeBuilder, s};
use proptest::prelude::*;

fn numbers(shape: &[usize]) -> ArrayD<f64> {
    let mut next = 0.0;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        next += 1.0;
        next
    })
}

/// Writes a file as NumPy would, in either order.
fn write_npy(path: &Path, array: &ArrayD<f64>, fortran: bool) {
    let lengths: String = array.shape().iter().map(|n| format!("{n},")).collect();
    let order = if fortran { "True" } else { "False" };
    let mut text = format!("{{'descr': '<f8', 'fortran_order': {order}, 'shape': ({lengths}), }}");
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    let stored = if fortran {
        array.t().to_owned()
    } else {
        array.clone()
    };
    for value in stored.as_standard_layout().iter() {
        bytes.extend(value.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn windows_of_files_in_both_orders(
        shape in prop::collection::vec(1usize..24, 1..4),
        fortran in any::<bool>(),
        (from, step) in (0usize..20, 1isize..4),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.npy");
        let x = numbers(&shape);
        write_npy(&path, &x, fortran);
        let lazy = Array::<f64>::open_npy(&path);
        let harness = Harness::new(300 << 10, 2);
        prop_assert_eq!(lazy.compute_with(&harness).unwrap(), x.clone());
        prop_assert_eq!(lazy.t().compute_with(&harness).unwrap(), x.t().to_owned());
        let from = from as isize % shape[0] as isize;
        let info = s![from..;step, ..];
        if shape.len() == 2 {
            let expected = x.slice(info).to_owned().into_dyn();
            prop_assert_eq!((lazy.slice(info) * 2.0).compute_with(&harness).unwrap(), expected * 2.0);
        }
    }
}

#[test]
fn every_type_makes_the_round_trip() {
    fn check<T: Element>(values: impl Fn(usize) -> T) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.npy");
        let x = ArrayD::from_shape_fn(IxDyn(&[37, 11]), |i| values(i[0] * 11 + i[1]));
        Array::from_ndarray(x.clone())
            .store_npy_with(&Harness::new(256 << 10, 2), &path)
            .unwrap();
        let back = Array::<T>::open_npy(&path);
        assert_eq!(
            back.compute_with(&SerialExecutor).unwrap(),
            x,
            "{}",
            T::DTYPE
        );
    }
    check(|i| i as f64 / 3.0);
    check(|i| i as f32 / 3.0);
    check(|i| i as i64 - 5);
    check(|i| i as i32 - 5);
    check(|i| i as i16);
    check(|i| i as i8);
    check(|i| i as u64);
    check(|i| i as u32);
    check(|i| i as u16);
    check(|i| i as u8);
}

#[test]
fn scalars_and_empty_arrays_are_stored_too() {
    let directory = tempfile::tempdir().unwrap();
    for (i, shape) in [&[][..], &[0], &[3, 0, 2]].into_iter().enumerate() {
        let path = directory.path().join(format!("{i}.npy"));
        Array::full(shape, 7i64)
            .store_npy_with(&SerialExecutor, &path)
            .unwrap();
        let back = Array::<i64>::open_npy(&path)
            .compute_with(&SerialExecutor)
            .unwrap();
        assert_eq!(back, ArrayD::from_elem(IxDyn(shape), 7));
    }
}

#[test]
fn ndarray_in_fortran_order_is_read_in_place() {
    let x = ArrayD::<f64>::from_shape_fn(IxDyn(&[9, 5]).f(), |i| (i[0] * 5 + i[1]) as f64);
    let pointer = x.as_ptr();
    let shared = x.clone().into_shared();
    assert_ne!(shared.as_ptr(), pointer);
    let lazy = Array::from_ndarray(shared.clone());
    assert_eq!(lazy.compute_with(&SerialExecutor).unwrap(), x);
}

#[test]
fn damaged_and_unfit_files_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.npy");
    let message = || {
        Array::<f64>::open_npy(&path)
            .check()
            .unwrap_err()
            .to_string()
    };
    write_npy(&path, &numbers(&[100, 10]), false);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let text = message();
    assert!(
        text.contains("truncated: 8127 bytes") && text.contains("8128"),
        "{text}"
    );
    assert!(
        text.contains("x.npy") && text.contains("storage.rs"),
        "{text}"
    );
    fs::write(&path, &whole[..40]).unwrap();
    assert!(message().contains("ends inside its npy header"));
    fs::write(&path, b"PARQUET?").unwrap();
    assert!(message().contains("not an npy file"));
    fs::write(&path, &whole).unwrap();
    let text = Array::<f32>::open_npy(&path)
        .check()
        .unwrap_err()
        .to_string();
    assert!(text.contains("\"<f8\"") && text.contains("f32"), "{text}");
    // cut short after it was opened: the task that reads it fails, with its key
    let lazy = Array::<f64>::open_npy(&path);
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(4000)
        .unwrap();
    let error = lazy.sum(..).compute_with(&SerialExecutor).unwrap_err();
    assert!(
        error.to_string().contains("truncated: 4000 bytes"),
        "{error}"
    );
    assert!(error.key().is_some());
}

#[test]
fn a_failed_store_leaves_nothing_and_an_existing_file_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (source, target) = (
        directory.path().join("x.npy"),
        directory.path().join("y.npy"),
    );
    write_npy(&source, &numbers(&[300, 100]), false);
    let lazy = Array::<f64>::open_npy(&source);
    lazy.store_npy_with(&SerialExecutor, &target).unwrap();
    let before = fs::read(&target).unwrap();
    let error = lazy.store_npy_with(&SerialExecutor, &target).unwrap_err();
    assert!(error.to_string().contains("y.npy"), "{error}");
    fs::OpenOptions::new()
        .write(true)
        .open(&source)
        .unwrap()
        .set_len(4000)
        .unwrap();
    let options = OutputOptions {
        overwrite: true,
        ..OutputOptions::default()
    };
    assert!(
        lazy.store_npy_options_with(&SerialExecutor, &target, options)
            .is_err()
    );
    assert_eq!(fs::read(&target).unwrap(), before);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

/// The same bits whatever the budget and the threads, and operands read no more than planned.
#[test]
fn bits_do_not_depend_on_budget_tiles_or_threads() {
    let directory = tempfile::tempdir().unwrap();
    let (a_path, b_path) = (
        directory.path().join("a.npy"),
        directory.path().join("b.npy"),
    );
    let third = |i: &[usize]| 1.0 / (1.0 + ((i[0] * 7919 + i[1] * 104_729) % 1009) as f64);
    let options = OutputOptions::default();
    let source = Array::from_fn(&[1500, 1300], third);
    source
        .store_npy_options_with(&SerialExecutor, &a_path, options)
        .unwrap();
    let source = Array::from_fn(&[1500, 1100], move |i| third(i) - 0.5);
    source
        .store_npy_options_with(&SerialExecutor, &b_path, options)
        .unwrap();
    let (a, b) = (
        Array::<f64>::open_npy(&a_path),
        Array::<f64>::open_npy(&b_path),
    );
    let cases = [
        ("classic", a.t().dot(&b) - b.mean(0)),
        ("symmetric", a.t().dot(&a)),
        ("sum", (&a * 3.0).sum(..)),
        ("mean of rows", b.t().mean(0)),
    ];
    for (name, array) in cases {
        let reference = array.compute_with(&SerialExecutor).unwrap();
        for (budget, threads) in [(8 << 20, 1), (9 << 20, 3), (20 << 20, 2), (300 << 20, 4)] {
            let harness = Harness::new(budget, threads);
            let result = harness.stored(&array);
            let bits = |x: &ArrayD<f64>| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(
                bits(&result) == bits(&reference),
                "{name} at {budget} bytes, {threads} threads"
            );
            assert!(
                harness.largest_bytes.into_inner() <= budget,
                "{name} at {budget}"
            );
        }
    }
}

#[test]
fn a_symmetric_product_reads_its_operand_once_and_is_symmetric() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npy");
    let source = Array::from_fn(&[4000, 700], |i| {
        ((i[0] * 31 + i[1] * 17) % 101) as f64 / 7.0
    });
    source.store_npy_with(&SerialExecutor, &path).unwrap();
    let a = Array::<f64>::open_npy(&path);
    let harness = Harness::new(32 << 20, 2);
    let c = a.t().dot(&a).compute_with(&harness).unwrap();
    assert_eq!(harness.counted(Counter::BytesRead), 4000 * 700 * 8);
    for i in 0..700 {
        for j in 0..i {
            assert_eq!(c[[i, j]].to_bits(), c[[j, i]].to_bits());
        }
    }
    // the general product of the same numbers, which does not know of the symmetry
    let copy = Array::<f64>::open_npy(&path);
    let general = a.t().dot(&copy).compute_with(&SerialExecutor).unwrap();
    let close = c
        .iter()
        .zip(&general)
        .all(|(x, y)| (x - y).abs() <= 1e-9 * x.abs());
    assert!(close);
}

#[test]
fn raw_files_and_stacks_of_files() {
    let directory = tempfile::tempdir().unwrap();
    let raw = directory.path().join("x.bin");
    let x = numbers(&[30, 7]);
    let mut bytes = vec![9u8; 16];
    x.iter().for_each(|value| bytes.extend(value.to_ne_bytes()));
    fs::write(&raw, &bytes).unwrap();
    let lazy = Array::<f64>::open_raw(&raw, &[30, 7], 16);
    let harness = Harness::new(300 << 10, 2);
    assert_eq!(
        (lazy.t() * 1.0).compute_with(&harness).unwrap(),
        x.t().to_owned()
    );
    let short = Array::<f64>::open_raw(&raw, &[31, 7], 16)
        .check()
        .unwrap_err();
    assert!(short.to_string().contains("needs 1752"), "{short}");
    // bytes that are no booleans are made some
    let flags = Array::<bool>::open_raw(&raw, &[16], 0);
    assert!(flags.all(..).compute_with(&harness).unwrap()[[]]);
    let paths: Vec<_> = (0..3)
        .map(|i| {
            let path = directory.path().join(format!("{i}.npy"));
            lazy.index(flagstone_array::index![10 * i..10 * i + 10])
                .store_npy_with(&SerialExecutor, &path)
                .unwrap();
            path
        })
        .collect();
    let stack = Array::<f64>::open_npy_stack(&paths, 0);
    assert_eq!(stack.compute_with(&harness).unwrap(), x);
    assert!(
        Array::<f64>::open_npy_stack(&[paths[0].clone(), raw], 0)
            .check()
            .is_err()
    );
}
