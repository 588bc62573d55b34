//! Rows in question, and the batches of those that come out.
//!
//! Rows are put in question one after the other, in the order of the result: pairs, and rows that come
//! out alone. So many of them, or so many bytes, are decided together. They are copied, so that what is
//! decided together follows from the rows and not from what of a shard is in memory at a time.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array,
};
use arrow::compute::take;
use flagstone_common::{Error, Lease, Result, TaskContext};
use flagstone_exchange::grow;
use flagstone_graph::{Flow, Stop, ended};

use super::rule::{Alone, JoinRule, Side};
use crate::error::{arrow_error, run_error};
use crate::kernels::rows::RowCodec;
use crate::source::BATCH_ROWS;

/// So many bytes of rows are in question at a time, or one row.
const QUESTION_BYTES: usize = 512 << 10;

/// What deciding takes for each row: its place, its slice, whether it comes, its mark.
const DECIDING_BYTES: usize = 24;

/// Where a row lies among those of its side.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u32,
    len: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Comes out as it is; says what its mark is.
    Certain(bool),
    /// Comes out if the condition holds.
    Pair,
    /// The end of a left row's pairs: comes out if these say so.
    LeftEnd,
    /// A right row after all pairs of its key.
    RightEnd,
}

#[derive(Debug, Clone, Copy)]
struct Question {
    kind: Kind,
    /// Whether it is the first of its key.
    is_first: bool,
    /// The number of the right row among those of its key.
    number: u64,
    rows: [Option<Place>; 2],
}

/// Makes batches of the rows that come out.
pub(super) struct Output<'a> {
    pub(super) rule: &'a JoinRule,
    pub(super) right_is_empty: bool,
    ctx: &'a TaskContext<'a>,
    each: &'a mut dyn FnMut(RecordBatch) -> Flow,
    codecs: [RowCodec; 2],
    questions: Vec<Question>,
    /// The rows in question, of each side.
    bytes: [Vec<u8>; 2],
    leases: [Lease; 2],
    /// The rows' bytes, each as often as it comes.
    asked_bytes: usize,
    /// For the columns of rows.
    columns: Lease,
    /// Where the left row lies whose pairs are put in question.
    left: Option<Place>,
    key: KeyState,
    /// Whoever takes the rows wants no more of them.
    has_enough: bool,
    _questions: Lease,
}

