//! What did not fit a column, to be told and to widen the schema by.

use super::super::sample::Mixing;
use super::super::widened::Widened;
use crate::schema::kind::Kind;
use crate::schema::nest::Nest;

/// What was met that the schema did not foresee, and the byte of its record's start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deviation {
    pub(crate) kind: Kind,
    pub(crate) first_at: u64,
    /// The last record that added to it, and what there was before it: a record may turn out to be
    /// broken after some of it was noted.
    last_at: u64,
    before: Kind,
    /// What in it is text for want of another type.
    mixing: Mixing,
}

impl Deviation {
    /// The value stands at `nest`.
    pub(super) fn new(kind: Kind, at: u64, nest: Nest) -> Self {
        let mut mixing = Mixing::default();
        mixing.part(&Kind::Null, &kind, at, nest);
        Deviation {
            kind,
            first_at: at,
            last_at: at,
            before: Kind::Null,
            mixing,
        }
    }

    pub(super) fn add(&mut self, kind: Kind, at: u64, nest: Nest) {
        if self.last_at != at {
            self.last_at = at;
            self.before = self.kind.clone();
        }
        self.mixing.part(&self.kind, &kind, at, nest);
        self.kind.merge_at(kind, nest);
    }

    /// What in it is text for want of another type, below the value itself.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Widened> {
        let below = |widened: &&Widened| !widened.path.is_empty();
        self.mixing.columns.iter().filter(below)
    }

    /// Takes back what the record at `at` added; whether nothing is left.
    pub(super) fn forget(&mut self, at: u64) -> bool {
        if self.last_at == at && self.first_at != at {
            self.kind = self.before.clone();
        }
        self.mixing.columns.retain(|widened| widened.at != at);
        self.first_at == at
    }
}

#[inline(never)]
pub(super) fn note(deviation: &mut Option<Deviation>, kind: Kind, at: u64, nest: Nest) {
    match deviation {
        Some(deviation) => deviation.add(kind, at, nest),
        None => *deviation = Some(Deviation::new(kind, at, nest)),
    }
}
