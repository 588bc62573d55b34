//! JSON records that come from elsewhere than files: the dynamic records of a bag.
//!
//! They are read as files are: the first records propose a schema, all are read with it in one
//! pass, each partition remembers what did not fit, and only the partitions that differ from the
//! union of all keys are read again. What is told of a column names partition and record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flagstone_common::{Counter, Error, Lease, Result, TaskContext, Unlimited};
use flagstone_graph::{Deps, Execute, Flow, Graph, Inputs, IoBytes, LayerId, ended};
use flagstone_io::AskOrigin;

use super::text::{PartitionLog, counted, told};
use super::{BATCH_ROWS, BATCH_TEXT_BYTES, Bound, Outcome, PartitionSource, Scan, Widening};
use crate::json::{Bad, Head, RecordDecoder, Sampler, Widened};
use crate::schema::kind::Kind;

/// So many records propose the schema.
const SAMPLED_RECORDS: usize = 1000;
/// A record is no longer than this, as far as the certificate knows.
const RECORD_BYTES: u64 = 1 << 20;

/// Records that can be written as JSON, one after the other; see
/// [`DataFrame::from_records`](crate::DataFrame::from_records).
pub trait Records: Send + Sync {
    /// What they are called in keys and messages: `"read_json|map"`.
    fn name(&self) -> String;

    /// The first records as JSON texts, at most so many.
    ///
    /// # Errors
    /// Of computing them.
    fn head(&self, len: usize, execute: &dyn Execute) -> Result<Vec<String>>;

    /// Joins a graph: lowers the layers that the records are computed from.
    ///
    /// # Errors
    /// Those of lowering.
    fn bind(&self, graph: &mut Graph) -> Result<Box<dyn BoundRecords>>;
}

/// Records in a graph, partition by partition.
pub trait BoundRecords: Send + Sync {
    /// The layers that they are computed from.
    fn inputs(&self) -> &[LayerId];

    /// How many partitions there are.
    fn partition_count(&self) -> u32;

    /// What a partition reads of the layers, which stand in the slots from `first` on.
    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>);

    /// What streaming a partition needs at once.
    fn scratch_bytes(&self, partition: u32) -> u64;

    /// Bytes read from storage for a partition.
    fn io_bytes(&self, partition: u32) -> IoBytes;

    /// Gives every record of a partition as JSON text, in order, and a way to ask where in which
    /// file it stands, until `each` has [enough](flagstone_graph::Stop::Enough).
    ///
    /// # Errors
    /// Those of `each`, and whatever computing meets.
    fn for_each(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(&[u8], &AskOrigin<'_>) -> Flow,
    ) -> Result<()>;
}

type Log = Arc<Mutex<BTreeMap<u32, PartitionLog>>>;

/// Records as a source of batches, taken for one kind.
pub(crate) struct RecordSource {
    records: Arc<dyn Records>,
    name: String,
    kind: Kind,
    log: Log,
    /// What a pass before this one counted.
    before: Arc<BTreeMap<u32, PartitionLog>>,
    bound: Option<Box<dyn BoundRecords>>,
    /// What the first records showed to be text for want of another type.
    mixed: Arc<Vec<Widened>>,
}

/// Instead of a place: the record is one of the first, whichever partition it is of.
const AMONG_FIRST: usize = usize::MAX;

impl RecordSource {
    /// Looks at the first records.
    pub(crate) fn open(records: &Arc<dyn Records>, execute: &dyn Execute) -> Result<Self> {
        let (mut head, mut sampler) = (Head::default(), Sampler::default());
        for (record, at) in records.head(SAMPLED_RECORDS, execute)?.iter().zip(0..) {
            head.look(&mut sampler, record.as_bytes(), at);
        }
        let kind = match head.kind {
            // no records, or only nulls: a frame of no columns
            Kind::Null => Kind::Struct(Vec::new()),
            kind => kind,
        };
        let mixed = Arc::new(head.mixing.columns);
        Ok(Self::over(
            Arc::clone(records),
            kind,
            mixed,
            BTreeMap::new(),
        ))
    }

    fn over(
        records: Arc<dyn Records>,
        kind: Kind,
        mixed: Arc<Vec<Widened>>,
        before: BTreeMap<u32, PartitionLog>,
    ) -> Self {
        RecordSource {
            name: records.name(),
            records,
            kind,
            log: Arc::new(Mutex::new(before.clone())),
            before: Arc::new(before),
            bound: None,
            mixed,
        }
    }

    fn log(&self) -> MutexGuard<'_, BTreeMap<u32, PartitionLog>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decoder(&self, scan: &Scan) -> RecordDecoder {
        RecordDecoder::new(&self.kind, &scan.wanted, true)
    }

    fn bound(&self) -> Result<&dyn BoundRecords> {
        let missing = || Error::bug("records are streamed without a graph");
        self.bound.as_deref().ok_or_else(missing)
    }

    /// A column that turned out wider, with its place in a file, or in its partition where there
    /// is no file.
    fn describe(
        &self,
        partition: u32,
        (at, entry): (usize, Option<&PartitionLog>),
        widened: &Widened,
    ) -> Widening {
        let origin = entry.and_then(|entry| entry.places.get(at.checked_sub(1)?));
        let origin = origin.and_then(|origin| Some((origin, origin.byte()?)));
        let (file, line, offset) = match origin {
            Some((origin, byte)) => {
                let file = origin.file().display().to_string();
                (file, origin.line(&Unlimited::new()), byte)
            }
            None => {
                let partition = match at {
                    AMONG_FIRST => String::new(),
                    _ => format!(" partition {partition}"),
                };
                let file = format!("{}{partition} record", self.name);
                (file, Some(widened.at + 1), widened.at)
            }
        };
        Widening {
            column: widened.path.clone(),
            from: widened.from.name().into(),
            to: widened.to.name().into(),
            file,
            line,
            offset,
        }
    }
}

