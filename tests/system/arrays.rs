//! Arrays beside the other collections: seams, kept results, Zarr through the facade.

use flagstone::arrow::array::{AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use flagstone::arrow::datatypes::{DataType, Field, Schema};
use flagstone::{
    Array, ArrayFormat, Bag, Compute, DataFrame, OutputOptions, SerialExecutor, StoreTo,
    ZarrOptions, cast, col, index, inspect_array, lit, s, sum,
};
use std::sync::Arc;

use crate::common::session;

fn sample(rows: usize, columns: usize) -> Array<f64> {
    Array::from_fn(&[rows, columns], move |i| {
        (i[0] * columns + i[1]) as f64 / 7.0
    })
}

#[test]
fn an_array_becomes_a_bag_of_elements_or_rows() {
    let x = sample(50_000, 3);
    let expected = x.compute_with(&SerialExecutor).unwrap();
    for (memory, threads) in [(64, 2), (16, 1)] {
        let session = session(memory, threads);
        let elements = session.array_to_bag(&x.slice(s![.., 1])).unwrap();
        let sum = session.compute(&elements.fold(0.0, |a, b| *a += b, |a, b| *a += b));
        let whole: f64 = expected.slice(s![.., 1]).iter().sum();
        assert!((sum.unwrap() - whole).abs() < 1e-6 * whole);
        let rows = session.array_rows_to_bag(&x).unwrap();
        let kept = rows.filter(|row| row[0] > 21_000.0);
        let kept = session.compute(&kept).unwrap();
        let first = (0..50_000).find(|&i| expected[[i, 0]] > 21_000.0).unwrap();
        assert_eq!(kept.len(), 50_000 - first);
        assert_eq!(kept[0], expected.slice(s![first, ..]).to_vec());
    }
    // lengths that depend on the data are counted on the way
    let session = session(64, 2);
    let large = x.index(index![
        x.slice(s![.., 0]).greater(&Array::scalar(21_000.0)),
        ..
    ]);
    let rows = session.array_rows_to_bag(&large).unwrap();
    assert_eq!(
        session.compute(&rows.count()).unwrap(),
        session.compute(&large).unwrap().shape()[0] as u64
    );
    let scalar = session.array_to_bag(&x.sum(..));
    assert!(
        scalar
            .map(|_| ())
            .unwrap_err()
            .to_string()
            .contains("no rows")
    );
}

#[test]
fn a_bag_of_numbers_becomes_an_array() {
    let session = session(64, 2);
    // partitions of other lengths, and an empty one
    let bag = Bag::from_partitions(vec![vec![3i64, 1], vec![], (0..5000).collect(), vec![7]]);
    let x = session.bag_to_array(&bag).unwrap();
    assert_eq!(x.shape(), [5003]);
    let sorted = session.compute(&x.sort(0).slice(s![..4])).unwrap();
    assert_eq!(sorted.as_slice(), Some(&[0, 1, 1, 2][..]));
    let back = session.array_to_bag(&x).unwrap();
    assert_eq!(
        session.compute(&back).unwrap(),
        session.compute(&bag).unwrap()
    );
    let none = session.bag_to_array(&bag.filter(|x| *x > 9999)).unwrap();
    assert_eq!(session.compute(&none).unwrap().len(), 0);
}

#[test]
fn an_array_becomes_columns_and_columns_an_array() {
    let x = sample(30_000, 4);
    for (memory, threads) in [(128, 2), (48, 1)] {
        let session = session(memory, threads);
        let frame = session
            .array_to_dataframe(&x, ["a", "b", "c", "d"])
            .unwrap();
        let some = frame
            .filter(col("c").gt(lit(10_000.0)))
            .select([col("d"), col("a")]);
        let rows = session.compute(&some).unwrap();
        let expected = x.compute_with(&SerialExecutor).unwrap();
        let kept: Vec<usize> = (0..30_000)
            .filter(|&i| expected[[i, 2]] > 10_000.0)
            .collect();
        assert_eq!(rows.num_rows(), kept.len());
        let a = rows["a"].as_primitive::<flagstone::arrow::datatypes::Float64Type>();
        assert!(
            kept.iter()
                .zip(a.values())
                .all(|(&i, a)| expected[[i, 0]] == *a)
        );
        let back = session
            .dataframe_to_array::<f64>(&some, ["a", "d"])
            .unwrap();
        assert_eq!(back.shape(), [kept.len(), 2]);
        let back = session.compute(&back).unwrap();
        assert!(
            kept.iter()
                .enumerate()
                .all(|(at, &i)| back[[at, 1]] == expected[[i, 3]])
        );
    }
    let session = session(64, 1);
    let error = session
        .array_to_dataframe(&x, ["a"])
        .map(|_| ())
        .unwrap_err();
    assert!(
        error.to_string().contains("1 names for 4 columns"),
        "{error}"
    );
    let flags = Array::from_fn(&[10], |i| i[0] % 3 == 0);
    let frame = session.array_to_dataframe(&flags, ["third"]).unwrap();
    assert_eq!(
        session
            .compute(&frame.filter(col("third")))
            .unwrap()
            .num_rows(),
        4
    );
}

#[test]
fn folds_of_an_arrays_columns_have_the_same_bits_for_every_budget() {
    // sums whose last bits follow from how they are cut
    let x = Array::from_fn(&[600_000, 2], |i| match i[1] {
        0 => (i[0] % 7) as f64,
        _ => 1.0 / (1 + i[0] * 7919 % 10_007) as f64,
    });
    let sums = [(12, 1), (16, 2), (64, 1), (400, 2)].map(|(memory, threads)| {
        let session = session(memory, threads);
        let frame = session.array_to_dataframe(&x, ["k", "v"]).unwrap();
        let grouped = frame.groupby(["k"]).agg([sum(col("v")).alias("s")]);
        let rows = session.compute(&grouped).unwrap();
        let column = rows["s"].as_primitive::<flagstone::arrow::datatypes::Float64Type>();
        column
            .values()
            .iter()
            .map(|v| v.to_bits())
            .collect::<Vec<_>>()
    });
    assert_eq!(sums[0].len(), 7);
    assert!(sums.iter().all(|bits| *bits == sums[0]), "{sums:?}");
}

#[test]
fn a_column_of_text_is_no_array() {
    let session = session(64, 1);
    let schema = Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8, true)]));
    let text = StringArray::from(vec!["1", "2.5"]);
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(text)]).unwrap();
    let frame = DataFrame::from_batches(schema, vec![batch]);
    let numbers = frame.with_column("t", cast(col("t"), DataType::Float64));
    let array = session.dataframe_to_array::<f64>(&numbers, ["t"]).unwrap();
    assert_eq!(session.compute(&array.sum(..)).unwrap()[[]], 3.5);
    let error = session.dataframe_to_array::<f64>(&frame, ["t"]).map(|_| ());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("\"t\" is Utf8") && error.contains("cast"),
        "{error}"
    );
}

