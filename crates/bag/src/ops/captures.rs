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
    ///
    /// ```
    /// # use flagstone_bag::{BadRecords, Bag, Pattern};
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.log"), "GET /x 70\nnonsense\nPUT /y 5\n")?;
    /// let lines = Bag::read_text(dir.path().join("a.log"));
    /// let requests = lines.matched(Pattern::new(r"^(?<method>[A-Z]+) ")?, BadRecords::Skip);
    /// let lengths = requests.map(|found| found.line().len());
    /// assert_eq!(lengths.compute_with(&SerialExecutor)?, [9, 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn line(&self) -> &'a str {
        self.line
    }

    /// What a group matched, by its place in [`Pattern::names`]; `None` when it takes no part.
    ///
    /// ```
    /// # use flagstone_bag::{BadRecords, Bag, Pattern};
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.log"), "GET /x 70\nnonsense\nPUT /y 5\n")?;
    /// let lines = Bag::read_text(dir.path().join("a.log"));
    /// let pattern = Pattern::new(r"^(?<method>[A-Z]+) (?<url>\S+)")?;
    /// let urls = lines.matched(pattern, BadRecords::Skip).map(|found| found.group(1).map(str::len));
    /// assert_eq!(urls.compute_with(&SerialExecutor)?, [Some(2), Some(2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// The lines that match a pattern as records whose fields are its groups (see
    /// [`Bag::captures`]); lines that do not match, or whose groups do not fit the record type, are
    /// treated as asked.
    ///
    /// ```
    /// # use flagstone_bag::{BadRecords, Bag};
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.log"), "GET /x 70\nnonsense\nPUT /y 5\n")?;
    /// let lines = Bag::read_text(dir.path().join("a.log"));
    /// let pattern = r"^(?<method>[A-Z]+) (?<url>\S+) (?<bytes>\d+)$";
    /// let hits = lines.captures_with::<(String, String, u64)>(pattern, BadRecords::Skip);
    /// assert_eq!(hits.map(|(_, _, bytes)| bytes).sum::<u64>().compute_with(&SerialExecutor)?, 75);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # use flagstone_bag::{BadRecords, Bag, Pattern};
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.log"), "GET /x 70\nnonsense\nPUT /y 5\n")?;
    /// let lines = Bag::read_text(dir.path().join("a.log"));
    /// let pattern = Pattern::new(r"^(?<method>[A-Z]+) \S+ (?<bytes>\d+)$")?;
    /// let quarantine = BadRecords::Quarantine(dir.path().join("bad"));
    /// let methods = lines.matched(pattern, quarantine).map(|found| found.group(0) == Some("PUT"));
    /// assert_eq!(methods.compute_with(&SerialExecutor)?, [false, true]);
    /// assert!(dir.path().join("bad").is_dir());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// The lines by another pattern that matches those that this one does: fewer groups of it,
    /// say. What does not match goes to the quarantine that the bag has already.
    ///
    /// ```
    /// # use flagstone_bag::{BadRecords, Bag, Pattern};
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.log"), "GET /x 70\nnonsense\nPUT /y 5\n")?;
    /// let lines = Bag::read_text(dir.path().join("a.log"));
    /// let pattern = Pattern::new(r"^(?<method>[A-Z]+) \S+ (?<bytes>\d+)$")?;
    /// let all = lines.matched(pattern.clone(), BadRecords::Skip);
    /// let bytes = all.with_pattern(pattern.narrowed(|name| name == "bytes")?);
    /// let first = bytes.map(|found| found.group(0).map(str::to_owned));
    /// assert_eq!(first.take(1).compute_with(&SerialExecutor)?, [Some("70".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

/// The adaptor of [`Bag::matched`].
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

/// The adaptor of [`Bag::captures`].
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
