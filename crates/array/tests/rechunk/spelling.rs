//! Every way to say chunks.

use flagstone_array::{Array, Chunks, ZarrOptions, index};
use flagstone_graph::{Execute, SerialExecutor};
use ndarray::ArrayD;

use super::numbers;
use crate::common::{Harness, quick_directory};

#[test]
fn chunks_show_where_they_are_asked_for() {
    let x = Array::from_ndarray(numbers(&[10, 6]));
    let sums = x.rechunk([4, -1]).map_chunks(|place, chunk| {
        assert_eq!(place.start, [4 * place.coords[0], 0]);
        chunk.mapv(|_| chunk.sum())
    });
    let sums = sums.compute_with(&Harness::new(1 << 10, 2)).unwrap();
    assert_eq!(sums[[0, 0]], (1..=24).sum::<i32>() as f64);
    assert_eq!(sums[[9, 5]], (49..=60).sum::<i32>() as f64);
    // a later rechunk wins, and one that the plan chooses shows in the plan only
    assert_eq!(
        x.rechunk(3).rechunk(5).chunks().unwrap().chunk_shape(),
        [5, 5]
    );
    let auto = x.rechunk(Chunks::auto());
    assert!(auto.chunks().is_none());
    let grid = auto
        .build(Harness::new(4 << 10, 1).resources())
        .unwrap()
        .grid;
    assert!(grid.len() > 1 && grid.chunk_shape().iter().product::<usize>() * 8 <= 256);
    assert!(
        auto.map_chunks(|_, chunk| chunk.to_owned())
            .check()
            .is_err()
    );
    for (chunks, says) in [
        (Chunks::from(0), "Each(0)"),
        (Chunks::from([3, 3, 3]), "[3, 3, 3]"),
        (Chunks::lists([vec![4, 4], vec![6]]), "axis 0"),
        (Chunks::along([(2, 3)]), "(2, 3)"),
    ] {
        let error = x.rechunk(chunks).check().unwrap_err().to_string();
        assert!(
            error.contains(says) && error.contains("spelling.rs"),
            "{error}"
        );
    }
    let lists = x.rechunk(Chunks::lists([vec![1, 7, 2], vec![5, 1]]));
    let built = lists.build(Harness::new(1 << 10, 1).resources()).unwrap();
    assert_eq!(
        (built.grid.len(), built.grid.chunk_lengths(0)),
        (6, vec![1, 7, 2])
    );
    assert_eq!(
        lists.compute_with(&Harness::new(1 << 10, 1)).unwrap(),
        numbers(&[10, 6])
    );
    let firsts = lists.map_chunks(|place, chunk| {
        assert_eq!(chunk.shape()[0], place.stop[0] - place.start[0]);
        chunk.mapv(|_| chunk[[0, 0]])
    });
    let firsts = firsts.compute_with(&Harness::new(1 << 10, 1)).unwrap();
    assert_eq!((firsts[[7, 4]], firsts[[9, 5]]), (7.0, 54.0));
    // the lengths of these depend on the data
    let some = x.index(index![
        x.slice(ndarray::s![.., 0]).less(&Array::scalar(30.0))
    ]);
    let sums = some
        .rechunk([2, -1])
        .map_chunks(|_, chunk| chunk.mapv(|_| chunk.sum()));
    let sums = sums.compute_with(&Harness::new(1 << 10, 1)).unwrap();
    assert_eq!(
        (sums.shape(), sums[[4, 0]]),
        (&[5, 6][..], (25..=30).sum::<i32>() as f64)
    );
    assert_eq!(
        x.rechunk(Chunks::along([(-1, 2)]))
            .chunks()
            .unwrap()
            .chunk_shape(),
        [10, 2]
    );
}

