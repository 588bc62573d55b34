//! The columns of an object's members, and the keys that have none.

use arrow::array::ArrayRef;
use arrow::datatypes::Fields;
use hashbrown::HashMap;

use super::super::cursor::{Bad, Cursor, TWICE, Walk};
use super::super::wanted::Wanted;
use super::{Column, Deviation};
use crate::schema::kind::Kind;
use crate::schema::nest::Nest;

/// No member.
const NONE: u32 = u32::MAX;
/// What is remembered of a key that the schema does not have, beside its name.
const EXTRA_BYTES: usize = 1024;
/// What the kind of a value takes for each byte of its text, at most.
const KIND_BYTES: usize = 16;

pub(crate) struct Members {
    pub(crate) names: Vec<String>,
    pub(crate) columns: Vec<Column>,
    by_name: HashMap<String, u32>,
    /// The member that followed each one last time (the last slot: that came first).
    follows: Vec<u32>,
    /// Whether a key without a column is news; otherwise nobody asked for it.
    open: bool,
    nest: Nest,
    pub(crate) extra: Vec<(String, Deviation)>,
    extra_by_name: HashMap<String, u32>,
    /// About what the extra keys take.
    extra_bytes: usize,
}

impl Members {
    pub(crate) fn deviates(&self) -> bool {
        !self.extra.is_empty() || self.columns.iter().any(Column::deviates)
    }

    pub(crate) fn leaf_count(&self) -> usize {
        self.columns.iter().map(Column::leaf_count).sum()
    }

    /// Of objects that stand at `nest`.
    pub(crate) fn new(
        fields: &[(String, Kind)],
        wanted: &Wanted,
        open: bool,
        nest: Nest,
    ) -> Members {
        let kept = fields
            .iter()
            .filter_map(|(name, kind)| Some((name, kind, wanted.field(name)?)));
        let (names, columns): (Vec<String>, Vec<Column>) = kept
            .map(|(name, kind, below)| {
                let column = Column::new(kind, below, open, nest.member());
                (name.clone(), column)
            })
            .unzip();
        let by_name = names
            .iter()
            .zip(0..)
            .map(|(name, i)| (name.clone(), i))
            .collect();
        Members {
            follows: vec![0; names.len() + 1],
            by_name,
            names,
            columns,
            open: open && matches!(wanted, Wanted::All),
            nest,
            extra: Vec::new(),
            extra_by_name: HashMap::new(),
            extra_bytes: 0,
        }
    }

    /// Appends the members of an object whose brace was passed.
    pub(crate) fn push(&mut self, row: usize, cursor: &mut Cursor<'_>, at: u64) -> Walk<()> {
        let mut before = self.names.len();
        let mut first = true;
        let mut keys = cursor.open_keys();
        while let Some(key) = cursor.key(first)? {
            first = false;
            let member = self.find(key, &mut before, cursor)?;
            let value = cursor.value()?;
            if let Some(member) = member {
                let column = &mut self.columns[member];
                if column.len() > row {
                    return Err(Bad {
                        at: cursor.offset_of(key),
                        what: TWICE,
                    });
                }
                column.push(row, value, cursor, at)?;
                continue;
            }
            // a key with a column is found there when it comes twice
            cursor.note_key(&mut keys, key)?;
            let nest = self.nest.member();
            if self.open {
                let name = cursor.key_name(key)?;
                let start = cursor.pos;
                let kind = cursor.kind(value, nest)?;
                let value_bytes = cursor.pos.saturating_sub(start);
                self.add_extra(name, kind, value_bytes, at, cursor);
            } else {
                cursor.skip(value, nest.depth)?;
            }
        }
        cursor.close_keys(keys)
    }

    /// Remembers a key that the schema does not have, unless there are more already than an object
    /// has: then it is text, whatever else comes.
    fn add_extra(
        &mut self,
        name: String,
        kind: Kind,
        value_bytes: usize,
        at: u64,
        cursor: &mut Cursor<'_>,
    ) {
        let nest = self.nest.member();
        match self.extra_by_name.get(&name) {
            Some(&known) => self.extra[known as usize].1.add(kind, at, nest),
            None if self.columns.len() + self.extra.len() > self.nest.keys_max() => {}
            None => {
                cursor.news = true;
                let known = self.extra.len() as u32;
                self.extra_bytes += EXTRA_BYTES + 2 * name.len() + KIND_BYTES * value_bytes;
                self.extra_by_name.insert(name.clone(), known);
                self.extra.push((name, Deviation::new(kind, at, nest)));
            }
        }
    }

    /// The bytes allocated now.
    pub(crate) fn bytes(&self) -> usize {
        self.extra_bytes + self.columns.iter().map(Column::bytes).sum::<usize>()
    }

    /// The member with this key: the one that followed the last time, mostly.
    #[inline(always)]
    fn find(&mut self, key: &[u8], before: &mut usize, cursor: &Cursor<'_>) -> Walk<Option<usize>> {
        let guess = self.follows[*before];
        let member = match self.names.get(guess as usize) {
            Some(name) if name.as_bytes() == key => guess,
            _ => match self.look_up(key, cursor)? {
                Some(member) => {
                    self.follows[*before] = member;
                    member
                }
                None => NONE,
            },
        };
        if member == NONE {
            return Ok(None);
        }
        *before = member as usize;
        Ok(Some(member as usize))
    }

    pub(crate) fn forget(&mut self, at: u64) {
        let before = self.extra.len();
        self.extra
            .retain_mut(|(_, deviation)| !deviation.forget(at));
        if self.extra.len() < before {
            let names = self.extra.iter().map(|(name, _)| name.clone());
            self.extra_by_name = names.zip(0..).collect();
        }
        self.columns.iter_mut().for_each(|column| column.forget(at));
    }

    fn look_up(&self, key: &[u8], cursor: &Cursor<'_>) -> Walk<Option<u32>> {
        if cursor.escapes && key.contains(&b'\\') {
            return Ok(self.by_name.get(&cursor.key_name(key)?).copied());
        }
        let name = std::str::from_utf8(key).ok();
        Ok(name.and_then(|name| self.by_name.get(name)).copied())
    }

    pub(crate) fn fields(&self) -> Fields {
        let field = |(name, column): (&String, &Column)| column.field(name);
        self.names.iter().zip(&self.columns).map(field).collect()
    }

    pub(crate) fn finish(&mut self, len: usize) -> (Fields, Vec<ArrayRef>) {
        let fields = self.fields();
        (
            fields,
            self.columns
                .iter_mut()
                .map(|column| column.finish(len))
                .collect(),
        )
    }
}
