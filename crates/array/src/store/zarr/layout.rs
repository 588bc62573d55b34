//! Types, shapes and grids of chunks, as the library has them.

use zarrs::array::{Array as Zarr, DataType, data_type};

use super::given::LISTED_MAX;
use crate::elements::dtype::DType;
use crate::grid::ChunkGrid;

/// The type of elements as `zarrs` has it.
pub(crate) fn zarr_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => data_type::bool(),
        DType::I8 => data_type::int8(),
        DType::I16 => data_type::int16(),
        DType::I32 => data_type::int32(),
        DType::I64 => data_type::int64(),
        DType::U8 => data_type::uint8(),
        DType::U16 => data_type::uint16(),
        DType::U32 => data_type::uint32(),
        DType::U64 => data_type::uint64(),
        DType::F32 => data_type::float32(),
        DType::F64 => data_type::float64(),
    }
}

/// The shape that regular chunks are stored in, at the ends of the axes too.
pub(super) fn shard_shape(zarr: &Zarr<()>, grid: &ChunkGrid) -> Vec<usize> {
    let first = vec![0; grid.shape().len()];
    match zarr.chunk_shape(&first) {
        Ok(shape) => shape.iter().map(|length| length.get() as usize).collect(),
        // an array without elements has no first chunk
        Err(_) => grid.chunk_shape().to_vec(),
    }
}

pub(super) fn shape_of(zarr: &Zarr<()>) -> std::result::Result<Vec<usize>, String> {
    let too_large = |_| "it is larger than this machine can count".to_owned();
    let shape: std::result::Result<Vec<usize>, _> = zarr
        .shape()
        .iter()
        .map(|&length| length.try_into())
        .collect();
    let shape = shape.map_err(too_large)?;
    crate::grid::shape::check_shape(&shape)?;
    Ok(shape)
}

/// The grid as the library has it.
pub(super) fn grid(zarr: &Zarr<()>) -> std::result::Result<ChunkGrid, String> {
    let shape = shape_of(zarr)?;
    let mut lists = Vec::new();
    let mut regular = Vec::new();
    for (axis, &length) in shape.iter().enumerate() {
        let count = zarr.chunk_grid().grid_shape()[axis];
        let chunk_at = |coord: u64| {
            let mut coords = vec![0; shape.len()];
            coords[axis] = coord;
            let shape = zarr.chunk_shape(&coords).ok()?;
            usize::try_from(shape[axis].get()).ok()
        };
        let unknown = || "its chunks cannot be counted".to_owned();
        if length == 0 || count == 0 || shape.contains(&0) {
            regular.push(length.max(1));
            lists.push(vec![length]);
            continue;
        }
        let first = chunk_at(0).ok_or_else(unknown)?;
        regular.push(first);
        // only grids that list their chunks have any of another length
        let listed = zarr.chunk_grid().name_v3().as_deref() != Some("regular");
        let mut list = Vec::new();
        let mut end = 0;
        while listed && end < length {
            let next = chunk_at(list.len() as u64).ok_or_else(unknown)?;
            list.push(next.min(length - end));
            end += next;
            if list.len() > LISTED_MAX {
                return Err(format!(
                    "axis {axis} has more than {LISTED_MAX} chunks of lengths that are listed"
                ));
            }
        }
        lists.push(list);
    }
    match lists.iter().all(Vec::is_empty) || shape.contains(&0) {
        true => Ok(ChunkGrid::new(&shape, &regular)),
        false => ChunkGrid::irregular(&shape, &lists),
    }
}
