//! Parts of a source that was read again, cut elsewhere.

use std::collections::BTreeSet;

use flagstone_common::Quality;

fn part(number: u64, void: &[(u64, u64)]) -> Quality {
    let read = Quality {
        lines: 5,
        blank: 1,
        records: 4,
        looked_into: 2,
        void: BTreeSet::from_iter(void.iter().copied()),
        ..Quality::default()
    };
    read.of_part(number)
}

#[test]
fn what_was_told_of_void_parts_does_not_count_in_any_order() {
    let void = [(10, 3010)];
    let before: Vec<Quality> = (10..3010).map(|number| part(number, &[])).collect();
    let again = [part(5000, &void), part(5001, &void)];
    let mut in_order = Quality::default();
    before.iter().chain(&again).for_each(|q| in_order.add(q));
    let mut reversed = Quality::default();
    let all = before.iter().chain(&again).rev();
    all.for_each(|q| reversed.add(q));
    let (mut early, mut apart) = (Quality::default(), Quality::default());
    before.iter().for_each(|q| early.add(q));
    again.iter().for_each(|q| apart.add(q));
    apart.add(&early);
    for sum in [in_order, reversed, apart] {
        assert_eq!((sum.lines, sum.records, sum.blank), (10, 8, 2));
        assert!(sum.balances());
        assert_eq!((sum.parts.len(), sum.void.len()), (2, 1));
    }
}

#[test]
fn parts_that_do_not_hold_are_bounded() {
    let mut sum = Quality::default();
    for reading in 0..300 {
        // each is cut elsewhere and read again
        let first = 1000 * reading;
        (0..3).for_each(|i| sum.add(&part(first + i, &[])));
        sum.add(&part(first + 999, &[(first, first + 999)]));
    }
    assert_eq!((sum.lines, sum.parts.len()), (1500, 300));
    assert_eq!(sum.void.len(), 256);
}
