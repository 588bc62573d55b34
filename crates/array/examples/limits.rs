//! What the machine can do at most, beside which the jobs of `benches/peers` are put: two threads that
//! do nothing but read, copy or multiply. Prints one JSON line.
//!
//! - `limits read TIMES PATH...`: reads the files (of directories: all in them) so many times
//! - `limits copy FROM TO`: reads the files of a directory and writes them, past the page cache as output
//!   larger than the budget is, and synced
//! - `limits kernel M K N`: multiplies `M x K` by `K x N` in blocks of 2048 rows that stay in
//!   memory, with the `gemm` crate
//! - `limits gram M K`: half the multiplications of `A.T · A`, `M x K`, in blocks as `kernel`

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const THREADS: usize = 2;
const BLOCK_BYTES: usize = 1 << 20;
const BLOCK_ROWS: usize = 2048;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seconds = match words.as_slice() {
        ["read", times, paths @ ..] => read(times.parse()?, &files(paths)?)?,
        ["copy", from, to] => copy(Path::new(from), Path::new(to))?,
        ["kernel", m, k, n] => kernel(m.parse()?, k.parse()?, n.parse()?, 1.0),
        ["gram", m, k] => kernel(k.parse()?, m.parse()?, k.parse()?, 0.5),
        _ => return Err("usage: limits read|copy|kernel|gram ...".into()),
    };
    println!("{{\"wall_s\": {seconds:.3}, \"answer\": 0}}");
    Ok(())
}

fn files(paths: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if !Path::new(path).is_dir() {
            found.push(path.into());
            continue;
        }
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            match path.to_str() {
                Some(text) if path.is_dir() => found.extend(files(&[text])?),
                _ => found.push(path),
            }
        }
    }
    Ok(found)
}

/// Runs `work` for every number below `count`, on all threads.
fn spread(count: usize, work: impl Fn(usize) -> Result<(), Failure> + Sync) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let run = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return Ok(());
            }
            work(i)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })
}

/// Open files, and blocks of them: which file, and where.
type FileBlocks = (Vec<File>, Vec<(usize, u64)>);

/// All blocks of all files, as file and offset.
fn blocks(paths: &[PathBuf]) -> Result<FileBlocks, Failure> {
    let (mut opened, mut blocks) = (Vec::new(), Vec::new());
    for path in paths {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        blocks.extend(
            (0..length)
                .step_by(BLOCK_BYTES)
                .map(|at| (opened.len(), at)),
        );
        opened.push(file);
    }
    Ok((opened, blocks))
}

fn read(times: usize, paths: &[PathBuf]) -> Result<f64, Failure> {
    let (files, blocks) = blocks(paths)?;
    let start = Instant::now();
    for _ in 0..times {
        spread(blocks.len(), |i| {
            let mut buffer = vec![0; BLOCK_BYTES];
            let (file, at) = blocks[i];
            files[file].read_at(&mut buffer, at)?;
            std::hint::black_box(&buffer);
            Ok(())
        })?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// A buffer whose start is as aligned as writes past the page cache want it.
#[repr(align(4096))]
struct Aligned([u8; BLOCK_BYTES]);

fn copy(from: &Path, to: &Path) -> Result<f64, Failure> {
    let paths = files(&[from.to_str().ok_or("a path is not UTF-8")?])?;
    let (files, blocks) = blocks(&paths)?;
    let create = |i| {
        OpenOptions::new()
            .write(true)
            .create(true)
            .custom_flags(libc::O_DIRECT)
            .open(to.join(format!("{i}")))
    };
    let outputs: Vec<File> = (0..files.len()).map(create).collect::<Result<_, _>>()?;
    let start = Instant::now();
    spread(blocks.len(), |i| {
        let mut buffer = Box::new(Aligned([0; BLOCK_BYTES]));
        let (file, at) = blocks[i];
        let length = files[file].read_at(&mut buffer.0, at)?;
        let length = length.next_multiple_of(4096).min(BLOCK_BYTES);
        outputs[file].write_all_at(&buffer.0[..length], at)?;
        Ok(())
    })?;
    outputs.iter().try_for_each(File::sync_all)?;
    Ok(start.elapsed().as_secs_f64())
}

/// `m x k` by `k x n`, `share` of it: rows of the result for every thread, the contracted axis in the
/// pieces that fit a buffer, which is used for all of them.
fn kernel(m: usize, k: usize, n: usize, share: f64) -> f64 {
    let (rows, depth) = (m.min(BLOCK_ROWS), k.min(BLOCK_ROWS * 2));
    let number =
        |i: usize| ((i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64) / 16_777_216.0 - 0.5;
    let a: Vec<f64> = (0..rows * depth).map(number).collect();
    let b: Vec<f64> = (0..depth * n).map(number).collect();
    let calls = (m as f64 / rows as f64) * (k as f64 / depth as f64) * share;
    let per_thread = (calls / THREADS as f64).ceil() as usize;
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut c = vec![0.0f64; rows * n];
                for _ in 0..per_thread {
                    // SAFETY: all three are row-major matrices of these shapes, and C is this
                    // thread's own.
                    unsafe {
                        gemm::gemm(
                            rows,
                            n,
                            depth,
                            c.as_mut_ptr(),
                            1,
                            n as isize,
                            true,
                            a.as_ptr(),
                            1,
                            depth as isize,
                            b.as_ptr(),
                            1,
                            n as isize,
                            1.0,
                            1.0,
                            false,
                            false,
                            false,
                            gemm::Parallelism::None,
                        );
                    }
                }
                std::hint::black_box(&c);
            });
        }
    });
    // the last call of a thread may be one more than its share
    start.elapsed().as_secs_f64() * calls / (per_thread * THREADS) as f64
}