#[test]
fn nulls_and_values_that_do_not_fit_are_named_with_their_column() {
    let session = session(64, 1);
    let fields = vec![
        Field::new("n", DataType::Int64, true),
        Field::new("x", DataType::Float64, true),
    ];
    let schema = Arc::new(Schema::new(fields));
    let n = Int64Array::from(vec![Some(1), None, Some(300)]);
    let x = Float64Array::from(vec![Some(0.5), None, Some(2.0)]);
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(n), Arc::new(x)]).unwrap();
    let frame = DataFrame::from_batches(schema, vec![batch]);
    let both = session
        .dataframe_to_array::<f64>(&frame, ["n", "x"])
        .unwrap();
    let both = session.compute(&both).unwrap();
    assert!(both[[1, 0]].is_nan() && both[[1, 1]].is_nan());
    assert_eq!((both[[2, 0]], both[[0, 1]]), (300.0, 0.5));
    let compute = |column: &str| {
        let array = session.dataframe_to_array::<u8>(&frame, [column]).unwrap();
        session.compute(&array).unwrap_err().to_string()
    };
    let error = compute("n");
    assert!(
        error.contains("row 2") && error.contains("\"n\""),
        "{error}"
    );
    let integers = frame.filter(col("n").lt(lit(2)).or(col("n").is_null()));
    let array = session.dataframe_to_array::<u8>(&integers, ["n"]).unwrap();
    let error = session.compute(&array).unwrap_err().to_string();
    assert!(error.contains("row 1") && error.contains("null"), "{error}");
    assert!(session.dataframe_to_array::<u8>(&frame, ["z"]).is_err());
}

