//! Values as bytes: bincode by way of serde.

use std::io::Write;

use flagstone_common::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a value in bincode at the end of a buffer.
///
/// # Errors
/// A type that serde cannot write, or the buffer's own.
pub fn encode<T: Serialize>(value: &T, out: &mut impl Write) -> Result<()> {
    let config = bincode::config::standard();
    let written = bincode::serde::encode_into_std_write(value, out, config);
    written.map(|_| ()).map_err(|error| {
        let name = std::any::type_name::<T>();
        Error::failed(format!("a {name} cannot be written: {error}"))
    })
}

/// A value in bincode from the start of a buffer, and the rest.
///
/// # Errors
/// Bytes that are not what the type writes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8])> {
    let config = bincode::config::standard();
    let (value, used) = bincode::serde::decode_from_slice(bytes, config).map_err(|error| {
        let name = std::any::type_name::<T>();
        Error::failed(format!(
            "a {name} cannot be read back as it was written: {error}; its Serialize and \
             Deserialize must agree in formats that do not describe themselves"
        ))
    })?;
    Ok((value, &bytes[used..]))
}
