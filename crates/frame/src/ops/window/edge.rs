//! Where the frame of a row begins and ends.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Float64Type, UInt64Type};
use flagstone_common::Result;

use super::cursor::Cursor;
use super::integers::integer;
use super::log::Log;

/// The rows around a row that a function is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) start: Edge,
    pub(crate) end: Edge,
}

/// Where a frame begins, or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// Where the window partition does.
    Unbounded,
    /// So many rows behind the row, or before it.
    Rows(i64),
    /// With the rows of a key so many different keys behind; 0: with those of the row's own.
    Groups(i64),
    /// At a key that is a distance away; these columns have keys, and such keys.
    Range {
        key: usize,
        moved: usize,
        descending: bool,
        nulls_first: bool,
    },
}

/// What is known of where an edge is.
pub(super) enum Found {
    At(u64),
    /// Not before this row: those behind have not come yet.
    From(u64),
}

/// Finds an edge for one row after the other.
pub(super) struct Finder {
    edge: Edge,
    is_end: bool,
    /// The column with the number of a row's key.
    groups: usize,
    start: u64,
    at: u64,
    ahead: Cursor,
    own: Cursor,
}

impl Finder {
    pub(super) fn new(edge: Edge, is_end: bool, groups: usize) -> Self {
        Finder {
            edge,
            is_end,
            groups,
            start: 0,
            at: 0,
            ahead: Cursor::default(),
            own: Cursor::default(),
        }
    }

    pub(super) fn start(&mut self, row: u64) {
        (self.start, self.at) = (row, row);
    }

    /// The edge for a row of a window partition that ends there, or may go on.
    pub(super) fn find(&mut self, log: &Log<'_>, row: u64, end: Option<u64>) -> Result<Found> {
        let limit = end.unwrap_or_else(|| log.end());
        let last = end.map_or(Found::From(limit), Found::At);
        match self.edge {
            Edge::Unbounded if self.is_end => return Ok(last),
            Edge::Unbounded => return Ok(Found::At(self.start)),
            Edge::Rows(rows) => {
                let at = i128::from(row) + i128::from(rows) + i128::from(self.is_end);
                let at = u64::try_from(at).unwrap_or(0).max(self.start);
                return Ok(if at <= limit { Found::At(at) } else { last });
            }
            Edge::Groups(_) | Edge::Range { .. } => {}
        }
        let place = self.place(log, row)?;
        while self.at < limit {
            let order = place.order(log, &mut self.ahead, self.at)?;
            let is_passed = match self.is_end {
                true => order != Ordering::Greater,
                false => order == Ordering::Less,
            };
            if !is_passed {
                return Ok(Found::At(self.at));
            }
            self.at += 1;
        }
        Ok(last)
    }

    /// From which row on it reads still.
    pub(super) fn reads_from(&self) -> u64 {
        match self.edge {
            Edge::Unbounded | Edge::Rows(_) => u64::MAX,
            Edge::Groups(_) | Edge::Range { .. } => self.at,
        }
    }

    /// Where the edge of a row is, in the order.
    fn place(&mut self, log: &Log<'_>, row: u64) -> Result<Place> {
        let (batch, at) = self.own.at(log, row)?;
        let group = batch.column(self.groups).as_primitive::<UInt64Type>();
        let group = i128::from(group.value(at));
        Ok(match self.edge {
            Edge::Range {
                key,
                moved,
                descending,
                nulls_first,
            } if batch.column(moved).is_valid(at) => Place::Key {
                column: key,
                to: Key::of(batch.column(moved), at)?,
                descending,
                nulls_first,
            },
            // a key that is null is no distance away from any other
            Edge::Range { .. } | Edge::Unbounded | Edge::Rows(_) => {
                Place::Group(self.groups, group)
            }
            Edge::Groups(groups) => Place::Group(self.groups, group + i128::from(groups)),
        })
    }
}

enum Place {
    Group(usize, i128),
    Key {
        column: usize,
        to: Key,
        descending: bool,
        nulls_first: bool,
    },
}

impl Place {
    /// How a row lies to the place.
    fn order(&self, log: &Log<'_>, cursor: &mut Cursor, row: u64) -> Result<Ordering> {
        match self {
            Place::Group(column, group) => {
                let (groups, at) = cursor.column(log, row, *column)?;
                let own = groups.as_primitive::<UInt64Type>().value(at);
                Ok(i128::from(own).cmp(group))
            }
            Place::Key {
                column,
                to,
                descending,
                nulls_first,
            } => {
                let (keys, at) = cursor.column(log, row, *column)?;
                if keys.is_null(at) {
                    return Ok(match nulls_first {
                        true => Ordering::Less,
                        false => Ordering::Greater,
                    });
                }
                let order = Key::of(keys, at)?.cmp(to);
                Ok(if *descending { order.reverse() } else { order })
            }
        }
    }
}

/// A key that one can be a distance away from.
enum Key {
    Integer(i128),
    Float(f64),
}

impl Key {
    fn of(keys: &ArrayRef, at: usize) -> Result<Key> {
        Ok(match keys.as_primitive_opt::<Float64Type>() {
            Some(floats) => Key::Float(crate::kernels::key::canonical(floats.value(at))),
            None => Key::Integer(integer(keys, at)?),
        })
    }

    fn cmp(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Integer(a), Key::Integer(b)) => a.cmp(b),
            (Key::Float(a), Key::Float(b)) => a.total_cmp(b),
            (Key::Integer(_), Key::Float(_)) => Ordering::Less,
            (Key::Float(_), Key::Integer(_)) => Ordering::Greater,
        }
    }
}
