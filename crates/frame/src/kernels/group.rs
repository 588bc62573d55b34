//! Numbering groups: equal keys get equal numbers, in order of their first row.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use flagstone_common::{Error, ErrorKind, Result};
use hashbrown::HashTable;

use super::key::{KeyCodec, hash};

/// The keys seen so far, as bytes that compare as the keys do.
pub(crate) struct GroupTable {
    codec: Option<KeyCodec>,
    index: HashTable<u32>,
    hashes: Vec<u64>,
    bytes: Vec<u8>,
    /// Where each key ends in `bytes`.
    ends: Vec<usize>,
}

impl GroupTable {
    pub(crate) fn new(types: &[DataType]) -> Result<Self> {
        let codec = (!types.is_empty()).then(|| KeyCodec::new(types));
        Ok(GroupTable {
            codec: codec.transpose()?,
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
        let Some(codec) = &self.codec else {
            if rows > 0 {
                self.ensure_one();
            }
            return Ok(vec![0; rows]);
        };
        let encoded = codec.encode(keys)?;
        let mut groups = Vec::with_capacity(rows);
        for row in &encoded {
            let key = row.data();
            let hash = hash(key);
            let (bytes, ends, hashes) = (&self.bytes, &self.ends, &self.hashes);
            let same = |&group: &u32| {
                let group = group as usize;
                let start = if group == 0 { 0 } else { ends[group - 1] };
                hashes[group] == hash && &bytes[start..ends[group]] == key
            };
            let group = match self.index.find(hash, same) {
                Some(&group) => group,
                None => {
                    let group = u32::try_from(self.ends.len()).map_err(|_| too_many())?;
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
        let Some(codec) = &self.codec else {
            return Ok(Vec::new());
        };
        codec.decode(groups.iter().map(|&group| self.key(group)))
    }
}

fn too_many() -> Error {
    let message = "more than 4294967295 groups in one table: group by fewer keys";
    Error::new(ErrorKind::Failed, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, DictionaryArray, Float64Array, StructArray};
    use arrow::datatypes::{Field, Float64Type, Int32Type};

    use super::*;

    fn numbers(column: ArrayRef) -> (Vec<u32>, ArrayRef) {
        let mut table = GroupTable::new(&[column.data_type().clone()]).unwrap();
        let rows = column.len();
        let groups = table.groups(&[column], rows).unwrap();
        let keys = table.keys(&table.sorted()).unwrap().remove(0);
        (groups, keys)
    }

    #[test]
    fn zeros_are_one_group_and_so_is_what_is_no_number() {
        let odd = f64::from_bits(0xfff8_0000_0000_0001);
        let values: ArrayRef = Arc::new(Float64Array::from(vec![
            -0.0,
            0.0,
            f64::NAN,
            -f64::NAN,
            odd,
            1.0,
        ]));
        let (groups, keys) = numbers(values.clone());
        assert_eq!(groups, [0, 0, 1, 1, 1, 2]);
        let keys: Vec<f64> = keys.as_primitive::<Float64Type>().values().to_vec();
        assert!(keys[0] == 0.0 && keys[0].is_sign_positive() && keys[1] == 1.0);
        assert_eq!(keys[2].to_bits(), f64::NAN.to_bits());
        let field = Arc::new(Field::new("x", DataType::Float64, true));
        let objects: ArrayRef = Arc::new(StructArray::from(vec![(field, values)]));
        assert_eq!(numbers(objects.slice(1, 5)).0, [0, 1, 1, 1, 2]);
    }

    #[test]
    fn a_dictionary_is_grouped_by_its_values() {
        let texts: DictionaryArray<Int32Type> = vec!["b", "a", "b"].into_iter().collect();
        let (groups, keys) = numbers(Arc::new(texts));
        assert_eq!(groups, [0, 1, 0]);
        assert_eq!(keys.as_string::<i32>().value(0), "a");
    }
}
