//! Sources beside text and JSON: whole files, closures, lazy values.

mod common;

use common::{counted, everywhere, gzip, small, write};
use flagstone_bag::{Bag, ErrorKind};
use flagstone_common::Counter;
use flagstone_graph::{SerialExecutor, delayed, lazy};

#[test]
fn whole_files_are_items() {
    let dir = tempfile::tempdir().unwrap();
    let images: Vec<Vec<u8>> = (0..12u8).map(|i| vec![i; 1000 * usize::from(i)]).collect();
    for (i, image) in images.iter().enumerate() {
        write(dir.path(), &format!("image-{i}.raw"), image);
    }
    // compressed bytes stay as they are
    let packed = gzip("text");
    write(dir.path(), "image-20.raw.gz", &packed);
    let bag = Bag::read_binary(dir.path().join("image-*"));
    let all = bag.compute_with(&small(32 << 20, 2)).unwrap();
    assert_eq!(all[..12], images);
    assert_eq!(all[12], packed);
    let (total, host) = counted(&bag.map(|bytes| bytes.len() as u64).sum());
    let bytes = 66_000 + packed.len() as u64;
    assert_eq!(total.unwrap(), bytes);
    assert_eq!(host.counted(Counter::BytesRead), bytes);
    assert_eq!(host.counted(Counter::RowsIn), 13);
    let names = bag.with_path().map(|(path, bytes)| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, bytes.len())
    });
    let names = names.compute_with(&SerialExecutor).unwrap();
    assert_eq!(names[10], ("image-10.raw".to_owned(), 10_000));
}

#[test]
fn a_file_that_does_not_fit_or_is_gone_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "big.raw", vec![1; 20 << 20]);
    let bag = Bag::read_binary(dir.path().join("*.raw"));
    let error = bag.count().compute_with(&small(12 << 20, 1)).unwrap_err();
    assert!(error.to_string().contains("MiB"), "{error}");
    let missing = Bag::read_binary(dir.path().join("*.png"))
        .check()
        .unwrap_err();
    assert!(missing.to_string().contains("*.png"), "{missing}");
}

#[test]
fn lines_and_records_know_their_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.txt", "1\n2\n");
    write(dir.path(), "b.txt.gz", gzip("3\n"));
    let lines = Bag::read_text(dir.path().join("*")).filter(|line| *line != "1");
    let named = lines
        .with_path()
        .map(|(path, line)| format!("{} {line}", path.file_name().unwrap().to_string_lossy()));
    assert_eq!(everywhere(&named.take(9)), ["a.txt 2", "b.txt.gz 3"]);
    let numbers = Bag::read_json::<u64>(dir.path().join("*")).with_path();
    let counts = numbers.count_by(|(path, _)| path.to_string_lossy().len());
    assert_eq!(counts.count().compute_with(&SerialExecutor).unwrap(), 2);
    let none = Bag::range(0..1, 1)
        .with_path()
        .map(|(path, _)| path.as_os_str().len());
    assert_eq!(none.compute_with(&SerialExecutor).unwrap(), [0]);
}

#[test]
fn closures_make_items_while_they_stream_by() {
    // endless, and read as far as wanted
    let bag = Bag::from_iter(|| (0u64..).map(|n| n * n));
    assert_eq!(everywhere(&bag.take(4)), [0, 1, 4, 9]);
    let parts = Bag::from_fn(3, |part| (0..part).map(move |n| (part, n)));
    let all = parts.compute_with(&small(32 << 20, 2)).unwrap();
    assert_eq!(all, [(1, 0), (2, 0), (2, 1)]);
    assert_eq!(everywhere(&parts.repartition(2).count()), 3);
    assert!(Bag::from_fn(0, |_| [0u8]).check().is_err());
}

#[test]
fn lazy_values_are_partitions() {
    let parts = (0..4u64).map(|part| {
        let upto = lazy(part * 2);
        delayed(|n: &u64| (0..*n).collect::<Vec<u64>>()).call((&upto,))
    });
    let bag = Bag::from_delayed(parts);
    assert_eq!(bag.partition_count().unwrap(), 4);
    let expected: Vec<u64> = (0..4).flat_map(|part| 0..part * 2).collect();
    assert_eq!(bag.compute_with(&small(32 << 20, 2)).unwrap(), expected);
    assert_eq!(everywhere(&bag.take(3)), [0, 1, 0]);
    assert_eq!(everywhere(&bag.concat(&bag.map(|n| n + 100)).count()), 24);
    let failing = delayed(|n: &u64| -> Vec<u64> { panic!("no {n}") }).call((&lazy(7),));
    let count = Bag::from_delayed([failing]).count();
    let error = count.compute_with(&small(32 << 20, 2));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Panicked);
    assert!(Bag::from_delayed::<u8>([]).check().is_err());
}
