//! Writing files, compressed or not.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flagstone_common::{Error, Fault, Lease, Memory};
use flate2::write::GzEncoder;

use crate::compression::Compression;

/// Bytes go to the file in pieces of this size.
const BUFFER_BYTES: u64 = 64 << 10;

/// A file that is compressed while it is written. Every format written here may be continued by
/// appending another such file: their readers read all members.
pub struct PackedFile {
    packer: Packer<BufWriter<File>>,
    path: PathBuf,
    bytes: u64,
    _lease: Lease,
}

enum Packer<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl PackedFile {
    /// Whether files are written in a format: to be asked before anything is computed for `target`.
    ///
    /// # Errors
    /// A format that is only read.
    pub fn check(compression: Compression, target: &Path) -> Result<(), Error> {
        match compression {
            Compression::None | Compression::Gzip | Compression::Zstd => Ok(()),
            other => {
                let message = format!(
                    "files are not written as {other:?}, only read; choose Compression::Gzip, \
                     Compression::Zstd or Compression::None"
                );
                Err(Error::of(Fault::Pattern, message).at_path(target))
            }
        }
    }

    /// Makes a file, or empties an existing one.
    ///
    /// # Errors
    /// What the file system says, a format that is only read, and memory for the compressor.
    pub fn create(
        path: &Path,
        compression: Compression,
        memory: &dyn Memory,
    ) -> Result<PackedFile, Error> {
        PackedFile::check(compression, path)?;
        let packing = match compression {
            // deflate's window, hash chains and pending output
            Compression::Gzip => 320 << 10,
            // level 3: a window of 2 MiB with tables and input
            Compression::Zstd => 6 << 20,
            _ => 0,
        };
        let lease = memory.reserve(BUFFER_BYTES + packing)?;
        let file = File::create(path).map_err(|cause| Error::os("create", path, cause))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES as usize, file);
        let packer = match compression {
            Compression::Gzip => Packer::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            Compression::Zstd => Packer::Zstd(
                zstd::Encoder::new(file, 3).map_err(|cause| Error::os("write", path, cause))?,
            ),
            _ => Packer::None(file),
        };
        Ok(PackedFile {
            packer,
            path: path.to_owned(),
            bytes: 0,
            _lease: lease,
        })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        let written = match &mut self.packer {
            Packer::None(file) => file.write_all(bytes),
            Packer::Gzip(packer) => packer.write_all(bytes),
            Packer::Zstd(packer) => packer.write_all(bytes),
        };
        written.map_err(|cause| Error::os("write", &self.path, cause))
    }

    /// How many bytes were given, before compression.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the compressed stream and the file; says how long the file is.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(self) -> Result<u64, Error> {
        let ended: io::Result<u64> = (|| {
            let mut file = match self.packer {
                Packer::None(file) => file,
                Packer::Gzip(packer) => packer.finish()?,
                Packer::Zstd(packer) => packer.finish()?,
            };
            file.flush()?;
            Ok(file.get_ref().metadata()?.len())
        })();
        ended.map_err(|cause| Error::os("write", &self.path, cause))
    }
}

#[cfg(test)]
mod tests {
    use flagstone_common::Unlimited;

    use super::*;
    use crate::{DecompressingReader, Io, expand};

    #[test]
    fn what_is_written_is_read_back_also_when_files_are_joined() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Unlimited::new();
        for (name, compression) in [
            ("a.txt", Compression::None),
            ("a.txt.gz", Compression::Gzip),
            ("a.txt.zst", Compression::Zstd),
        ] {
            let path = dir.path().join(name);
            let mut joined = Vec::new();
            for text in ["one\ntwo\n", "three\n"] {
                let mut file = PackedFile::create(&path, compression, &memory).unwrap();
                file.write(text.as_bytes()).unwrap();
                assert_eq!(file.bytes(), text.len() as u64);
                let len = file.finish().unwrap();
                assert_eq!(len, path.metadata().unwrap().len());
                joined.extend(std::fs::read(&path).unwrap());
            }
            std::fs::write(&path, joined).unwrap();
            let file = expand([&path]).unwrap().remove(0);
            let io = Io::new(&memory);
            let mut reader = DecompressingReader::open(&file, &io).unwrap();
            let mut text = String::new();
            io::Read::read_to_string(&mut reader, &mut text).unwrap();
            assert_eq!(text, "one\ntwo\nthree\n", "{name}");
        }
        assert_eq!(memory.granted_bytes(), 0);
    }

    #[test]
    fn formats_that_are_only_read_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Unlimited::new();
        let path = dir.path().join("a.xz");
        let error = PackedFile::create(&path, Compression::Xz, &memory).err();
        assert!(
            error
                .unwrap()
                .to_string()
                .contains("choose Compression::Gzip")
        );
        assert!(!path.exists());
    }
}