/// Rows to columns of four times the budget: each element is spilled at most once.
/// As dask has them after a filter: they hold nothing, and the others are what they were.
#[test]
fn empty_chunks_are_left_out() {
    let x = Array::from_ndarray(numbers(&[10, 6]));
    let cut = x.rechunk(Chunks::lists([vec![0, 4, 0, 6], vec![5, 0, 1, 0]]));
    let grid = cut.chunks().unwrap();
    assert_eq!(
        (grid.chunk_lengths(0), grid.chunk_lengths(1)),
        (vec![4, 6], vec![5, 1])
    );
    let sizes = cut.map_chunks(|_, chunk| chunk.mapv(|_| chunk.len() as i64));
    let sizes = sizes.compute_with(&Harness::new(1 << 10, 1)).unwrap();
    assert_eq!((sizes[[0, 0]], sizes[[9, 5]]), (20, 6));
    let made = Array::from_blocks(&[5], Chunks::lists([vec![0, 2, 0, 3]]), |place, ranges| {
        ArrayD::from_elem(vec![ranges[0].len()], place.coords[0] as f64)
    });
    let made = made.compute_with(&SerialExecutor).unwrap();
    assert_eq!(made.as_slice(), Some(&[0.0, 0.0, 1.0, 1.0, 1.0][..]));
    let directory = quick_directory();
    let path = directory.path().join("x.zarr");
    let options = ZarrOptions {
        chunk_lengths: Some(vec![vec![3, 0, 7], vec![0, 6]]),
        ..ZarrOptions::default()
    };
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    let stored = Array::<f64>::open_zarr(&path);
    assert_eq!(
        stored.compute_with(&SerialExecutor).unwrap(),
        numbers(&[10, 6])
    );
    // a sum that is another is still refused
    let wrong = x.rechunk(Chunks::lists([vec![0, 4, 0], vec![6]]));
    assert!(wrong.check().unwrap_err().to_string().contains("axis 0"));
}

/// The lengths of an array are those of a chunk, also where one of them is nought.
#[test]
fn an_axis_without_elements_has_chunks_of_any_length() {
    let x = Array::<f64>::zeros(&[0, 6]);
    let chunked = [
        x.rechunk(x.shape()),
        x.rechunk(Chunks::along([(0, 0), (1, 2)])),
        x.rechunk(Chunks::lists([vec![0, 0], vec![2, 4]])),
        x.rechunk(Chunks::lists([vec![], vec![6]])),
        x.map_blocks(&[0, 3], |_, block| block.to_owned()),
        x.map_overlap(
            &[0, 3],
            &[0, 1],
            flagstone_array::Boundary::None,
            |_, block| block.to_owned(),
        ),
    ];
    let directory = quick_directory();
    for (i, array) in chunked.iter().enumerate() {
        let values = array.compute_with(&Harness::new(1 << 10, 1)).unwrap();
        assert_eq!(values.shape(), [0, 6], "{i}");
        let options = ZarrOptions {
            chunks: Some(vec![0, 3]),
            shards: Some(vec![0, 6]),
            ..ZarrOptions::default()
        };
        let path = directory.path().join(format!("{i}.zarr"));
        array
            .store_zarr_with(&SerialExecutor, &path, &options)
            .unwrap();
        let back = Array::<f64>::open_zarr(&path)
            .compute_with(&SerialExecutor)
            .unwrap();
        assert_eq!(back.shape(), [0, 6], "{i}");
    }
    // along an axis that has some, a chunk of none cuts nothing
    for wrong in [
        x.rechunk([0, 0]),
        x.map_blocks(&[1, 0], |_, block| block.to_owned()),
        x.map_overlap(
            &[1, 0],
            &[0, 0],
            flagstone_array::Boundary::None,
            |_, block| block.to_owned(),
        ),
    ] {
        assert!(wrong.check().is_err());
    }
}

#[test]
fn bytes_keep_the_last_axes_whole_where_they_fit() {
    let cut = |shape: &[usize], bytes: u64| {
        let chunks = Array::<f32>::zeros(shape).rechunk(Chunks::bytes(bytes));
        chunks.chunks().unwrap().chunk_shape().to_vec()
    };
    // images, parts of images, rows, parts of rows
    let images = [500, 32, 48, 3];
    assert_eq!(cut(&images, 100_000), [5, 32, 48, 3]);
    assert_eq!(cut(&images, 18_432), [1, 32, 48, 3]);
    assert_eq!(cut(&images, 18_431), [1, 31, 48, 3]);
    assert_eq!(cut(&images, 575), [1, 1, 47, 3]);
    assert_eq!(cut(&images, 7), [1, 1, 1, 1]);
    assert_eq!(cut(&[1000, 70], 4 << 10), [14, 70]);
    assert_eq!(cut(&[1_000_000], 4000), [1000]);
    assert_eq!(cut(&[10, 0, 4], 64), [4, 1, 4]);
    assert_eq!(cut(&[], 64), [0; 0]);
    let cubes = Array::<f32>::zeros(&images).rechunk(Chunks::cubes(100_000));
    assert_eq!(cubes.chunks().unwrap().chunk_shape(), [20, 20, 20, 3]);
}
