//! What single rows take as columns.

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use arrow::datatypes::DataType;

/// What rows of a column take where all take the same.
pub(crate) fn fixed_bytes(data_type: &DataType) -> Option<u64> {
    match data_type {
        DataType::Null => Some(0),
        DataType::Boolean => Some(1),
        DataType::Utf8View | DataType::BinaryView => Some(17),
        DataType::FixedSizeBinary(len) => Some(*len as u64 + 1),
        DataType::Dictionary(keys, _) => fixed_bytes(keys),
        other => other.primitive_width().map(|width| width as u64 + 1),
    }
}

/// Adds what each row of a column takes to `sizes`, which has as many.
pub(crate) fn add_bytes(column: &ArrayRef, sizes: &mut [u64]) {
    if let Some(bytes) = fixed_bytes(column.data_type()) {
        return sizes.iter_mut().for_each(|size| *size += bytes);
    }
    match column.data_type() {
        DataType::Utf8 => add_lengths(column.as_string::<i32>().value_offsets(), sizes),
        DataType::LargeUtf8 => add_lengths(column.as_string::<i64>().value_offsets(), sizes),
        DataType::Binary => add_lengths(column.as_binary::<i32>().value_offsets(), sizes),
        DataType::LargeBinary => add_lengths(column.as_binary::<i64>().value_offsets(), sizes),
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            add_items(list.value_offsets(), list.values(), sizes);
        }
        DataType::LargeList(_) => {
            let list = column.as_list::<i64>();
            add_items(list.value_offsets(), list.values(), sizes);
        }
        DataType::Map(..) => {
            let map = column.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            add_items(map.value_offsets(), &entries, sizes);
        }
        DataType::Struct(_) => {
            let members = column.as_struct();
            sizes.iter_mut().for_each(|size| *size += 1);
            let members = members.columns().iter();
            members.for_each(|member| add_bytes(member, sizes));
        }
        DataType::FixedSizeList(_, len) => {
            let list = column.as_fixed_size_list();
            let mut own = vec![0; list.values().len()];
            add_bytes(list.values(), &mut own);
            let rows = own.chunks(usize::try_from(*len).unwrap_or(1).max(1));
            let rows = sizes.iter_mut().zip(rows);
            rows.for_each(|(size, own)| *size += own.iter().sum::<u64>() + 1);
        }
        // nothing else is in frames: its rows take the same, about
        _ => {
            let bytes = column.get_buffer_memory_size() / column.len().max(1);
            sizes.iter_mut().for_each(|size| *size += bytes as u64 + 1);
        }
    }
}

fn add_lengths<O: OffsetSizeTrait>(offsets: &[O], sizes: &mut [u64]) {
    let ends = offsets.windows(2).zip(sizes);
    ends.for_each(|(ends, size)| *size += (ends[1] - ends[0]).as_usize() as u64 + 9);
}

fn add_items<O: OffsetSizeTrait>(offsets: &[O], items: &ArrayRef, sizes: &mut [u64]) {
    let mut own = vec![0; items.len()];
    add_bytes(items, &mut own);
    let ends = offsets.windows(2).zip(sizes);
    ends.for_each(|(ends, size)| {
        let own = &own[ends[0].as_usize()..ends[1].as_usize()];
        *size += own.iter().sum::<u64>() + 9;
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, ListArray, StringArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn texts_and_lists_take_what_is_in_them() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x", "", "abc"]));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            Some(vec![]),
            None,
        ]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        let sizes = |columns: &[ArrayRef]| {
            let mut sizes = vec![0; columns[0].len()];
            columns
                .iter()
                .for_each(|column| add_bytes(column, &mut sizes));
            sizes
        };
        assert_eq!(sizes(std::slice::from_ref(&texts)), [10, 9, 12]);
        assert_eq!(sizes(&[texts.slice(1, 2)]), [9, 12]);
        assert_eq!(sizes(&[lists, numbers]), [24, 14, 14]);
    }
}
