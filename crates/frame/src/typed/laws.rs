//! Tests of what an aggregation has to keep, for those who write one.

use std::fmt::Debug;

use flagstone_common::{Error, Result};

use super::aggregate::Aggregate;
use super::states::{read, write};

/// So many cuts are tried for each length.
const CUTS: u64 = 12;
/// So many rows are shown of each part.
const SHOWN: usize = 8;

/// Tests the laws of an aggregation over some rows, cut at random places (the same ones every time):
///
/// | law | |
/// |---|---|
/// | empty | a state that is merged with one of no rows, before or after it, comes to the same |
/// | merge | the states of two parts, merged, come to what one fold over both comes to |
/// | associativity | it does not matter which of three parts are merged first |
/// | bytes | a state that is written and read back comes to the same, and goes on the same way |
///
/// Few rows are tried first, so that what is told is small. Results are compared by `==`: where merging
/// rounds, see [`check_aggregate_by`].
///
/// ```
/// use flagstone_frame::{Aggregate, check_aggregate};
/// struct Longest;
/// impl Aggregate for Longest {
///     type Row = String;
///     type State = String;
///     type Output = String;
///     fn init(&self) -> String { String::new() }
///     fn update(&self, state: &mut String, row: String) {
///         if row.len() > state.len() { *state = row }
///     }
///     fn merge(&self, state: &mut String, later: String) { self.update(state, later) }
///     fn finish(&self, state: String) -> String { state }
///     fn heap_bytes(&self, state: &String) -> usize { state.capacity() }
///     fn growth_bytes(&self, _: usize, bytes: usize) -> usize { bytes }
/// }
/// let rows = ["a", "bcd", "", "ef", "ghi"].map(String::from);
/// check_aggregate(&Longest, &rows)?;
/// # Ok::<(), flagstone_frame::Error>(())
/// ```
///
/// # Errors
/// The law that does not hold, with the rows of each part and both results.
pub fn check_aggregate<A>(aggregate: &A, rows: &[A::Row]) -> Result<()>
where
    A: Aggregate,
    A::Row: Clone + Debug,
    A::Output: PartialEq + Debug,
{
    check_aggregate_by(aggregate, rows, |one, other| one == other)
}

/// Tests the laws of an aggregation ([`check_aggregate`]) with results that a closure finds the same:
/// floats up to how they are rounded.
///
/// ```
/// use flagstone_frame::{Aggregate, check_aggregate, check_aggregate_by};
/// struct Total;
/// impl Aggregate for Total {
///     type Row = f64;
///     type State = f64;
///     type Output = f64;
///     fn init(&self) -> f64 { 0.0 }
///     fn update(&self, state: &mut f64, row: f64) { *state += row }
///     fn merge(&self, state: &mut f64, later: f64) { *state += later }
///     fn finish(&self, state: f64) -> f64 { state }
/// }
/// let rows = [0.1, 0.2, 0.3, 1e3];
/// check_aggregate_by(&Total, &rows, |x, y| (x - y).abs() < 1e-9)?;
/// let told = check_aggregate(&Total, &rows).unwrap_err().to_string();
/// assert!(told.contains("associativity") || told.contains("merge"), "{told}");
/// # Ok::<(), flagstone_frame::Error>(())
/// ```
///
/// # Errors
/// The law that does not hold, with the rows of each part and both results.
pub fn check_aggregate_by<A>(
    aggregate: &A,
    rows: &[A::Row],
    same: impl Fn(&A::Output, &A::Output) -> bool,
) -> Result<()>
where
    A: Aggregate,
    A::Row: Clone + Debug,
    A::Output: Debug,
{
    let laws = Laws {
        aggregate,
        same: &same,
    };
    let mut seed = 0;
    for len in (0..=rows.len()).take(32).chain([rows.len()]) {
        for _ in 0..CUTS {
            let mut draw = |below: usize| {
                seed += 1;
                (mixed(seed) % (below as u64 + 1)) as usize
            };
            let start = draw(rows.len() - len);
            let rows = &rows[start..start + len];
            let (one, other) = (draw(len), draw(len));
            laws.check(rows, one.min(other), one.max(other))?;
        }
    }
    Ok(())
}

/// SplitMix64's finaliser.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

struct Laws<'a, A: Aggregate> {
    aggregate: &'a A,
    same: &'a dyn Fn(&A::Output, &A::Output) -> bool,
}

impl<A> Laws<'_, A>
where
    A: Aggregate,
    A::Row: Clone + Debug,
    A::Output: Debug,
{
    fn check(&self, rows: &[A::Row], first: usize, second: usize) -> Result<()> {
        let (a, b, c) = (&rows[..first], &rows[first..second], &rows[second..]);
        let fold = |rows: &[A::Row]| self.fold(self.aggregate.init(), rows);
        let whole = fold(rows);
        self.hold(
            "empty",
            &[&[], rows],
            self.merged(fold(&[]), fold(rows)),
            &whole,
        )?;
        self.hold(
            "empty",
            &[rows, &[]],
            self.merged(fold(rows), fold(&[])),
            &whole,
        )?;
        let halves = self.merged(fold(a), fold(&rows[first..]));
        self.hold("merge", &[a, &rows[first..]], halves, &whole)?;
        let left = self.merged(self.merged(fold(a), fold(b)), fold(c));
        let right = self.merged(fold(a), self.merged(fold(b), fold(c)));
        self.hold("associativity", &[a, b, c], left, &right)?;
        let back = self.back(&whole)?;
        self.hold("bytes", &[rows], back, &whole)?;
        let resumed = self.fold(self.back(&fold(a))?, &rows[first..]);
        self.hold("bytes", &[a, &rows[first..]], resumed, &whole)
    }

    fn fold(&self, mut state: A::State, rows: &[A::Row]) -> A::State {
        for row in rows {
            self.aggregate.update(&mut state, row.clone());
        }
        state
    }

    fn merged(&self, mut state: A::State, later: A::State) -> A::State {
        self.aggregate.merge(&mut state, later);
        state
    }

    /// A state that was written and read back.
    fn back(&self, state: &A::State) -> Result<A::State> {
        let mut bytes = Vec::new();
        write(state, &mut bytes).map_err(|error| {
            Error::failed(format!("a state cannot be written as bytes: {error}"))
        })?;
        read(&bytes)
    }

    fn hold(
        &self,
        law: &str,
        parts: &[&[A::Row]],
        found: A::State,
        wanted: &A::State,
    ) -> Result<()> {
        let found = self.aggregate.finish(found);
        let wanted = self.aggregate.finish(wanted.clone());
        if (self.same)(&found, &wanted) {
            return Ok(());
        }
        let parts: Vec<String> = parts.iter().map(|rows| shown(rows)).collect();
        Err(Error::invalid(format!(
            "{} does not keep the law of {law}: the rows {} come to {found:?}, and {wanted:?} was expected",
            std::any::type_name::<A>(),
            parts.join(" and ")
        )))
    }
}

/// Some rows as text.
fn shown<R: Debug>(rows: &[R]) -> String {
    match rows.len() {
        0..=SHOWN => format!("{rows:?}"),
        len => format!("{:?} and {} more", &rows[..SHOWN], len - SHOWN),
    }
}
