//! Every operation under the reference executor, under a tiny budget with blocks that go through
//! their codec, and on several threads: with equal bits. One that is not in the table fails the test
//! that reads the sources.

#[allow(unreachable_pub, dead_code, reason = "shared by several test programs")]
mod common;

use common::{at, table};
use flagstone_array::{Array, Element};
use flagstone_graph::SerialExecutor;

/// Blocks of a layer rather than memory.
fn floats(shape: &[usize]) -> Array<f64> {
    Array::from_fn(shape, table::number).expand_dims(0).sum(0)
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

/// Operands without a shape, one way or the other.
fn all_of_them(make: table::Make<'_>, visit: &mut impl table::Visit) {
    table::functions_of_elements(make, [7, 5], visit);
    table::reductions_and_orders(make, [7, 5], visit);
    table::shapes_and_indices(make, [4, 5, 6], 5, visit);
    table::products_and_functions(make, [8, 6, 3], [4, 5, 6], visit);
}

/// What panics when it is asked for a shape, with this in the message.
fn panics<T: Element>(array: &Array<T>, part: &str) {
    let questions: [(&str, &dyn Fn()); 6] = [
        ("shape", &|| drop(array.shape().to_vec())),
        ("ndim", &|| _ = array.ndim()),
        ("len", &|| _ = array.len()),
        ("is_empty", &|| _ = array.is_empty()),
        ("nbytes", &|| _ = array.nbytes()),
        ("chunks", &|| _ = array.chunks()),
    ];
    for (name, question) in questions {
        let question = std::panic::AssertUnwindSafe(question);
        let payload = std::panic::catch_unwind(question).expect_err(name);
        let message = payload
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_default();
        assert!(message.contains(part), "{name}: {message:?}");
    }
}

struct Mistaken;

impl table::Visit for Mistaken {
    fn see<T: Element>(&mut self, name: &'static str, array: Array<T>) {
        let error = array.check().expect_err(name).to_string();
        assert!(error.contains("[3] and [4]"), "{name}: {error}");
        assert!(error.contains("everywhere.rs"), "{name}: {error}");
    }
}

#[test]
fn a_mistake_goes_through_every_operation_and_is_told_by_what_asks_for_a_shape() {
    let wrong = Array::<f64>::zeros(&[3]) + Array::<f64>::zeros(&[4]);
    all_of_them(&|_| wrong.clone(), &mut Mistaken);
    panics(&wrong, "[3] and [4]: lengths must be equal or 1 (made at ");
    assert!(format!("{wrong:?}").contains("[3] and [4]"));
}

struct Waiting;

impl table::Visit for Waiting {
    fn see<T: Element>(&mut self, name: &'static str, array: Array<T>) {
        match array.compute_chunk_sizes(&SerialExecutor) {
            Ok(counted) => {
                assert!(
                    !array.has_shape(),
                    "{name} had a shape before it was counted"
                );
                assert!(counted.has_shape(), "{name} has none");
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("depends on the data"), "{name}: {error}");
            }
        }
    }
}

/// Lengths that are not counted yet are not one, and not nought.
#[test]
fn operations_on_arrays_without_shape_wait_or_say_so() {
    let later = |shape: &[usize]| {
        let all = Array::full(&shape[..1], true);
        floats(shape).compress_where(&all, 0)
    };
    all_of_them(&later, &mut Waiting);
    panics(&later(&[3, 4]), "call `compute_chunk_sizes` first");
}

/// Operations whose results are blocks of graphs, or questions about an array: tested where those
/// are.
const ELSEWHERE: &[&str] = &[
    "from_layer",
    "from_partitions",
    "push_rows",
    "chunk_values",
    "chunks",
    "notes_with",
    "from_fn",
    "new",
    "combine",
    "becomes",
    "keep",
    "reversed",
];

#[test]
fn no_operation_is_missing_here() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src/families");
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