#[test]
fn a_kept_array_is_computed_once_and_used_like_any_other() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let x = Array::from_blocks(&[4000, 50], [1000, -1], move |place, ranges| {
        counted.fetch_add(1, Ordering::Relaxed);
        let shape: Vec<usize> = ranges.iter().map(|range| range.len()).collect();
        flagstone::ndarray::ArrayD::from_elem(shape, place.coords[0] as f64)
    });
    let session = session(64, 2);
    let kept = session.persist(&(&x * 2.0)).unwrap();
    let sum = session.compute(&kept.sum(..)).unwrap()[[]];
    assert_eq!(sum, 2.0 * 1000.0 * 50.0 * (1.0 + 2.0 + 3.0));
    let before = calls.load(Ordering::Relaxed);
    let corner = session.compute(&kept.slice(s![-1, ..2])).unwrap();
    assert_eq!(corner.as_slice(), Some(&[6.0, 6.0][..]));
    let rechunked = session
        .compute(&kept.t().dot(&kept).slice(s![0, 0]))
        .unwrap();
    assert_eq!(rechunked[[]], 4.0 * 1000.0 * (1.0 + 4.0 + 9.0));
    assert_eq!(calls.load(Ordering::Relaxed), before);
}

#[test]
fn zarr_goes_through_the_session_and_regions_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (path, session) = (dir.path().join("x.zarr"), session(64, 2));
    let x = sample(700, 30);
    session.store_zarr(&x, &path).unwrap();
    assert_eq!(ArrayFormat::of(&path), ArrayFormat::Zarr);
    assert_eq!(inspect_array(&path).unwrap().1, [700, 30]);
    let region = [100..110, 0..30];
    session
        .store(
            &Array::<f64>::zeros(&[10, 30]),
            &StoreTo::ZarrRegion(&path, &region),
        )
        .unwrap();
    let back = Array::<f64>::open_zarr(&path);
    let gone = x.slice(s![100..110, ..]).sum(..);
    let (left, gone, whole) = session.compute((&back.sum(..), &gone, &x.sum(..))).unwrap();
    assert!((left[[]] + gone[[]] - whole[[]]).abs() < 1e-6 * whole[[]]);
    // explained, not stored
    let (other, options) = (dir.path().join("y.zarr"), ZarrOptions::default());
    let explanation = session
        .explain_store(&x, &StoreTo::Zarr(&other, &options))
        .unwrap();
    assert!(explanation.refusal().is_none());
    let raw = StoreTo::Raw(&other, OutputOptions::default());
    session.explain_store(&x, &raw).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(back.shape(), Array::<f64>::open_zarr(&path).t().t().shape());
    assert_eq!(back.slice(s![0, 0]).compute().unwrap()[[]], 0.0);
}

#[test]
fn a_bag_of_an_array_has_the_same_bits_for_every_budget() {
    let x = Array::<f64>::random_uniform(&[3000, 100], -1.0, 1.0, 5);
    let sum = |mib, threads| {
        let session = session(mib, threads);
        let elements = session.array_to_bag(&x).unwrap();
        let rows = session.array_rows_to_bag(&x).unwrap();
        let rows = session.compute(&rows.map(|row| row[0]).var()).unwrap();
        (
            session.compute(&elements.sum::<f64>()).unwrap().to_bits(),
            rows.map(f64::to_bits),
        )
    };
    let expected = sum(64, 1);
    for (mib, threads) in [(5, 1), (8, 2), (200, 2)] {
        assert_eq!(sum(mib, threads), expected, "{mib} MiB, {threads} threads");
    }
}
