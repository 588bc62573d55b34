//! Lines of text as a dataframe: the named groups of a regular expression are its columns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flagstone_bag::{
    BadRecords, Bag, Match, Matched, Partitions, Passed, Pattern, ReadText, Source, TextOptions,
};
use flagstone_common::{Error, Result, TaskContext};
use flagstone_frame::{BATCH_ROWS, DataFrame, Outcome, PartitionSource, Scan};
use flagstone_graph::{Flow, Graph, Inputs, IoBytes, ended};
use flagstone_io::IntoPaths;

/// A batch ends early when its text reaches this many bytes: a constant, because sums are rounded
/// batch by batch.
const BATCH_TEXT_BYTES: u64 = 4 << 20;

/// The lines of text files as a dataframe with a text column per named group of a pattern; null
/// where a group takes no part in the match. Lines that do not match are treated as asked.
///
/// Columns that nothing uses are not looked for: their groups are taken out of the expression.
///
/// ```
/// use flagstone::{BadRecords, Pattern, Session, col, count_all, read_pattern};
///
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("a.log"), "GET /a 200\nPUT /b 404\nGET /c 200\n")?;
/// let pattern = Pattern::new(r"^(?<method>\w+) (?<path>\S+) (?<status>\d+)$")?;
/// let lines = read_pattern([dir.path().join("*.log")], pattern, BadRecords::Fail);
/// let counts = lines.groupby(["status"]).agg([count_all()]);
/// assert_eq!(Session::builder().memory("64 MiB").build()?.compute(&counts)?.num_rows(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn read_pattern(
    inputs: impl IntoPaths,
    pattern: Pattern,
    bad_records: BadRecords,
) -> DataFrame {
    read_pattern_with(inputs, TextOptions::default(), pattern, bad_records)
}

/// The lines of text files as [`read_pattern`] gives them, of text that is read as the options say: in
/// another encoding, say.
///
/// ```
/// use flagstone::{BadRecords, Pattern, Session, TextOptions, read_pattern_with};
///
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("a.log"), b"caf\xe9 200\n")?;
/// let text = TextOptions { encoding: "latin1", ..TextOptions::default() };
/// let pattern = Pattern::new(r"^(?<name>\w+) (?<status>\d+)$")?;
/// let lines = read_pattern_with([dir.path().join("*.log")], text, pattern, BadRecords::Fail);
/// let session = Session::builder().memory("64 MiB").build()?;
/// assert_eq!(session.compute(&lines.filter_sql("name = 'caf\u{e9}'"))?.num_rows(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn read_pattern_with(
    inputs: impl IntoPaths,
    text: TextOptions,
    pattern: Pattern,
    bad_records: BadRecords,
) -> DataFrame {
    let lines = Bag::read_text_with(inputs, text);
    let lines = lines.matched(pattern.clone(), bad_records);
    let fields: Vec<Field> = pattern
        .names()
        .map(|name| Field::new(name, DataType::Utf8, true))
        .collect();
    DataFrame::from_source(Arc::new(FromPattern {
        lines,
        pattern,
        schema: Arc::new(Schema::new(fields)),
        plans: Mutex::default(),
        passed: Mutex::default(),
        planned: OnceLock::new(),
    }))
}

type Lines = Partitions<Matched<Source<ReadText>>>;

struct FromPattern {
    lines: Bag<Matched<Source<ReadText>>>,
    pattern: Pattern,
    schema: SchemaRef,
    /// The lines with the pattern narrowed to some columns, by those columns.
    plans: Mutex<BTreeMap<Vec<usize>, Arc<Lines>>>,
    /// What came of each partition: one that is streamed again is counted once.
    passed: Mutex<BTreeMap<u32, (u64, Passed)>>,
    /// The lines without any group: how many partitions there are.
    planned: OnceLock<std::result::Result<Lines, String>>,
}

impl FromPattern {
    fn planned(&self) -> Result<&Lines> {
        let planned = self
            .planned
            .get_or_init(|| self.narrowed(&[]).map_err(|error| error.to_string()));
        let planned = planned.as_ref();
        planned.map_err(|message| Error::invalid(message.clone()))
    }

