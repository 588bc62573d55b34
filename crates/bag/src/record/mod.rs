//! JSON records: values as items, fields that are parsed alone, and the keys that records have.

mod field;
mod json;
mod key_sample;
mod keys;
pub(crate) mod strict;

pub use field::Field;
pub use json::Json;
pub use key_sample::Keys;
pub use keys::RecordKeys;
pub(crate) use strict::Strict;
