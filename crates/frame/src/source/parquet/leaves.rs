//! Where columns are in a Parquet file: by place, never by a path that is cut at dots.
//!
//! A Parquet file is a list of leaf columns. Those of an Arrow column lie side by side, in the order
//! of its members, so counting leaves finds them whatever they are called.

use std::ops::Range;

use arrow::datatypes::{DataType, Fields};
use parquet::arrow::ProjectionMask;
use parquet::schema::types::SchemaDescriptor;

use crate::json::Wanted;
use crate::source::Scan;

/// How many leaf columns a column of this type has in a file.
fn leaf_count(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|f| leaf_count(f.data_type())).sum(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => leaf_count(item.data_type()),
        _ => 1,
    }
}

/// The leaf columns of each column of a file with these fields.
pub(super) fn leaf_ranges(fields: &Fields) -> Vec<Range<usize>> {
    let mut start = 0;
    let range = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        let range = start..start + leaf_count(field.data_type());
        start = range.end;
        range
    };
    fields.iter().map(range).collect()
}

/// The leaf columns that a scan reads of a file with these fields, ascending.
pub(super) fn wanted_leaves(scan: &Scan, fields: &Fields) -> Vec<usize> {
    let ranges = leaf_ranges(fields);
    let mut leaves = Vec::new();
    for &column in &scan.columns {
        let field = &fields[column];
        let wanted = scan.wanted.field(field.name()).unwrap_or(&Wanted::All);
        add(wanted, field.data_type(), ranges[column].start, &mut leaves);
    }
    leaves
}

fn add(wanted: &Wanted, data_type: &DataType, start: usize, leaves: &mut Vec<usize>) {
    let all = |leaves: &mut Vec<usize>| leaves.extend(start..start + leaf_count(data_type));
    let (Wanted::Fields(members), DataType::Struct(fields)) = (wanted, data_type) else {
        return all(leaves);
    };
    let before = leaves.len();
    let mut at = start;
    for field in fields {
        if let Some((_, below)) = members.iter().find(|(name, _)| name == field.name()) {
            add(below, field.data_type(), at, leaves);
        }
        at += leaf_count(field.data_type());
    }
    if leaves.len() == before {
        // of the object itself is asked whether it is there
        all(leaves);
    }
}

pub(super) fn mask(leaves: &[usize], parquet: &SchemaDescriptor) -> ProjectionMask {
    ProjectionMask::leaves(parquet, leaves.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;

    #[test]
    fn leaves_are_counted_whatever_they_are_called() {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let object = |name: &str, members: Vec<Field>| {
            Field::new(name, DataType::Struct(members.into()), true)
        };
        let fields: Fields = vec![
            text("a.b"),
            object(
                "a",
                vec![
                    text("b"),
                    text("b.c"),
                    object("c.d", vec![text("x"), text("y")]),
                ],
            ),
            Field::new("l", DataType::List(text("a.b").into()), true),
            text("c"),
        ]
        .into();
        assert_eq!(leaf_ranges(&fields), [0..1, 1..5, 5..6, 6..7]);
        let mut wanted = Wanted::Fields(Vec::new());
        wanted.add(&["a".into(), "c.d".into(), "y".into()]);
        wanted.add(&["a".into(), "b.c".into()]);
        wanted.add(&["c".into()]);
        let scan = |columns: &[usize]| Scan {
            columns: columns.to_vec(),
            filters: Vec::new(),
            wanted: wanted.clone(),
        };
        assert_eq!(wanted_leaves(&scan(&[1, 3]), &fields), [2, 4, 6]);
        assert_eq!(wanted_leaves(&scan(&[0, 2]), &fields), [0, 5]);
    }
}
