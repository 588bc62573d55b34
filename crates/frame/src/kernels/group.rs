//! Numbering groups: equal keys get equal numbers, in order of their first row.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use flagstone_graph::Result;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::arrow_error;

/// The keys seen so far, in Arrow's row format: bytes that compare as the keys do.
pub(crate) struct GroupTable {
    converter: Option<RowConverter>,
    index: HashTable<u32>,
    hashes: Vec<u64>,
    bytes: Vec<u8>,
    /// Where each key ends in `bytes`.
    ends: Vec<usize>,
}

impl GroupTable {
    pub(crate) fn new(types: &[DataType]) -> Result<Self> {
        let fields: Vec<SortField> = types.iter().cloned().map(SortField::new).collect();
        let converter = (!fields.is_empty())
            .then(|| RowConverter::new(fields))
            .transpose();
        Ok(GroupTable {
            converter: converter.map_err(arrow_error)?,
            index: HashTable::new(),
            hashes: Vec::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes allocated now.
    pub(crate) fn bytes(&self) -> usize {
        self.index.allocation_size()
            + self.hashes.capacity() * 8
            + self.bytes.capacity()
            + self.ends.capacity() * 8
    }

    /// The number of each row's group.
    pub(crate) fn groups(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let Some(converter) = &mut self.converter else {
            if rows > 0 {
                self.ensure_one();
            }
            return Ok(vec![0; rows]);
        };
        let encoded = converter.convert_columns(keys).map_err(arrow_error)?;
        let mut groups = Vec::with_capacity(rows);
        for row in &encoded {
            let key = row.data();
            let hash = xxh3_64(key);
            let (bytes, ends, hashes) = (&self.bytes, &self.ends, &self.hashes);
            let same = |&group: &u32| {
                let group = group as usize;
                let start = if group == 0 { 0 } else { ends[group - 1] };
                hashes[group] == hash && &bytes[start..ends[group]] == key
            };
            let group = match self.index.find(hash, same) {
                Some(&group) => group,
                None => {
                    let group = self.ends.len() as u32;
                    self.bytes.extend_from_slice(key);
                    self.ends.push(self.bytes.len());
                    self.hashes.push(hash);
                    let hashes = &self.hashes;
                    self.index
                        .insert_unique(hash, group, |&group| hashes[group as usize]);
                    group
                }
            };
            groups.push(group);
        }
        Ok(groups)
    }

    /// Without keys there is one group, also of no rows.
    pub(crate) fn ensure_one(&mut self) {
        if self.ends.is_empty() {
            self.ends.push(0);
            self.hashes.push(0);
        }
    }

    fn key(&self, group: u32) -> &[u8] {
        let group = group as usize;
        let start = if group == 0 { 0 } else { self.ends[group - 1] };
        &self.bytes[start..self.ends[group]]
    }

    /// The groups by ascending key, nulls first.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| self.key(a).cmp(self.key(b)));
        order
    }

    /// The keys of these groups as columns.
    pub(crate) fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.converter else {
            return Ok(Vec::new());
        };
        let parser = converter.parser();
        let rows = groups.iter().map(|&group| parser.parse(self.key(group)));
        converter.convert_rows(rows).map_err(arrow_error)
    }
}