/// What is known of the pairs of a key.
struct KeyState {
    /// The next question is the first of a key.
    starts: bool,
    /// Whether what follows is about the key whose pairs are put in question.
    is_current: bool,
    /// Whether pairs of the left row at hand were decided; and whether one of the left row that was
    /// decided last came out.
    left_decided: bool,
    left_matched: bool,
    /// A bit for each right row: whether a pair with it came out.
    right_matched: Vec<u64>,
    lease: Lease,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        rule: &'a JoinRule,
        right_is_empty: bool,
        ctx: &'a TaskContext<'a>,
        each: &'a mut dyn FnMut(RecordBatch) -> Flow,
    ) -> Result<Self> {
        let codec = |side: Side| RowCodec::new(&rule.schemas[side as usize]);
        let lease = ctx.reserve((BATCH_ROWS * (size_of::<Question>() + DECIDING_BYTES)) as u64)?;
        Ok(Output {
            rule,
            right_is_empty,
            ctx,
            each,
            codecs: [codec(Side::Left)?, codec(Side::Right)?],
            questions: Vec::with_capacity(BATCH_ROWS),
            bytes: [Vec::new(), Vec::new()],
            leases: [ctx.reserve(0)?, ctx.reserve(0)?],
            asked_bytes: 0,
            columns: ctx.reserve(0)?,
            left: None,
            key: KeyState {
                starts: true,
                is_current: false,
                left_decided: false,
                left_matched: false,
                right_matched: Vec::new(),
                lease: ctx.reserve(0)?,
            },
            has_enough: false,
            _questions: lease,
        })
    }

    /// Rows of another key follow.
    pub(super) fn start_key(&mut self) {
        self.key.starts = true;
        self.key.is_current = false;
    }

    /// Another left row follows.
    pub(super) fn start_left(&mut self) {
        self.left = None;
        self.key.left_decided = false;
    }

    /// Whether it is known already that the left row at hand has a partner.
    pub(super) fn left_has_matched(&self) -> bool {
        self.key.left_decided && self.key.left_matched
    }

    /// Whether it is known already that a right row of the key at hand has a partner.
    pub(super) fn right_has_matched(&self, number: u64) -> bool {
        self.key.is_current && self.key.has(number)
    }

    /// A pair that comes out.
    pub(super) fn pair(&mut self, left: &[u8], right: &[u8]) -> Flow {
        self.ask(Kind::Certain(true), [Some(left), Some(right)], 0)
    }

    /// A pair that comes out if the condition holds.
    pub(super) fn candidate(&mut self, left: &[u8], right: &[u8], number: u64) -> Flow {
        self.ask(Kind::Pair, [Some(left), Some(right)], number)
    }

    /// A row that comes out without a partner's columns.
    pub(super) fn alone(&mut self, side: Side, row: &[u8], matched: bool) -> Flow {
        self.ask(Kind::Certain(matched), of_side(side, row), 0)
    }

    /// The left row at hand has no more pairs.
    pub(super) fn left_end(&mut self, left: &[u8]) -> Flow {
        self.ask(Kind::LeftEnd, [Some(left), None], 0)
    }

    /// No left row is left to meet this right row.
    pub(super) fn right_end(&mut self, right: &[u8], number: u64) -> Flow {
        self.ask(Kind::RightEnd, [None, Some(right)], number)
    }

    fn ask(&mut self, kind: Kind, rows: [Option<&[u8]>; 2], number: u64) -> Flow {
        let len = rows.iter().flatten().map(|row| row.len()).sum::<usize>();
        let is_full = self.questions.len() == BATCH_ROWS
            || (self.asked_bytes + len > QUESTION_BYTES && !self.questions.is_empty());
        if is_full {
            self.flush()?;
        }
        self.asked_bytes += len;
        let [left, right] = rows;
        let left = match (left, self.left) {
            (Some(_), Some(place)) => Some(place),
            (Some(row), None) => {
                self.left = Some(self.copy(Side::Left, row)?);
                self.left
            }
            (None, _) => None,
        };
        let right = right.map(|row| self.copy(Side::Right, row)).transpose()?;
        self.questions.push(Question {
            kind,
            is_first: std::mem::take(&mut self.key.starts),
            number,
            rows: [left, right],
        });
        Ok(())
    }

    #[inline]
    fn copy(&mut self, side: Side, row: &[u8]) -> Result<Place> {
        let (bytes, lease) = (
            &mut self.bytes[side as usize],
            &mut self.leases[side as usize],
        );
        let wanted = bytes.len() + row.len();
        if wanted > bytes.capacity() {
            let doubled = wanted.max(2 * bytes.capacity()).max(4 << 10);
            grow(bytes, [doubled, wanted], lease)?;
        }
        let start = u32::try_from(bytes.len());
        let start = start.map_err(|_| Error::failed("rows of more than 4 GiB are joined"))?;
        bytes.extend_from_slice(row);
        let len = row.len() as u32;
        Ok(Place { start, len })
    }

    /// Decides what is still in question.
    pub(super) fn finish(mut self) -> Result<()> {
        match self.has_enough {
            true => Ok(()),
            false => ended(self.flush()),
        }
    }

    /// Decides what is in question, and gives the rows that come out.
    fn flush(&mut self) -> Flow {
        self.ctx.check_cancelled()?;
        let batch = self.decide()?;
        self.questions.clear();
        self.asked_bytes = 0;
        self.left = None;
        for (bytes, lease) in self.bytes.iter_mut().zip(&mut self.leases) {
            bytes.clear();
            if bytes.capacity() > QUESTION_BYTES {
                *bytes = Vec::new();
                lease.shrink_to(0);
            }
        }
        self.key.left_decided = true;
        self.key.is_current = !self.key.starts;
        let flow = batch.map_or(Ok(()), |batch| (self.each)(batch));
        self.has_enough = matches!(flow, Err(Stop::Enough));
        flow
    }

    fn decide(&mut self) -> Result<Option<RecordBatch>> {
        if self.questions.is_empty() {
            return Ok(None);
        }
        // the columns of a side, beside those with room for rows that are missing, or a dictionary
        let decoded = self.codecs.iter().zip(Side::BOTH).map(|(codec, side)| {
            let places = self.questions.iter().filter_map(|q| q.rows[side as usize]);
            let bytes = places.map(|place| u64::from(place.len)).sum();
            codec.decoded_bytes(self.questions.len() as u64, bytes)
        });
        let decoded = decoded.sum::<u64>();
        self.columns.ensure(2 * decoded)?;
        let mut marks = Vec::new();
        if self.rule.filter.is_some() {
            marks = self.decided()?;
        } else if self.rule.is_marked() {
            let kinds = self.questions.iter().map(|question| question.kind);
            marks = kinds.map(|kind| kind == Kind::Certain(true)).collect();
        }
        if self.questions.is_empty() {
            return Ok(None);
        }
        let mut columns = Vec::new();
        for side in self.rule.columns_order() {
            if self.rule.has_columns(side) {
                columns.extend(self.columns_of(side, self.questions.iter())?);
            }
        }
        if self.rule.is_marked() {
            columns.push(Arc::new(BooleanArray::from(marks)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.questions.len()));
        let schema = self.rule.schema.clone();
        let batch = RecordBatch::try_new_with_options(schema, columns, &options);
        Ok(Some(batch.map_err(arrow_error)?))
    }

    /// Keeps what comes out by the condition, and says the marks.
    fn decided(&mut self) -> Result<Vec<bool>> {
        let mut holds = self.holds()?.into_iter();
        let [left_alone, right_alone] = Side::BOTH.map(|side| self.rule.alone(side));
        let gives_pairs = self.rule.gives_pairs();
        let (key, mut marks) = (&mut self.key, Vec::new());
        let mut failed = Ok(());
        self.questions.retain(|question| {
            if question.is_first {
                key.right_matched.clear();
            }
            let (matched, comes) = match question.kind {
                Kind::Certain(matched) => (matched, true),
                Kind::Pair => {
                    let holds = holds.next().unwrap_or(false);
                    if holds {
                        key.left_matched = true;
                        if right_alone != Alone::None {
                            failed = std::mem::replace(&mut failed, Ok(()))
                                .and(key.set(question.number));
                        }
                    }
                    (holds, holds && gives_pairs)
                }
                Kind::LeftEnd => {
                    let matched = std::mem::take(&mut key.left_matched);
                    (matched, left_alone.takes(matched))
                }
                Kind::RightEnd => {
                    let matched = key.has(question.number);
                    (matched, right_alone.takes(matched))
                }
            };
            if comes {
                marks.push(matched);
            }
            comes
        });
        failed.map(|()| marks)
    }

    /// Whether the condition holds for each pair.
    fn holds(&self) -> Result<Vec<bool>> {
        let pairs = self.questions.iter().filter(|q| q.kind == Kind::Pair);
        let count = pairs.clone().count();
        let Some(filter) = self.rule.filter.as_ref().filter(|_| count > 0) else {
            return Ok(Vec::new());
        };
        let [first, second] = self.rule.columns_order();
        let mut columns = self.columns_of(first, pairs.clone())?;
        columns.extend(self.columns_of(second, pairs)?);
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let both = RecordBatch::try_new_with_options(self.rule.both.clone(), columns, &options);
        let both = both.map_err(arrow_error)?;
        let mask = filter.evaluate(&both);
        let mask = mask.and_then(|value| value.into_array(count));
        let mask = mask.map_err(|error| run_error(&**filter, error))?;
        let Some(mask) = mask.as_boolean_opt() else {
            return Err(Error::bug("the condition of a join is no condition"));
        };
        Ok(mask.iter().map(|holds| holds == Some(true)).collect())
    }

    /// The columns of one side of some questions; null where there is no row of it.
    fn columns_of<'q>(
        &self,
        side: Side,
        questions: impl Iterator<Item = &'q Question> + Clone,
    ) -> Result<Vec<ArrayRef>> {
        let at = side as usize;
        let bytes = &self.bytes[at];
        let row = |place: Place| &bytes[place.start as usize..][..place.len as usize];
        let places = questions.clone().filter_map(|question| question.rows[at]);
        let (count, rows) = (places.clone().count(), questions.clone().count());
        if count == 0 {
            let fields = self.rule.schemas[at].fields().iter();
            let null = fields.map(|field| new_null_array(field.data_type(), rows));
            return Ok(null.collect());
        }
        let columns = self.codecs[at].decode(places.map(row))?;
        if count == rows {
            return Ok(columns);
        }
        let mut next = 0u32;
        let indices = questions.map(|question| {
            question.rows[at].map(|_| {
                next += 1;
                next - 1
            })
        });
        let indices: UInt32Array = indices.collect();
        let taken = columns.iter().map(|column| take(column, &indices, None));
        let taken = taken.collect::<std::result::Result<_, _>>();
        taken.map_err(arrow_error)
    }
}

/// A row of one side, and none of the other.
fn of_side(side: Side, row: &[u8]) -> [Option<&[u8]>; 2] {
    match side {
        Side::Left => [Some(row), None],
        Side::Right => [None, Some(row)],
    }
}

impl KeyState {
    fn has(&self, number: u64) -> bool {
        let word = self.right_matched.get((number / 64) as usize);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn set(&mut self, number: u64) -> Result<()> {
        let word = (number / 64) as usize;
        if word >= self.right_matched.len() {
            // while the list grows by doubling, both are there
            self.lease.ensure(3 * 8 * (word as u64 + 1))?;
            self.right_matched.resize(word + 1, 0);
        }
        self.right_matched[word] |= 1 << (number % 64);
        Ok(())
    }
}
