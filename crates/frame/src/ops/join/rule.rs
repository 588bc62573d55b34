//! What a join computes: of which rows something comes out.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::JoinType;
use datafusion_physical_expr::PhysicalExpr;

/// One of the two sides of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    pub(super) const BOTH: [Side; 2] = [Side::Left, Side::Right];
}

/// Keys, a condition, and what comes out.
pub(crate) struct JoinRule {
    pub(crate) join_type: JoinType,
    /// The keys of each side, as many as of the other; none where all rows may belong together.
    pub(crate) keys: [Vec<Arc<dyn PhysicalExpr>>; 2],
    pub(crate) key_types: [Vec<DataType>; 2],
    /// What rows with equal keys have to meet, over the columns of both sides.
    pub(crate) filter: Option<Arc<dyn PhysicalExpr>>,
    /// Of the rows of each side.
    pub(crate) schemas: [SchemaRef; 2],
    /// Of both side by side, as the condition and those who take the rows know them.
    pub(crate) both: SchemaRef,
    /// Whether the columns of the right side come first.
    pub(crate) is_mirrored: bool,
    /// Of the rows that come out.
    pub(crate) schema: SchemaRef,
    pub(crate) nulls_equal: bool,
    /// An anti join for which a null may equal anything: `NOT IN`.
    pub(crate) null_aware: bool,
}

/// Which rows of a side come out by themselves, not in pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    None,
    Matched,
    Unmatched,
    /// All, with a mark that says whether they have a partner.
    Marked,
}

impl Alone {
    /// Whether such a row comes out.
    pub(super) fn takes(self, matched: bool) -> bool {
        match self {
            Alone::None => false,
            Alone::Matched => matched,
            Alone::Unmatched => !matched,
            Alone::Marked => true,
        }
    }
}

impl JoinRule {
    /// This join with the sides in each other's place, and its columns where they were.
    pub(crate) fn mirrored(self) -> Self {
        let swapped = |[left, right]: [_; 2]| [right, left];
        let [left_keys, right_keys] = self.keys;
        let [left_types, right_types] = self.key_types;
        JoinRule {
            join_type: self.join_type.swap(),
            keys: [right_keys, left_keys],
            key_types: [right_types, left_types],
            schemas: swapped(self.schemas),
            is_mirrored: !self.is_mirrored,
            ..self
        }
    }

    /// The sides in the order of their columns.
    pub(super) fn columns_order(&self) -> [Side; 2] {
        match self.is_mirrored {
            true => [Side::Right, Side::Left],
            false => Side::BOTH,
        }
    }

    /// Whether pairs come out.
    pub(super) fn gives_pairs(&self) -> bool {
        use JoinType::*;
        matches!(self.join_type, Inner | Left | Right | Full)
    }

    /// Which rows of a side come out by themselves.
    pub(super) fn alone(&self, side: Side) -> Alone {
        use JoinType::*;
        match (self.join_type, side) {
            (Left | Full | LeftAnti, Side::Left) => Alone::Unmatched,
            (Right | Full | RightAnti, Side::Right) => Alone::Unmatched,
            (LeftSemi, Side::Left) | (RightSemi, Side::Right) => Alone::Matched,
            (LeftMark, Side::Left) | (RightMark, Side::Right) => Alone::Marked,
            _ => Alone::None,
        }
    }

    /// Whether rows that come out have the columns of a side.
    pub(super) fn has_columns(&self, side: Side) -> bool {
        self.gives_pairs() || self.alone(side) != Alone::None
    }

    pub(super) fn is_marked(&self) -> bool {
        matches!(self.join_type, JoinType::LeftMark | JoinType::RightMark)
    }

    /// Whether anything comes out of rows of which one side has none.
    pub(super) fn gives(&self, has_left: bool, has_right: bool) -> bool {
        (has_left && has_right)
            || (has_left && self.alone(Side::Left).takes(false))
            || (has_right && self.alone(Side::Right).takes(false))
    }
}

/// What is known of the right side once all of it was dealt out. It only says more with every row.
#[derive(Default)]
pub(super) struct SeenRight {
    pub(super) rows: AtomicBool,
    pub(super) nulls: AtomicBool,
}
