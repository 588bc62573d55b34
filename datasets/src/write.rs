//! Writing data sets: files in parallel, or the batches of one file in parallel, in order.
//!
//! What is written depends on seed and size only: every batch has its own stream of random numbers,
//! and threads decide nothing but who makes it.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::{Error, Result};

/// A text file made of batches of whole lines, cut at `bytes`.
pub(crate) struct TextFile {
    pub(crate) name: String,
    pub(crate) header: &'static str,
    /// The size before compression, header included; the last line may pass it.
    pub(crate) bytes: u64,
    pub(crate) gzip: bool,
}

/// Makes the lines of batch `batch` of file `file`.
pub(crate) type MakeBatch<'a> = dyn Fn(usize, usize, &mut Vec<u8>) + Sync + 'a;

/// Writes files, several at once; a single file is made several batches at once.
pub(crate) fn write_files(
    dir: &Path,
    files: &[TextFile],
    threads: usize,
    make: &MakeBatch<'_>,
) -> Result<Vec<PathBuf>> {
    let inner = threads.div_ceil(files.len().max(1));
    for_each(files.len(), threads, &|index| {
        write_file(dir, index, &files[index], inner, make)
    })?;
    Ok(files.iter().map(|file| dir.join(&file.name)).collect())
}

/// Calls `body` for every index on `threads` threads; the first error by index is returned.
pub(crate) fn for_each(
    count: usize,
    threads: usize,
    body: &(dyn Fn(usize) -> Result<()> + Sync),
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            if let Err(error) = body(index) {
                let mut failed = failed
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                if failed.as_ref().is_none_or(|(first, _)| index < *first) {
                    *failed = Some((index, error));
                }
                next.store(count, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            // those that can be started do all of it
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    match failed
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
    {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

fn write_file(
    dir: &Path,
    index: usize,
    file: &TextFile,
    threads: usize,
    make: &MakeBatch<'_>,
) -> Result<()> {
    let path = dir.join(&file.name);
    let failed = |error| Error::new(&path, error);
    let out = BufWriter::with_capacity(1 << 20, create(&path)?);
    let mut out = match file.gzip {
        // without a time stamp: equal data makes equal files
        true => Out::Gzip(Box::new(GzEncoder::new(out, Compression::new(6)))),
        false => Out::Plain(out),
    };
    out.write_all(file.header.as_bytes()).map_err(failed)?;
    let mut left = file.bytes.saturating_sub(file.header.len() as u64);
    let mut next = 0;
    let mut wave: Vec<Mutex<Vec<u8>>> = (0..threads.max(1)).map(|_| Mutex::default()).collect();
    while left > 0 {
        for_each(wave.len(), threads, &|i| {
            let mut lines = wave[i]
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            lines.clear();
            make(index, next + i, &mut lines);
            Ok(())
        })?;
        next += wave.len();
        for lines in &mut wave {
            let lines = lines
                .get_mut()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            let lines = match lines.len() as u64 >= left {
                true => &lines[..end_of_line(lines, left as usize)],
                false => &lines[..],
            };
            out.write_all(lines).map_err(failed)?;
            left = left.saturating_sub(lines.len() as u64);
            if left == 0 {
                break;
            }
        }
    }
    out.finish().map_err(failed)
}

/// The end of the line that holds byte `at - 1`.
fn end_of_line(lines: &[u8], at: usize) -> usize {
    let from = at.saturating_sub(1);
    let rest = lines[from..].iter().position(|&byte| byte == b'\n');
    rest.map_or(lines.len(), |newline| from + newline + 1)
}

enum Out {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

impl Out {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Out::Plain(out) => out.write_all(bytes),
            Out::Gzip(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> std::io::Result<()> {
        match self {
            Out::Plain(mut out) => out.flush(),
            Out::Gzip(out) => out.finish()?.flush(),
        }
    }
}

/// Creates a file that must not exist.
pub(crate) fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| Error::new(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_end_with_the_line_that_reaches_the_size() {
        assert_eq!(end_of_line(b"ab\ncd\n", 1), 3);
        assert_eq!(end_of_line(b"ab\ncd\n", 3), 3);
        assert_eq!(end_of_line(b"ab\ncd\n", 4), 6);
    }

    #[test]
    fn an_error_names_the_file() {
        let file = TextFile {
            name: "x".into(),
            header: "",
            bytes: 10,
            gzip: false,
        };
        let make: &MakeBatch<'_> = &|_, _, lines| lines.extend(b"line\n");
        let missing = Path::new("/nonexistent/dir");
        let error = write_files(missing, &[file], 2, make).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/dir/x"), "{error}");
    }
}