    /// The lines, with only these groups looked for.
    fn narrowed(&self, columns: &[usize]) -> Result<Lines> {
        let names: Vec<&str> = self.pattern.names().collect();
        let wanted = |name: &str| columns.iter().any(|&column| names[column] == name);
        let pattern = self.pattern.narrowed(wanted).map_err(Error::invalid)?;
        // one quarantine for all of them
        let lines = self.lines.with_pattern(pattern);
        lines.partition_stream(&mut Graph::new())
    }

    fn plan(&self, columns: &[usize]) -> Result<Arc<Lines>> {
        let mut plans = self.plans.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(plan) = plans.get(columns) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(self.narrowed(columns)?);
        plans.insert(columns.to_vec(), Arc::clone(&plan));
        Ok(plan)
    }
}

impl PartitionSource for FromPattern {
    fn name(&self) -> &str {
        "read-pattern"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn partition_count(&self) -> u32 {
        // lines that cannot be planned have one partition, which says why
        self.planned().map_or(1, |lines| lines.partition_count())
    }

    fn stream(
        &self,
        partition: u32,
        _: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        self.planned()?;
        let lines = self.plan(&scan.columns)?;
        // groups come in the order of the schema, as the wanted columns do
        let mut batch = Batch {
            schema: self.scan_schema(scan),
            columns: scan.columns.iter().map(|_| StringBuilder::new()).collect(),
            rows: 0,
            text_bytes: 0,
        };
        let mut lease = ctx.reserve(0)?;
        let mut total = 0;
        let mut seen = |line: Match<'_>| {
            let bytes = batch.bytes_with(&line);
            lease.ensure(bytes)?;
            batch.push(&line);
            total += 1;
            if batch.is_full() {
                each(batch.take()?)?;
            }
            Ok(())
        };
        let inputs = Inputs::new(&mut []);
        let passed = lines.for_each_borrowed(partition, inputs, ctx, &mut seen)?;
        if batch.rows > 0 {
            ended(each(batch.take()?))?;
        }
        let mut all = self.passed.lock().unwrap_or_else(|e| e.into_inner());
        all.insert(partition, (total, passed));
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, _: &Scan) -> u64 {
        let reading = self.planned().map_or(0, |lines| {
            let footprint = lines.footprint(partition);
            footprint.own_bytes()
        });
        reading + 2 * BATCH_TEXT_BYTES
    }

    fn assumption(&self) -> Option<String> {
        Some(format!(
            "the groups of {BATCH_ROWS} lines fit in {}",
            flagstone_common::format_bytes(2 * BATCH_TEXT_BYTES)
        ))
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        self.planned()
            .map_or(IoBytes::default(), |lines| lines.io_bytes(partition))
    }

    fn outcome(&self) -> Outcome {
        let passed = self.passed.lock().unwrap_or_else(|e| e.into_inner());
        Outcome {
            rows: passed.values().map(|(rows, _)| rows).sum(),
            bad_records: passed.values().map(|(_, passed)| passed.left_out).sum(),
            first_bad: passed
                .values()
                .find_map(|(_, passed)| passed.first_left_out.clone()),
            ..Outcome::default()
        }
    }
}

/// The columns of some lines.
struct Batch {
    schema: SchemaRef,
    columns: Vec<StringBuilder>,
    rows: usize,
    text_bytes: u64,
}

impl Batch {
    /// What the columns hold with this line, buffers that grow by doubling included.
    fn bytes_with(&self, line: &Match<'_>) -> u64 {
        let own = (self.rows as u64 + 1) * self.columns.len() as u64 * 5;
        2 * (self.text_bytes + line.line().len() as u64 + own)
    }

    fn push(&mut self, line: &Match<'_>) {
        for (group, column) in self.columns.iter_mut().enumerate() {
            let text = line.group(group);
            self.text_bytes += text.map_or(0, str::len) as u64;
            column.append_option(text);
        }
        self.rows += 1;
    }

    fn is_full(&self) -> bool {
        self.rows == BATCH_ROWS || self.text_bytes >= BATCH_TEXT_BYTES
    }

    fn take(&mut self) -> Result<RecordBatch> {
        let finish = |column: &mut StringBuilder| Arc::new(column.finish()) as ArrayRef;
        let columns = self.columns.iter_mut().map(finish).collect();
        // a scan of no columns still has rows
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.text_bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(Error::failed)
    }
}
