//! Every operation under the reference executor, under a tiny budget with blocks that go through
//! their codec, and on several threads: with equal bits. One that is not in the table fails the test
//! that reads the sources.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::{at, table};
use flagstone_array::{Array, Element};

/// Blocks of a layer rather than memory.
fn floats(shape: &[usize]) -> Array<f64> {
    Array::from_fn(shape, table::number)
        .expand_dims(0)
        .sum_axis(0)
}

struct Compared;

impl table::Visit for Compared {
    fn see<T: Element>(&mut self, name: &'static str, array: Array<T>) {
        if let Err(error) = array.check() {
            panic!("{name}: {error}");
        }
        let values = at(array);
        assert!(!values.is_empty(), "{name} has nothing to compare");
    }
}

#[test]
fn functions_of_elements() {
    table::functions_of_elements(&floats, [37, 29], &mut Compared);
}

#[test]
fn reductions_and_orders() {
    table::reductions_and_orders(&floats, [70, 31], &mut Compared);
}

#[test]
fn shapes_and_indices() {
    table::shapes_and_indices(&floats, [12, 5, 9], 11, &mut Compared);
}

#[test]
fn products_functions_and_random_numbers() {
    table::products_and_functions(&floats, [40, 23, 17], [4, 5, 6], &mut Compared);
    table::made(300, &mut Compared);
}

/// Operations whose results are files, blocks of graphs, or questions about an array: tested where
/// those are.
const ELSEWHERE: &[&str] = &[
    "open_npy",
    "open_npy_mapped",
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
    let table = include_str!("common/table.rs");
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
