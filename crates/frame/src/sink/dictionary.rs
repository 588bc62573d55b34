//! Which columns are worth a dictionary.
//!
//! A dictionary of values that hardly repeat costs twice: its indices beside its values, and the
//! order of the values, which compression would have used. The first batch of a partition shows
//! how often values repeat; so the choice follows from the data alone.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use hashbrown::HashSet;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;

/// Texts with more different values than this share of them are written plainly.
const TEXT_SHARE_MAX: f64 = 0.85;
/// Integers are short: their dictionary must be much shorter to pay.
const INT_SHARE_MAX: f64 = 0.02;
/// Values in order compress better as they are.
const ORDERED_SHARE: f64 = 0.95;
/// Fewer values tell nothing.
const VALUES_MIN: usize = 64;

/// Turns dictionaries off where the batch shows that they do not pay.
pub(crate) fn choose(
    mut builder: WriterPropertiesBuilder,
    batch: &RecordBatch,
) -> WriterPropertiesBuilder {
    let mut plain = Vec::new();
    let schema = batch.schema();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        visit(column, vec![field.name().clone()], &mut plain);
    }
    for path in plain {
        builder = builder.set_column_dictionary_enabled(ColumnPath::new(path), false);
    }
    builder
}

fn visit(column: &ArrayRef, path: Vec<String>, plain: &mut Vec<Vec<String>>) {
    let below = |names: &[&str]| {
        let mut path = path.clone();
        path.extend(names.iter().map(|&name| name.to_owned()));
        path
    };
    match column.data_type() {
        DataType::Struct(fields) => {
            for (field, column) in fields.iter().zip(column.as_struct().columns()) {
                visit(column, below(&[field.name()]), plain);
            }
        }
        DataType::List(item) => {
            visit(
                column.as_list::<i32>().values(),
                below(&["list", item.name()]),
                plain,
            );
        }
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            if !pays(values.iter().flatten(), TEXT_SHARE_MAX) {
                plain.push(path);
            }
        }
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>();
            if !pays(values.iter().flatten(), INT_SHARE_MAX) {
                plain.push(path);
            }
        }
        DataType::Float64 => plain.push(path),
        _ => {}
    }
}

fn pays<T: Eq + std::hash::Hash + Ord + Copy>(
    values: impl Iterator<Item = T>,
    share_max: f64,
) -> bool {
    let (mut count, mut ordered) = (0usize, 0usize);
    let mut distinct = HashSet::new();
    let mut last = None;
    for value in values {
        count += 1;
        ordered += usize::from(last.is_none_or(|last| last <= value));
        distinct.insert(value);
        last = Some(value);
    }
    if count < VALUES_MIN || distinct.len() * 50 < count {
        return true;
    }
    let share = |part: usize| part as f64 / count as f64;
    share(distinct.len()) <= share_max && share(ordered) < ORDERED_SHARE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_unordered_texts_get_a_dictionary() {
        let texts = |of: fn(u64) -> u64| (0..1000u64).map(of).collect::<Vec<_>>();
        assert!(pays(texts(|i| i * 7919 % 300).into_iter(), TEXT_SHARE_MAX));
        assert!(!pays(
            texts(|i| i * 7919 % 1009).into_iter(),
            TEXT_SHARE_MAX
        ));
        assert!(!pays(texts(|i| i / 3).into_iter(), TEXT_SHARE_MAX));
        assert!(pays(texts(|i| i / 300).into_iter(), TEXT_SHARE_MAX));
        assert!(!pays(texts(|i| i * 7919 % 300).into_iter(), INT_SHARE_MAX));
    }
}
