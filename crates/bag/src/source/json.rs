//! Records of JSON-lines files: one JSON value a line.
//!
//! Typed records are parsed by serde_json from text that is known to be UTF-8, which measured
//! faster than simd-json for records of a few fields (1.3 against 1.1 GB/s a core) because fields
//! that nobody wants are skipped in place; so is the one field that a `pluck` wants. Dynamic values
//! that are wanted whole go through
//! simd-json, whose SIMD is chosen at run time (290 against 220 MB/s); what it refuses, and the few
//! lines that it would read otherwise, are given to serde_json, whose message names the column.

use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;

use flagstone_common::{Lease, Quality, Result, TaskContext};
use flagstone_graph::{Graph, Inputs, LayerId};
use flagstone_io::IntoPaths;
use serde::de::{DeserializeOwned, DeserializeSeed};

use crate::bag::Bag;
use crate::chain::{
    Branch, Consumer, Cost, Driven, Root, Run, Source, Step, Stop, Want, lower_alone,
};
use crate::quarantine::{BadRecords, HINT, Kept, Policy};
use crate::record::{Field, Json, Keys, Strict, strict};
use crate::source::files::{FilesPlan, TextOptions};
use crate::source::line::LineStart;

/// How JSON lines are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JsonOptions {
    /// What happens to a line that is not a record.
    pub bad_records: BadRecords,
    /// How the files are cut into partitions and lines.
    pub text: TextOptions,
}

/// The records of some files; see [`Bag::read_json`] and [`Bag::read_json_values`].
pub struct ReadJson<T, P> {
    patterns: Vec<PathBuf>,
    text: TextOptions,
    policy: Policy,
    step: Step,
    /// The one field that is wanted of each record.
    field: Option<Field>,
    record: PhantomData<fn() -> (T, P)>,
}

impl Bag<()> {
    /// The records of JSON-lines files, one a line, as values of a type that serde can read. Empty
    /// lines are skipped.
    ///
    /// Compression, order of files and encoding as for [`Bag::read_text`]. Fields that the type
    /// does not have are skipped without being built. To compute several outputs from one pass,
    /// call [`Bag::shared`].
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// #[derive(serde::Deserialize)]
    /// struct Event {
    ///     id: u64,
    /// }
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.json"), "{\"id\":7,\"more\":0}\n{\"id\":8}\n")?;
    /// let events = Bag::read_json::<Event>(dir.path().join("*.json"));
    /// assert_eq!(events.map(|event| event.id).compute_with(&SerialExecutor)?, [7, 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_json<T>(paths: impl IntoPaths) -> Bag<Source<ReadJson<T, Typed>>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        read_with(paths, JsonOptions::default(), "read_json")
    }

    /// The records of JSON-lines files as values of a type that serde can read, as the options say.
    ///
    /// ```
    /// # use flagstone_bag::{BadRecords, Bag, JsonOptions};
    /// # use flagstone_graph::SerialExecutor;
    /// #[derive(serde::Deserialize)]
    /// struct Event {
    ///     id: u64,
    /// }
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.json"), "{\"id\":7}\n{\"id\n{\"id\":8}\n")?;
    /// let options = JsonOptions { bad_records: BadRecords::Skip, ..JsonOptions::default() };
    /// let events = Bag::read_json_with::<Event, _>(dir.path().join("a.json"), options);
    /// assert_eq!(events.map(|event| event.id).compute_with(&SerialExecutor)?, [7, 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_json_with<T, I>(paths: I, options: JsonOptions) -> Bag<Source<ReadJson<T, Typed>>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
        I: IntoPaths,
    {
        read_with(paths, options, "read_json")
    }

    /// The values of JSON-lines files, one a line, whatever they are: see [`Bag::pluck`].
    ///
    /// What such a value would not hold makes its line a bad record, which
    /// [`JsonOptions::bad_records`] is asked about: a key that appears twice in one object, an
    /// integer of more than 64 bits, a number that is too large for a float. (A dataframe refuses
    /// the first too, and keeps such numbers as text, which it reports.) Where a `pluck` follows,
    /// only its field is built, and the rest of a line is checked for its grammar alone.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.json"), "{\"actor\":{\"login\":\"ann\"}}\n")?;
    /// let logins = Bag::read_json_values(dir.path().join("a.json")).pluck("actor.login");
    /// assert_eq!(logins.map(|login| login.to_string()).compute_with(&SerialExecutor)?, ["\"ann\""]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_json_values(paths: impl IntoPaths) -> Bag<Source<ReadJson<Json, Dynamic>>> {
        read_with(paths, JsonOptions::default(), "read_json_values")
    }

    /// The values of JSON-lines files, whatever they are, read as the options say.
    ///
    /// ```
    /// # use flagstone_bag::{BadRecords, Bag, JsonOptions};
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.json"), "{\"id\":7}\n{\"id\n{\"id\":8}\n")?;
    /// let options = JsonOptions { bad_records: BadRecords::Skip, ..JsonOptions::default() };
    /// let values = Bag::read_json_values_with(dir.path().join("a.json"), options);
    /// assert_eq!(values.count().compute_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_json_values_with(
        paths: impl IntoPaths,
        options: JsonOptions,
    ) -> Bag<Source<ReadJson<Json, Dynamic>>> {
        read_with(paths, options, "read_json_values")
    }
}

