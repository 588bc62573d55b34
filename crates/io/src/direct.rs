//! Large output past the system's page cache.
//!
//! A result that is larger than the memory budget does not come out of the page cache again before
//! it was pushed out of it, but on its way in it takes memory from everybody else, a copy, and a
//! wait when it is synced. So long stretches that lie on whole blocks, in memory and in the file,
//! are handed to the device where they lie; their ends, and everything where the file system
//! offers no such writes, take the usual way. Nothing changes for the reader of the file, and
//! nothing for its durability: the caller syncs it as before.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Devices have blocks of 512 or 4096 bytes.
pub const DIRECT_BLOCK_BYTES: usize = 4096;
/// Shorter stretches do not pay for waiting for the device.
const DIRECT_BYTES_MIN: usize = 1 << 20;

/// A file that is written at places, by any number of threads.
#[derive(Debug)]
pub struct DirectFile {
    file: File,
    /// This file, opened for writes past the cache.
    direct: Option<File>,
    /// The file system let us open it so, but refused a write.
    refused: AtomicBool,
}

impl DirectFile {
    /// A file at a path, already open for writing; `past_cache` if what is written is too much for
    /// the page cache.
    pub fn new(file: File, path: &Path, past_cache: bool) -> Self {
        DirectFile {
            file,
            direct: past_cache.then(|| open_direct(path).ok()).flatten(),
            refused: AtomicBool::new(false),
        }
    }

    /// Gives the file a length and, where the file system can, room on the device for all of it,
    /// so that a full disk is an error before anything is computed.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn set_len(&self, bytes: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if self.direct.is_some() && bytes > 0 {
            use std::os::fd::AsRawFd;

            let length = i64::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
            // SAFETY: the descriptor is open for the call.
            let made = unsafe { libc::fallocate(self.file.as_raw_fd(), 0, 0, length) };
            let error = io::Error::last_os_error();
            // file systems that cannot are asked for the length alone
            if made != 0 && error.raw_os_error() == Some(libc::ENOSPC) {
                return Err(error);
            }
        }
        self.file.set_len(bytes)
    }

    /// Writes all of `bytes` at an offset.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some((direct, head, middle)) = self.stretch(bytes, offset) else {
            return self.file.write_all_at(bytes, offset);
        };
        let (first, rest) = bytes.split_at(head);
        let (whole, last) = rest.split_at(middle);
        let at = offset + head as u64;
        self.file.write_all_at(first, offset)?;
        let mut done = 0;
        while done < whole.len() {
            match direct.write_at(&whole[done..], at + done as u64) {
                Ok(written) if written > 0 && written.is_multiple_of(DIRECT_BLOCK_BYTES) => {
                    done += written;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // what is wrong with the place, the usual way says
                Ok(_) | Err(_) => {
                    self.refused.store(true, Ordering::Relaxed);
                    self.file.write_all_at(&whole[done..], at + done as u64)?;
                    break;
                }
            }
        }
        self.file
            .write_all_at(last, offset + (head + middle) as u64)
    }

    /// How many bytes come before the whole blocks, and how many are these; `None` where there are
    /// too few, or they do not lie on blocks in memory where they do in the file.
    fn stretch(&self, bytes: &[u8], offset: u64) -> Option<(&File, usize, usize)> {
        let direct = self.direct.as_ref()?;
        let head = (offset.next_multiple_of(DIRECT_BLOCK_BYTES as u64) - offset) as usize;
        let rest = bytes.get(head..)?;
        let middle = rest.len() / DIRECT_BLOCK_BYTES * DIRECT_BLOCK_BYTES;
        let aligned = (rest.as_ptr() as usize).is_multiple_of(DIRECT_BLOCK_BYTES);
        let refused = self.refused.load(Ordering::Relaxed);
        (aligned && middle >= DIRECT_BYTES_MIN && !refused).then_some((direct, head, middle))
    }
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory that begins `shift` bytes after a block.
    fn shifted(values: &[u8], shift: usize) -> (Vec<u8>, std::ops::Range<usize>) {
        let mut held = vec![0; values.len() + 2 * DIRECT_BLOCK_BYTES];
        let start = held.as_ptr().align_offset(DIRECT_BLOCK_BYTES) + shift;
        held[start..start + values.len()].copy_from_slice(values);
        (held, start..start + values.len())
    }

    #[test]
    fn bytes_are_the_same_wherever_they_lie() {
        let directory = tempfile::tempdir().unwrap();
        let values: Vec<u8> = (0..DIRECT_BYTES_MIN * 2 + 777)
            .map(|i| ((i * 7) >> 3) as u8)
            .collect();
        for (shift, offset) in [
            (0, 0),
            (128, 128),
            (5, 4096),
            (0, 8192),
            (0, 64),
            (4000, 8096),
        ] {
            let path = directory.path().join(format!("{shift}-{offset}"));
            let (held, range) = shifted(&values, shift);
            for past_cache in [false, true] {
                let file = DirectFile::new(File::create(&path).unwrap(), &path, past_cache);
                let length = offset + values.len() as u64 + 10;
                file.set_len(length).unwrap();
                file.write_all_at(&held[range.clone()], offset).unwrap();
                let back = std::fs::read(&path).unwrap();
                assert_eq!(back.len() as u64, length);
                let (before, rest) = back.split_at(offset as usize);
                assert!(
                    rest[..values.len()] == values,
                    "{shift} {offset} {past_cache}"
                );
                assert!(
                    before
                        .iter()
                        .chain(&rest[values.len()..])
                        .all(|&byte| byte == 0)
                );
            }
        }
    }

    #[test]
    fn parts_beside_each_other_in_one_block_are_all_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("parts");
        let file = DirectFile::new(File::create(&path).unwrap(), &path, true);
        let part = DIRECT_BYTES_MIN + 1000;
        file.set_len(4 * part as u64).unwrap();
        std::thread::scope(|scope| {
            for number in 0..4usize {
                let file = &file;
                scope.spawn(move || {
                    let values = vec![number as u8 + 1; part];
                    let offset = number * part;
                    let (held, range) = shifted(&values, offset % DIRECT_BLOCK_BYTES);
                    file.write_all_at(&held[range], offset as u64).unwrap();
                });
            }
        });
        let back = std::fs::read(&path).unwrap();
        for (number, part) in back.chunks(part).enumerate() {
            assert!(
                part.iter().all(|&byte| byte == number as u8 + 1),
                "{number}"
            );
        }
    }
}
