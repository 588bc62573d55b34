//! Lines by regular expression: named groups become the fields of records.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use flagstone_common::Error;
use serde::de::DeserializeOwned;

use crate::bag::{Bag, Mistake};
use crate::chain::{Adapted, Adaptor, Consumer, Flow, Site, Stage, Stop};
use crate::pattern::{Matcher, Pattern, Refused, record};
use crate::quarantine::{BadRecords, HINT, Kept, Policy};
use crate::record::RecordKeys;

/// The stage of [`Bag::captures`].
pub type Captures<S, T> = Adapted<S, Matching<T>>;

/// The stage of [`Bag::matched`].
pub type Matched<S> = Adapted<S, Finding>;

/// A line that matches a pattern; its parts are found, and nothing is copied.
#[derive(Clone, Copy)]
pub struct Match<'a> {
    line: &'a str,
    pattern: &'a Pattern,
    matcher: &'a Matcher,
}

impl<'a> Match<'a> {
    /// The whole line.
    pub fn line(&self) -> &'a str {
        self.line
    }

    /// What a group matched, by its place in [`Pattern::names`]; `None` when it takes no part.
    pub fn group(&self, group: usize) -> Option<&'a str> {
        self.pattern.group(group, self.line, self.matcher)
    }
}

impl<S> Bag<S>
where
    S: for<'a> Stage<Item<'a> = &'a str>,
{
    /// Every line as a record whose fields are the named groups of a regular expression; the fields
    /// are parsed as their types say, and an `Option` is `None` where its group takes no part in
    /// the match. A line that does not match is an error; see [`Bag::captures_with`].
    ///
    /// Groups that the record type does not have are neither looked for nor allocated. A tuple
    /// takes the groups in their order.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// #[derive(serde::Deserialize)]
    /// struct Hit { client: String, bytes: u64 }
    ///
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.log"), "10.0.0.1 GET /x 70\n10.0.0.2 GET /y 5\n")?;
    /// let lines = Bag::read_text(dir.path().join("*.log"));
    /// let hits = lines.captures::<Hit>(r"^(?<client>\S+) (?<method>\S+) (?<url>\S+) (?<bytes>\d+)$");
    /// assert_eq!(hits.map(|hit| hit.bytes).sum().compute_with(&SerialExecutor)?, 75);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn captures<T>(&self, pattern: &str) -> Bag<Captures<S, T>>
    where
        T: DeserializeOwned + 'static,
    {
        self.captures_with(pattern, BadRecords::Fail)
    }

    /// The lines that match a pattern as records, as [`Bag::captures`] makes them; lines that do not match, or whose groups do not fit the record type,
    /// are treated as asked.
    #[track_caller]
    pub fn captures_with<T>(&self, pattern: &str, policy: BadRecords) -> Bag<Captures<S, T>>
    where
        T: DeserializeOwned + 'static,
    {
        let compiled = Pattern::new(pattern).and_then(|pattern| match RecordKeys::of::<T>() {
            RecordKeys::Fields(fields) => pattern.narrowed(|name| fields.contains(&name)),
            RecordKeys::Own | RecordKeys::None => Ok(pattern),
        });
        let (pattern, mistake) = match compiled {
            Ok(pattern) => (Some(pattern), None),
            Err(message) => (None, Some(Mistake::at(Location::caller(), message))),
        };
        let (policy, record) = (policy.into(), PhantomData);
        let matching = Matching {
            pattern,
            policy,
            record,
        };
        self.adapt("captures", matching).mistaken(mistake)
    }

    /// The lines that match a pattern, with the places of their groups; other lines are treated as
    /// asked. This is how lines become columns: no record is made in between.
    #[track_caller]
    pub fn matched(&self, pattern: Pattern, policy: BadRecords) -> Bag<Matched<S>> {
        let policy = policy.into();
        self.adapt("matched", Finding { pattern, policy })
    }
}

impl<S> Bag<Matched<S>>
where
    S: for<'a> Stage<Item<'a> = &'a str>,
{
    /// The same lines by another pattern that matches those that this one does: fewer groups of it,
    /// say. What does not match goes to the quarantine that the bag has already.
    #[must_use]
    pub fn with_pattern(&self, pattern: Pattern) -> Bag<Matched<S>> {
        let Adapted {
            source,
            adaptor,
            step,
        } = &**self.stage();
        let policy = adaptor.policy.clone();
        self.with_stage(Adapted {
            source: Arc::clone(source),
            adaptor: Finding { pattern, policy },
            step: *step,
        })
    }
}

/// See [`Bag::matched`].
pub struct Finding {
    pattern: Pattern,
    policy: Policy,
}

impl<S> Adaptor<S> for Finding
where
    S: for<'a> Stage<Item<'a> = &'a str>,
{
    type Output<'a> = Match<'a>;
    type State = Option<Matcher>;

    fn quarantine(&self) -> Option<&Arc<Kept>> {
        self.policy.quarantine()
    }

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        matcher: &mut Option<Matcher>,
        line: &str,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow {
        let pattern = &self.pattern;
        let matcher = matcher.get_or_insert_with(|| pattern.matcher());
        if !pattern.read(line, matcher) {
            return refuse(line, &Refused::no_match(), &self.policy, at);
        }
        next.push(Match {
            line,
            pattern,
            matcher,
        })
    }
}

/// Treats a line as the policy says.
#[cold]
fn refuse(line: &str, refused: &Refused, policy: &Policy, at: Site<'_>) -> Flow {
    if policy.fails() {
        let message = at.run.says(&refused.to_string()) + HINT;
        let error = Error::failed(message).with_location(at.step.location);
        return Err(Stop::Failed(error));
    }
    let error = refused.to_string();
    Ok(at.run.leave_out(policy, &error, Some(line.as_bytes()))?)
}

/// See [`Bag::captures`].
pub struct Matching<T> {
    /// `None` when the bag has a mistake and is never run.
    pattern: Option<Pattern>,
    policy: Policy,
    record: PhantomData<fn() -> T>,
}

impl<S, T> Adaptor<S> for Matching<T>
where
    S: for<'a> Stage<Item<'a> = &'a str>,
    T: DeserializeOwned + 'static,
{
    type Output<'a> = T;
    type State = Option<Matcher>;

    fn quarantine(&self) -> Option<&Arc<Kept>> {
        self.policy.quarantine()
    }

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        matcher: &mut Option<Matcher>,
        line: &str,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow {
        let missing = || Error::invalid("a bag without a pattern was run");
        let pattern = self.pattern.as_ref().ok_or_else(missing)?;
        let matcher = matcher.get_or_insert_with(|| pattern.matcher());
        match record(pattern, line, matcher) {
            Ok(record) => next.push(record),
            Err(refused) => refuse(line, &refused, &self.policy, at),
        }
    }
}