#[track_caller]
fn read_with<T, P>(
    paths: impl IntoPaths,
    options: JsonOptions,
    name: &'static str,
) -> Bag<Source<ReadJson<T, P>>> {
    let step = Step {
        name,
        location: Location::caller(),
    };
    let patterns = paths.into_paths();
    Bag::new(Source(Arc::new(ReadJson {
        patterns,
        text: options.text,
        policy: options.bad_records.into(),
        step,
        field: None,
        record: PhantomData,
    })))
}

impl ReadJson<Json, Dynamic> {
    /// A source of these files that gives nothing but a field of each record; once only.
    pub(crate) fn reading(&self, field: &Field) -> Option<Self> {
        let whole = self.field.is_none();
        whole.then(|| ReadJson {
            field: Some(field.clone()),
            ..self.whole()
        })
    }

    /// A source of these files that gives whole records.
    pub(crate) fn whole(&self) -> Self {
        let patterns = self.patterns.clone();
        ReadJson {
            patterns,
            text: self.text,
            // one quarantine: what goes into it are the same lines
            policy: self.policy.clone(),
            step: self.step,
            field: None,
            record: PhantomData,
        }
    }
}

/// How one line becomes a record.
pub trait Parse<T>: Default + 'static {
    /// The record, or the one field that is wanted of it, or what is wrong with the line.
    ///
    /// # Errors
    /// When memory for the parser's tables cannot be leased, or a record lacks the field.
    fn parse(
        &mut self,
        line: &str,
        field: Option<&Field>,
        run: &Run<'_>,
    ) -> Result<serde_json::Result<T>>;

    /// Looks at the keys of a line that was parsed, for the data-quality ledger.
    fn look(line: &str, field: Option<&Field>, keys: &mut Keys, ctx: &TaskContext<'_>);
}

/// Parses records of a known type.
#[derive(Debug, Default)]
pub struct Typed;

impl<T: DeserializeOwned> Parse<T> for Typed {
    #[inline]
    fn parse(
        &mut self,
        line: &str,
        _: Option<&Field>,
        _: &Run<'_>,
    ) -> Result<serde_json::Result<T>> {
        Ok(serde_json::from_str(line))
    }

    fn look(line: &str, _: Option<&Field>, keys: &mut Keys, ctx: &TaskContext<'_>) {
        keys.look_typed::<T>(line, ctx);
    }
}

/// Parses values of any shape.
#[derive(Default)]
pub struct Dynamic(Option<Scratch>);

/// simd-json parses in place, over a copy of the line and tables that are kept for the next.
struct Scratch {
    line: Vec<u8>,
    buffers: simd_json::Buffers,
    lease: Lease,
}

/// What the copy and the tables take per byte of a line, at most: the copy, strings and input of
/// one byte each, an index of 4 bytes and half a node of 24.
const TABLE_BYTES: u64 = 20;

/// How deep serde_json goes into a value.
const DEPTH_MAX: usize = 127;

/// Whether simd-json gives what serde_json would: it has no bound on how deep values lie in one
/// another, and a process whose stack is full is killed; and it takes half of an escaped surrogate
/// pair for a zero.
fn is_plain(line: &[u8]) -> bool {
    let nests = memchr::memchr2_iter(b'[', b'{', line).nth(DEPTH_MAX);
    let is_flat = nests.is_none() || depth(line) <= DEPTH_MAX;
    let mut escapes = memchr::memmem::find_iter(line, b"\\u");
    is_flat && !escapes.any(|at| matches!(line.get(at + 2), Some(b'd' | b'D')))
}

