//! Products of tall matrices far larger than the budget: what is certified, and what is measured.
//! One JSON line a case and budget:
//!
//! - `gram`: `A.t().dot(&A)` for A of 1,000,000 x 1000 f64 (8 GB)
//! - `classic`: `A.t().dot(&B) - B.mean(0)`, the plan that eager schedulers die of
//!
//! `answer` is a hash of the result's bits: equal for every budget. `FLAGSTONE_BENCH_ROWS` changes
//! the million; the matrices are kept in `$FLAGSTONE_BENCH_DIR` (default: the temporary directory).

use std::error::Error;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flagstone::{Array, Counter, Session};

const COLUMNS: usize = 1000;
const MIB: u64 = 1 << 20;

/// Anonymous and shared memory of this process now, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
    let wanted = |line: &&str| line.starts_with("RssAnon:") || line.starts_with("RssShmem:");
    status.lines().filter(wanted).filter_map(kib).sum::<u64>() << 10
}

/// The largest `resident_bytes` while `work` runs, sampled every 5 ms.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let (peak, stop) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let sampler = std::thread::spawn({
        let (peak, stop) = (Arc::clone(&peak), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                peak.fetch_max(resident_bytes(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let value = work();
    stop.store(true, Ordering::Relaxed);
    let _ = sampler.join();
    (value, peak.load(Ordering::Relaxed))
}

/// A matrix of small numbers that differ, made once.
fn matrix(dir: &Path, name: &str, rows: usize, seed: usize) -> Result<PathBuf, Box<dyn Error>> {
    let path = dir.join(format!("{name}-{rows}.npy"));
    if !path.exists() {
        let values = Array::from_fn(&[rows, COLUMNS], move |index| {
            let mixed = (index[0] * COLUMNS + index[1] + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed >> 40) as f64 / f64::from(1 << 24) - 0.5
        });
        let session = Session::builder().memory("256 MiB").build()?;
        session.store_npy(&values, &path)?;
    }
    Ok(path)
}

fn main() -> Result<(), Box<dyn Error>> {
    let rows = std::env::var("FLAGSTONE_BENCH_ROWS").ok();
    let rows: usize = rows.and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let dir =
        std::env::var_os("FLAGSTONE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let a = Array::<f64>::open_npy(matrix(&dir, "A", rows, 0)?);
    let b = Array::<f64>::open_npy(matrix(&dir, "B", rows, 1 << 40)?);
    let cases = [
        ("gram", a.t().dot(&a)),
        ("classic", a.t().dot(&b) - b.mean(0)),
    ];
    for (case, product) in &cases {
        for budget in [256 * MIB, 1024 * MIB] {
            let session = Session::builder().memory_bytes(budget).threads(2).build()?;
            let certificate = session.explain(product)?.certificate().clone();
            let start = Instant::now();
            let (result, peak) = peak_of(|| session.compute(product));
            let (result, wall_s) = (result?, start.elapsed().as_secs_f64());
            let mut hasher = DefaultHasher::new();
            result.iter().for_each(|x| hasher.write_u64(x.to_bits()));
            let stats = session.last_stats();
            println!(
                "{{\"bench\":\"products\",\"case\":\"{case}\",\"rows\":{rows},\"columns\":{COLUMNS},\
                 \"wall_s\":{wall_s:.2},\"budget_bytes\":{budget},\"certified_peak_bytes\":{},\
                 \"smallest_budget_bytes\":{},\"ledger_peak_bytes\":{},\"peak_rss_bytes\":{peak},\
                 \"bytes_read\":{},\"bytes_spilled\":{},\"answer\":\"{:016x}\"}}",
                certificate.peak_bytes(),
                certificate.minimum_budget_bytes(),
                stats.ledger_peak_bytes,
                stats.counter(Counter::BytesRead),
                stats.bytes_spilled,
                hasher.finish(),
            );
        }
    }
    Ok(())
}
