//! The smallest budget that an explanation names is one that works, and none that is smaller does.

use flagstone::{Array, Bag, BagExt, Compute, Session};

use crate::common::MIB;

fn session(bytes: u64) -> Session {
    let session = Session::builder().memory_bytes(bytes).threads(2);
    session.build().unwrap()
}

/// Named with room to spare and without; computed at exactly that.
fn named<C: Compute>(name: &str, collection: &C) -> u64 {
    let explained = |bytes: u64| {
        let explanation = session(bytes).explain(collection).unwrap();
        let smallest = explanation.smallest_budget_bytes();
        assert_eq!(explanation.refusal().is_some(), smallest > bytes, "{name}");
        smallest
    };
    let (roomy, refused) = (explained(200 * MIB), explained(2 * MIB));
    for bytes in [roomy, refused] {
        assert_eq!(bytes % MIB, 0, "{name}: {bytes}");
        if let Err(error) = session(bytes).compute(collection) {
            panic!("{name} at {bytes}: {error}");
        }
    }
    assert_eq!(roomy, refused, "{name}");
    roomy
}

#[test]
fn the_smallest_budget_of_an_explanation_works() {
    let x = Array::<f64>::random_normal(&[900, 700], 0.0, 1.0, 7);
    let smallest = named(
        "sum",
        &x.map_blocks(&[300, 700], |_, block| block.to_owned())
            .sum(..),
    );
    assert!(smallest < 16 * MIB, "{smallest}");
    named("sorted", &x.sort(0).sum(0));
    named("product", &x.t().dot(&x).sum(..));
    // several together, of which one is in the result
    let both = (&x.mean(0), &x.t().dot(&x));
    let smallest = named("both", &both);
    let short = session(smallest - MIB);
    let error = short.compute(&both).unwrap_err();
    assert_eq!(error.smallest_budget(), Some(smallest), "{error}");
    let bag = Bag::range(0..200_000, 4).map(|n| (n * 7) as i64);
    named("bag", &bag);
    named("frame", &bag.to_dataframe());
}

#[test]
fn keeping_an_array_names_a_budget_that_works() {
    let x = Array::<f64>::random_normal(&[900, 700], 0.0, 1.0, 7);
    let product = x.t().dot(&x);
    let Err(error) = session(2 * MIB).persist(&product) else {
        panic!("a product in 2 MiB");
    };
    let smallest = error.smallest_budget().unwrap();
    let session = session(smallest);
    let kept = session.persist(&product).unwrap();
    session.compute(&kept.sum(..)).unwrap();
}

/// How many distinct values there are is found by a first pass: a refusal of that one speaks for what
/// follows, too.
#[test]
fn the_budget_that_a_first_pass_names_holds_what_follows_it() {
    let x = Array::<f64>::random_uniform(&[600_000], 0.0, 1.0, 7);
    let run = |array: &Array<f64>, bytes| session(bytes).compute(array);
    for (name, array) in [
        ("values", x.unique()),
        ("places", x.unique_inverse().1.astype()),
    ] {
        let error = run(&array, MIB).unwrap_err();
        let smallest = error.smallest_budget().unwrap();
        if let Err(error) = run(&array, smallest) {
            panic!("{name} at {smallest}: {error}");
        }
        // what depends on the data may need less
        let message = error.to_string();
        assert!(
            message.contains("is enough where it is short; the smallest"),
            "{name}: {message}"
        );
    }
    let few = (x * 5.0).floor().unique();
    let error = run(&few, MIB).unwrap_err().to_string();
    let (_, short) = error.split_once("depends on the data: ").unwrap();
    let short = flagstone::parse_bytes(short.split(" is enough").next().unwrap()).unwrap();
    assert_eq!(run(&few, short).unwrap().len(), 5);
}