/// How deep the brackets of a line lie in one another, those in strings aside.
fn depth(line: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => _ = bytes.next(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

impl Parse<Json> for Dynamic {
    fn parse(
        &mut self,
        line: &str,
        field: Option<&Field>,
        run: &Run<'_>,
    ) -> Result<serde_json::Result<Json>> {
        if let Some(field) = field {
            return match field.read(line) {
                Ok(found) => field.or_default(found, |what| run.says(what)).map(Ok),
                Err(error) => Ok(Err(error)),
            };
        }
        let scratch = match &mut self.0 {
            Some(scratch) => scratch,
            empty => empty.insert(Scratch {
                line: Vec::new(),
                buffers: simd_json::Buffers::default(),
                lease: run.source_ctx().reserve(0)?,
            }),
        };
        if !is_plain(line.as_bytes()) {
            return Ok(strict::from_str(line).map(Json));
        }
        let wanted = line.len() as u64 * TABLE_BYTES + 1024;
        if scratch.lease.ensure(wanted).is_err() {
            // slower, and without an index of the line
            return Ok(strict::from_str(line).map(Json));
        }
        scratch.line.clear();
        scratch.line.extend_from_slice(line.as_bytes());
        let large = Cell::new(false);
        let (text, buffers) = (&mut scratch.line, &mut scratch.buffers);
        let parsed = simd_json::Deserializer::from_slice_with_buffers(text, buffers)
            .and_then(|mut parser| Strict { large: &large }.deserialize(&mut parser));
        Ok(match parsed {
            Ok(value) => strict::exact(line, &large).map(|()| Json(value)),
            // it says what is wrong, and where
            Err(_) => strict::from_str(line).map(Json),
        })
    }

    fn look(line: &str, field: Option<&Field>, keys: &mut Keys, ctx: &TaskContext<'_>) {
        keys.look_dynamic(line, field, ctx);
    }
}

impl<T, P> Root for ReadJson<T, P>
where
    T: Send + Sync + 'static,
    P: Parse<T>,
{
    type Item<'a> = T;
    type Plan = FilesPlan;

    fn plan(&self, want: Want, _: &mut Graph) -> Result<(FilesPlan, Vec<LayerId>)> {
        Ok((FilesPlan::new(&self.patterns, self.text, want)?, Vec::new()))
    }

    fn quarantines(&self, found: &mut Vec<Arc<Kept>>) {
        found.extend(self.policy.quarantine().map(Arc::clone));
    }

    fn partition_count(&self, plan: &FilesPlan) -> u32 {
        plan.count()
    }

    fn cost(&self, plan: &FilesPlan, partition: u32) -> Cost {
        plan.cost(partition)
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &FilesPlan,
        run: &Run<'_>,
        _: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let mut parser = P::default();
        let mut driven = Driven::new(consumer);
        plan.for_each_line(run, |line, place| {
            if line.trim_ascii().is_empty() {
                run.lines.blank();
                return Ok(());
            }
            run.next_item();
            match parser.parse(line, self.field.as_ref(), run)? {
                Ok(record) => {
                    if Quality::looks_into(run.partition(), run.item_count()) {
                        let field = self.field.as_ref();
                        run.lines.look(|keys| P::look(line, field, keys, run.ctx()));
                    }
                    driven.push::<Source<Self>>(record)
                }
                Err(error) if self.policy.fails() => Err(not_a_record::<T>(&error, place, run)),
                Err(error) => {
                    let (what, _) = what_is_wrong::<T>(&error);
                    Ok(run.leave_out(&self.policy, &what, Some(line.as_bytes()))?)
                }
            }
        })?;
        driven.finish::<Source<Self>>()
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.push(self.step);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}

/// What serde_json says, with the place in the file instead of the one in the line.
fn not_a_record<T>(error: &serde_json::Error, place: LineStart<'_>, run: &Run<'_>) -> Stop {
    let (what, column) = what_is_wrong::<T>(error);
    place.error(run, column.saturating_sub(1), what, HINT)
}

/// What serde_json says, and the column.
fn what_is_wrong<T>(error: &serde_json::Error) -> (String, u64) {
    let message = error.to_string();
    // "expected value at line 1 column 5": the line is ours to say
    let (what, column) = match message.rsplit_once(" at line 1 column ") {
        Some((what, column)) => (what.to_owned(), column.parse::<u64>().unwrap_or(1)),
        None => (message, 1),
    };
    let is_dynamic = std::any::type_name::<T>() == std::any::type_name::<Json>();
    let what = match error.classify() {
        serde_json::error::Category::Data if is_dynamic => what,
        serde_json::error::Category::Data => {
            let name = std::any::type_name::<T>();
            format!("the JSON does not fit the record type {name}: {what}")
        }
        _ => format!("the line is not JSON: {what}"),
    };
    (what, column)
}