impl PartitionSource for RecordSource {
    fn name(&self) -> &str {
        "from-records"
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(self.kind.to_schema())
    }

    fn bind(&self, graph: &mut Graph) -> Result<Option<Bound>> {
        let bound = self.records.bind(graph)?;
        let inputs = bound.inputs().to_vec();
        let source = Arc::new(RecordSource {
            records: Arc::clone(&self.records),
            name: self.name.clone(),
            kind: self.kind.clone(),
            log: Arc::clone(&self.log),
            before: Arc::clone(&self.before),
            mixed: Arc::clone(&self.mixed),
            bound: Some(bound),
        });
        Ok(Some(Bound { source, inputs }))
    }

    fn partition_count(&self) -> u32 {
        self.bound
            .as_ref()
            .map_or(0, |bound| bound.partition_count())
    }

    fn deps(&self, partition: u32, first: usize, deps: &mut Deps<'_>) {
        if let Some(bound) = &self.bound {
            bound.deps(partition, first, deps);
        }
    }

    fn scan_schema(&self, scan: &Scan) -> SchemaRef {
        let names = self.schema();
        self.decoder(scan).schema_of(
            scan.columns
                .iter()
                .map(|&column| names.field(column).name()),
        )
    }

    fn stream(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        scan: &Scan,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<()> {
        let (mut decoder, schema) = (self.decoder(scan), self.scan_schema(scan));
        let mut lease = ctx.reserve(0)?;
        let (mut log, mut text_bytes) = (PartitionLog::default(), 0);
        let mut places = BTreeMap::new();
        let known = self.before.contains_key(&partition);
        let mut flush = |decoder: &mut RecordDecoder, lease: &mut Lease| -> Flow {
            if !known {
                ctx.count(Counter::RowsIn, decoder.rows() as u64);
            }
            lease.ensure((decoder.bytes() + decoder.padding_bytes()) as u64)?;
            each(decoder.batch(&schema)?)
        };
        self.bound()?
            .for_each(partition, inputs, ctx, &mut |record, asked| {
                let origin = || asked().filter(|origin| origin.byte().is_some());
                lease.ensure((decoder.bytes() + 2 * record.len()) as u64)?;
                if let Err(Bad { what, .. }) = decoder.push(record, log.rows) {
                    let error = Error::failed(match origin() {
                        Some(origin) => origin.says(what, &Unlimited::new()),
                        None => {
                            let (name, place) = (&self.name, log.rows + 1);
                            format!("{name} partition {partition} record {place}: {what}")
                        }
                    });
                    return Err(error.into());
                }
                // what does not fit is told with the first record that brought it
                if decoder.has_news() {
                    places.extend(origin().map(|origin| (log.rows, origin)));
                }
                log.rows += 1;
                text_bytes += record.len();
                if decoder.rows() < BATCH_ROWS && text_bytes < BATCH_TEXT_BYTES {
                    return Ok(());
                }
                text_bytes = 0;
                flush(&mut decoder, &mut lease)
            })?;
        if decoder.rows() > 0 {
            ended(flush(&mut decoder, &mut lease))?;
        }
        let mut kind = self.kind.clone();
        let mut widened = decoder.widen(&mut kind);
        log.kind = (kind != self.kind).then_some(kind);
        let mixed = |told: &Widened| self.mixed.iter().any(|known| known.path == told.path);
        let unquoted = decoder.unquoted().into_iter();
        widened.extend(unquoted.filter(|told| !mixed(told)));
        for widened in widened {
            let place = places.get(&widened.at).cloned();
            let at = place.map_or(0, |place| {
                log.places.push(place);
                log.places.len()
            });
            log.widen(at, widened);
        }
        if partition == 0 {
            let wanted = |widened: &&Widened| scan.wanted.takes(&widened.path);
            let mixed = self.mixed.iter().filter(wanted);
            mixed.for_each(|widened| log.widen(AMONG_FIRST, widened.clone()));
        }
        self.log().insert(partition, log);
        Ok(())
    }

    fn scratch_bytes(&self, partition: u32, scan: &Scan) -> u64 {
        let own = self
            .bound
            .as_ref()
            .map_or(0, |bound| bound.scratch_bytes(partition));
        let columns = 9 * (self.decoder(scan).leaf_count() * BATCH_ROWS) as u64;
        own + RECORD_BYTES + 3 * BATCH_TEXT_BYTES as u64 + columns
    }

    fn assumption(&self) -> Option<String> {
        Some("no record is longer than 1 MiB".into())
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        let bound = self.bound.as_ref();
        bound.map_or(IoBytes::default(), |bound| bound.io_bytes(partition))
    }

    fn outcome(&self) -> Outcome {
        let log = self.log();
        let describe = |partition: u32, (at, widened): &(usize, Widened)| {
            let entry = log.get(&partition);
            self.describe(partition, (*at, entry), widened)
        };
        let (mut outcome, wider) = told(&self.kind, &log, Kind::merge, describe);
        if let Some(kind) = wider {
            let (records, mixed) = (Arc::clone(&self.records), Arc::clone(&self.mixed));
            let next = RecordSource::over(records, kind, mixed, counted(&log));
            outcome.next = Some(Arc::new(next));
        }
        outcome
    }

    fn deviation(&self, partition: u32) -> Option<String> {
        let log = self.log();
        let entry = log.get(&partition)?;
        if self.kind.holds(entry.kind.as_ref()?) {
            return None;
        }
        let (at, widened) = entry.widened.first()?;
        let told = self.describe(partition, (*at, Some(entry)), widened);
        Some(told.to_string())
    }
}
