#![doc = include_str!("../../../docs/tutorial.md")]

#[doc = include_str!("../../../docs/from-dask.md")]
pub mod from_dask {}

#[doc = include_str!("../../../docs/from-polars.md")]
pub mod from_polars {}
