//! Where a row stands in its window partition.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, UInt64Array};
use arrow::datatypes::UInt64Type;
use flagstone_common::{Error, Result};

use super::Function;
use super::cursor::Cursor;
use super::edge::{Edge, Finder, Found};
use super::evaluation::Evaluate;
use super::log::Log;

/// Numbers rows.
pub(super) struct Placing {
    function: Function,
    groups: usize,
    own: Cursor,
    /// Where the rows with a row's key end.
    peers: Finder,
    start: u64,
    /// The key of the last row, its first row, and how many keys there were until then.
    group: Option<u64>,
    first: u64,
    keys: u64,
    numbers: Vec<u64>,
    parts: Vec<f64>,
}

impl Placing {
    pub(super) fn new(function: Function, groups: usize) -> Self {
        Placing {
            function,
            groups,
            own: Cursor::default(),
            peers: Finder::new(Edge::Groups(0), true, groups),
            start: 0,
            group: None,
            first: 0,
            keys: 0,
            numbers: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Looks at the key of a row.
    fn meet(&mut self, log: &Log<'_>, row: u64) -> Result<()> {
        let (groups, at) = self.own.column(log, row, self.groups)?;
        let group = groups.as_primitive::<UInt64Type>().value(at);
        if self.group != Some(group) {
            self.group = Some(group);
            self.first = row;
            self.keys += 1;
        }
        Ok(())
    }
}

impl Evaluate for Placing {
    fn start(&mut self, row: u64) {
        (self.start, self.group, self.keys) = (row, None, 0);
        self.peers.start(row);
    }

    fn step(&mut self, log: &Log<'_>, row: u64, end: Option<u64>) -> Result<bool> {
        let before = row - self.start;
        match self.function {
            Function::RowNumber => self.numbers.push(before + 1),
            Function::Rank => {
                self.meet(log, row)?;
                self.numbers.push(self.first - self.start + 1);
            }
            Function::DenseRank => {
                self.meet(log, row)?;
                self.numbers.push(self.keys);
            }
            Function::PercentRank => {
                let Some(end) = end else {
                    return Ok(false);
                };
                self.meet(log, row)?;
                let others = end - self.start - 1;
                let before = self.first - self.start;
                self.parts.push(match others {
                    0 => 0.0,
                    others => before as f64 / others as f64,
                });
            }
            Function::CumeDist => {
                let (Found::At(last), Some(end)) = (self.peers.find(log, row, end)?, end) else {
                    return Ok(false);
                };
                let rows = (end - self.start) as f64;
                self.parts.push((last - self.start) as f64 / rows);
            }
            Function::Ntile(tiles) => {
                let Some(end) = end else {
                    return Ok(false);
                };
                let rows = end - self.start;
                // the first ones have a row more, where rows are left
                let (len, longer) = (rows / tiles, rows % tiles);
                let tile = match before < longer * (len + 1) {
                    true => before / (len + 1),
                    false => longer + (before - longer * (len + 1)) / len,
                };
                self.numbers.push(tile + 1);
            }
            _ => return Err(Error::bug("a function of a window numbers no rows")),
        }
        Ok(true)
    }

    fn results(&mut self) -> Result<ArrayRef> {
        let (numbers, parts) = (
            std::mem::take(&mut self.numbers),
            std::mem::take(&mut self.parts),
        );
        Ok(match self.function {
            Function::PercentRank | Function::CumeDist => Arc::new(Float64Array::from(parts)),
            _ => Arc::new(UInt64Array::from(numbers)),
        })
    }

    fn reads_from(&mut self, _: &Log<'_>, row: u64) -> Result<u64> {
        Ok(match self.function {
            Function::CumeDist => self.peers.reads_from(),
            _ => row,
        })
    }
}
