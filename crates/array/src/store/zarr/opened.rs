//! A chunk's file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use flagstone_common::Result;

use crate::store::failure::{failure, unreadable};

/// A chunk's file.
pub(crate) struct Opened {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) length: u64,
}

impl Opened {
    pub(super) fn damaged(&self, what: &str) -> flagstone_common::Error {
        failure(&self.path, &format!("the chunk is damaged: {what}"), None)
    }

    pub(super) fn check_length(&self, wanted: u64) -> Result<()> {
        match self.length == wanted {
            true => Ok(()),
            false => Err(self.damaged(&format!("it has {} bytes, not {wanted}", self.length))),
        }
    }

    pub(super) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        let read = self.file.read_exact_at(bytes, offset);
        read.map_err(|error| unreadable(&self.path, error))
    }

    pub(super) fn read_part(&self, offset: u64, length: u64, most: u64) -> Result<Vec<u8>> {
        if length > most {
            return Err(self.damaged(&format!(
                "it has {length} bytes where its codecs make at most {most}"
            )));
        }
        let mut bytes = vec![0; length as usize];
        self.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}
