//! Arrays on the real scheduler, at budgets that are a fraction of the operands.

use flagstone_array::{Array, Pad, index};
use flagstone_graph::SerialExecutor;
use flagstone_scheduler::Session;

#[test]
fn products_and_sums_finish_within_small_budgets_with_equal_bits() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let value = |i: &[usize]| 1.0 / (1.0 + ((i[0] * 7919 + i[1] * 104_729) % 1009) as f64);
    let (a_shape, b_shape) = ([800, 1100], [800, 700]);
    Array::from_fn(&a_shape, value)
        .store_npy_with(&SerialExecutor, file("a.npy"))
        .unwrap();
    Array::from_fn(&b_shape, value)
        .store_npy_with(&SerialExecutor, file("b.npy"))
        .unwrap();
    let (a, b) = (
        Array::<f64>::open_npy(file("a.npy")),
        Array::<f64>::open_npy(file("b.npy")),
    );
    let product = a.t().dot(&b);
    let cases = [
        &product - b.mean(0),
        a.t().dot(&a),
        // the product's blocks are operands again, and are summed: they are cut, and may be spilled
        product.t().dot(&product) - product.mean(0),
    ];
    for (i, array) in cases.iter().enumerate() {
        let reference = array.compute_with(&SerialExecutor).unwrap();
        for (budget, threads) in [("24MiB", 2), ("200MiB", 3)] {
            let session = Session::builder()
                .memory(budget)
                .threads(threads)
                .build()
                .unwrap();
            let target = file(&format!("{i}-{budget}.npy"));
            array.store_npy_with(&session, &target).unwrap();
            let stats = session.last_stats();
            assert!(stats.ledger_peak_bytes <= stats.budget_bytes);
            let back = Array::<f64>::open_npy(&target)
                .compute_with(&SerialExecutor)
                .unwrap();
            let equal = back
                .iter()
                .zip(&reference)
                .all(|(x, y)| x.to_bits() == y.to_bits());
            assert!(equal, "case {i} at {budget} with {threads} threads");
        }
    }
}

#[test]
fn a_budget_below_the_smallest_tile_is_refused_with_numbers() {
    let a = Array::from_fn(&[3000, 3000], |i| (i[0] + i[1]) as f64);
    let session = Session::builder().memory("5MiB").threads(1).build();
    let Ok(session) = session else { return };
    let error = a.dot(&a).compute_with(&session).unwrap_err();
    assert_eq!(error.kind(), flagstone_common::ErrorKind::Budget);
    assert!(error.to_string().contains("MiB"), "{error}");
}

/// Every family of operations on an array several times the budget, on the real scheduler.
#[test]
fn families_of_operations_stay_inside_the_budget_with_equal_bits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.npy");
    let shape = [1500, 1000];
    Array::<f64>::random_normal(&shape, 0.0, 1.0, 7)
        .store_npy_with(&SerialExecutor, &path)
        .unwrap();
    let x = Array::<f64>::open_npy(&path);
    let places: Vec<i64> = (0..1500).map(|i| (i * 7) % 1500).collect();
    let cases = [
        ("standardise", (&x - x.mean(0)) / x.std(0)),
        ("transpose", &x + x.reshape(&[1000, 1500]).t()),
        ("list", x.take(&places, 0)),
        ("concatenate", Array::concatenate(&[&x, &x.flip(0)], 1)),
        ("reshape", x.reshape(&[250, 6000]) * 2.0),
        ("sort", x.sort(0)),
        ("median", x.median(1)),
        ("running", x.cumsum(0)),
        ("maximum", x.argmax(1).astype()),
        (
            "overlap",
            x.map_overlap(&[100, 1000], &[2, 0], Pad::Reflect, |_, block| {
                block.mapv(|value| value * 0.5)
            }),
        ),
        (
            "assignment",
            x.with_assigned(index![5.., [1, 3]], &Array::scalar(0.0)),
        ),
    ];
    let session = Session::builder()
        .memory("8MiB")
        .threads(2)
        .build()
        .unwrap();
    for (name, array) in cases {
        let target = directory.path().join(format!("{name}.npy"));
        array.store_npy_with(&session, &target).unwrap();
        let stats = session.last_stats();
        assert!(stats.ledger_peak_bytes <= stats.budget_bytes, "{name}");
        assert!(
            stats.ledger_peak_bytes <= stats.certified_peak_bytes,
            "{name}"
        );
        let result = Array::<f64>::open_npy(&target);
        let same = result.equal(&array).all(..).compute_with(&SerialExecutor);
        assert!(same.unwrap()[[]], "{name}");
    }
    // a result in memory is part of the plan: one that does not fit is refused
    let error = (&x * 2.0).compute_with(&session).unwrap_err();
    assert_eq!(error.kind(), flagstone_common::ErrorKind::Budget);
    assert_eq!(
        x.slice(ndarray::s![..3, ..])
            .compute_with(&session)
            .unwrap()
            .len(),
        3000
    );
}
