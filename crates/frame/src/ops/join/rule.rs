//! What a join computes: of which rows something comes out.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::JoinType;
use datafusion_physical_expr::PhysicalExpr;
use flagstone_common::Result;

use super::filter::FilterOfRun;
use crate::kernels::rows::RowCodec;

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
    /// What rows with equal keys have to meet.
    pub(crate) filter: Option<Condition>,
    /// Of the rows of each side.
    pub(crate) schemas: [SchemaRef; 2],
    /// Whether the columns of the right side come first where both come.
    pub(crate) is_mirrored: bool,
    /// Of the rows that come out.
    pub(crate) schema: SchemaRef,
    pub(crate) nulls_equal: bool,
    /// An anti join for which a null may equal anything: `NOT IN`.
    pub(crate) null_aware: bool,
}

/// A condition over some columns of both sides.
pub(crate) struct Condition {
    pub(crate) expr: Arc<dyn PhysicalExpr>,
    /// The columns of each side.
    pub(crate) columns: [Vec<usize>; 2],
    /// Of these columns side by side.
    pub(crate) schema: SchemaRef,
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
        let filter = self.filter.map(|filter| {
            let [left, right] = filter.columns;
            Condition {
                columns: [right, left],
                ..filter
            }
        });
        JoinRule {
            join_type: self.join_type.swap(),
            keys: [right_keys, left_keys],
            key_types: [right_types, left_types],
            filter,
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

    /// Whether left rows are of no use that have no partner, and some may have none.
    pub(super) fn filters_left(&self) -> bool {
        !self.keys[0].is_empty() && !self.alone(Side::Left).takes(false)
    }

    /// Whether each shard has some left rows, in their order, and all right ones: where there are no
    /// keys, and nothing is known of a right row only when it has met all left ones.
    pub(super) fn is_spread(&self) -> bool {
        self.keys[0].is_empty() && self.alone(Side::Right) == Alone::None
    }

    /// Rows of a side as bytes, in which what the condition is about stands apart.
    pub(super) fn codec(&self, side: Side) -> Result<RowCodec> {
        let columns = self.filter.as_ref();
        let columns = columns.map(|filter| filter.columns[side as usize].as_slice());
        RowCodec::new(&self.schemas[side as usize], columns)
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
        match (has_left, has_right) {
            (true, true) => true,
            (true, false) => self.alone(Side::Left).takes(false),
            (false, true) => self.alone(Side::Right).takes(false),
            (false, false) => false,
        }
    }
}

/// What tasks tell others that run when they are done. It only says more with every row.
#[derive(Default)]
pub(super) struct Told {
    /// Whether the right side has any row, and one whose key is null.
    pub(super) right_rows: AtomicBool,
    pub(super) right_nulls: AtomicBool,
    /// How many partitions the left side has, once it is lowered.
    pub(super) left_count: OnceLock<u32>,
    /// The keys that the right side may have.
    pub(super) filter: FilterOfRun,
}
