//! How a file is compressed: what its name says and what its first bytes say.
//!
//! Both are asked. A name that promises gzip over bytes that are not is a mistake worth an error;
//! bytes that are gzip under a plain name are read as gzip, since no text starts that way.

use std::path::Path;

use flagstone_common::{Error, Fault};

/// How the bytes of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all; such a file can be read from any byte.
    #[default]
    None,
    /// gzip, any number of members (`.gz`, `.gzip`, `.bgz`).
    Gzip,
    /// Zstandard, any number of frames (`.zst`, `.zstd`).
    Zstd,
    /// bzip2, any number of streams (`.bz2`).
    Bzip2,
    /// xz, any number of streams (`.xz`).
    Xz,
}

/// So many first bytes decide every format.
pub(crate) const HEAD_LEN: usize = 10;

impl Compression {
    /// What the file's last extension says.
    pub fn from_extension(path: &Path) -> Compression {
        let extension = path
            .extension()
            .map(|extension| extension.to_ascii_lowercase());
        match extension
            .as_deref()
            .and_then(|extension| extension.to_str())
        {
            Some("gz" | "gzip" | "bgz") => Compression::Gzip,
            Some("zst" | "zstd") => Compression::Zstd,
            Some("bz2") => Compression::Bzip2,
            Some("xz") => Compression::Xz,
            _ => Compression::None,
        }
    }

    /// What the first bytes of a file (ten are enough) say.
    pub fn from_magic(head: &[u8]) -> Compression {
        match head {
            [0x1f, 0x8b, 8, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            // text may start with "BZh9", but not with the block or end magic after it
            [
                b'B',
                b'Z',
                b'h',
                b'1'..=b'9',
                0x31,
                0x41,
                0x59,
                0x26,
                0x53,
                0x59,
                ..,
            ]
            | [
                b'B',
                b'Z',
                b'h',
                b'1'..=b'9',
                0x17,
                0x72,
                0x45,
                0x38,
                0x50,
                0x90,
                ..,
            ] => Compression::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            _ => Compression::None,
        }
    }

    /// The name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
        }
    }

    /// Decides from both, or says how they contradict each other.
    pub(crate) fn detect(path: &Path, head: &[u8]) -> Result<Compression, Error> {
        let (named, found) = (
            Compression::from_extension(path),
            Compression::from_magic(head),
        );
        // an empty file has no lines, whatever it is called
        if head.is_empty() {
            return Ok(Compression::None);
        }
        if named == found || named == Compression::None || named.may_start_with(head) {
            return Ok(if named == Compression::None {
                found
            } else {
                named
            });
        }
        let hint = match found {
            Compression::None => "; rename it if it is plain".to_owned(),
            found => format!("; its bytes are {}", found.name()),
        };
        let message = format!("it is called {} but is not {0} inside{hint}", named.name());
        Err(Error::of(Fault::Corrupt, message)
            .at_path(path)
            .at_offset(0))
    }

    /// Whether a file of this format may start so; also true for a file cut inside its magic.
    fn may_start_with(self, head: &[u8]) -> bool {
        let agree = |magic: &[u8]| head.iter().zip(magic).all(|(a, b)| a == b);
        match self {
            Compression::None => true,
            Compression::Gzip => agree(&[0x1f, 0x8b, 8]),
            Compression::Bzip2 => agree(b"BZh"),
            Compression::Xz => agree(b"\xfd7zXZ\0"),
            Compression::Zstd => {
                // a skippable frame may come first
                agree(&[0x28, 0xb5, 0x2f, 0xfd])
                    || (head[0] & 0xf0 == 0x50
                        && head[1..]
                            .iter()
                            .zip([0x2a, 0x4d, 0x18])
                            .all(|(a, b)| *a == b))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bytes_must_agree() {
        let detect = |name: &str, head: &[u8]| Compression::detect(Path::new(name), head);
        assert_eq!(
            detect("a.json.gz", &[0x1f, 0x8b, 8, 0]).unwrap(),
            Compression::Gzip
        );
        assert_eq!(detect("a.GZ", &[0x1f]).unwrap(), Compression::Gzip);
        assert_eq!(
            detect("a.json", &[0x1f, 0x8b, 8, 0]).unwrap(),
            Compression::Gzip
        );
        assert_eq!(detect("a.json", b"{\"a\":1}").unwrap(), Compression::None);
        assert_eq!(
            detect("a.txt", b"BZh91 is a name").unwrap(),
            Compression::None
        );
        assert_eq!(detect("a.gz", b"").unwrap(), Compression::None);
        assert_eq!(
            detect("a.zst", &[0x5f, 0x2a, 0x4d, 0x18]).unwrap(),
            Compression::Zstd
        );
        let error = detect("a.gz", b"{\"a\":1}").unwrap_err();
        assert_eq!(error.fault(), Some(Fault::Corrupt));
        assert!(
            error.to_string().contains("called gzip but is not gzip"),
            "{error}"
        );
        let error = detect("a.gz", &[0x28, 0xb5, 0x2f, 0xfd]).unwrap_err();
        assert!(error.to_string().contains("its bytes are zstd"), "{error}");
    }
}
