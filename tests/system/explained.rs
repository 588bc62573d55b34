//! The smallest budget that an explanation names is one that works, and none that is smaller does.

use flagstone::{Array, Bag, Compute, Seams, Session};

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
        &x.map_blocks(&[300, 700], |_, block| block.to_owned()).sum(),
    );
    assert!(smallest < 16 * MIB, "{smallest}");
    named("sorted", &x.sort(0).sum_axis(0));
    named("product", &x.t().dot(&x).sum());
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
    session.compute(&kept.sum()).unwrap();
}
