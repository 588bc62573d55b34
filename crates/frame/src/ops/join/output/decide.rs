//! Which of the rows in question come out, and their columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array,
};
use arrow::compute::take;
use flagstone_common::{Error, Result};

use super::super::rule::{Alone, Side};
use super::{Kind, Output, Place, Question};
use crate::error::{arrow_error, run_error};

impl Output<'_> {
    /// The rows that come out, of those in question.
    pub(super) fn decide(&mut self) -> Result<Option<RecordBatch>> {
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
        let mut columns = Vec::new();
        for side in self.rule.columns_order() {
            let places = pairs.clone().filter_map(|pair| pair.rows[side as usize]);
            let rows = places.map(|place| self.row(side, place));
            columns.extend(self.codecs[side as usize].decode_apart(rows)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let both = RecordBatch::try_new_with_options(filter.schema.clone(), columns, &options);
        let both = both.map_err(arrow_error)?;
        let mask = filter.expr.evaluate(&both);
        let mask = mask.and_then(|value| value.into_array(count));
        let mask = mask.map_err(|error| run_error(&*filter.expr, error))?;
        let Some(mask) = mask.as_boolean_opt() else {
            return Err(Error::bug("the condition of a join is no condition"));
        };
        Ok(mask.iter().map(|holds| holds == Some(true)).collect())
    }

    fn row(&self, side: Side, place: Place) -> &[u8] {
        &self.bytes[side as usize][place.start as usize..][..place.len as usize]
    }

    /// The columns of one side of some questions; null where there is no row of it.
    fn columns_of<'q>(
        &self,
        side: Side,
        questions: impl Iterator<Item = &'q Question> + Clone,
    ) -> Result<Vec<ArrayRef>> {
        let at = side as usize;
        let row = |place: Place| self.row(side, place);
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
