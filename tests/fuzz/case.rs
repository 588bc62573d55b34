//! Running one target for a while, watched: how long a case takes, what it allocates, whether it
//! panics.

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flagstone::{ErrorKind, Result, Session};

use crate::mutate::{Random, mutated};

/// The budget of every case.
pub(crate) const BUDGET: u64 = 48 << 20;
/// What the process may hold beyond it.
const BEYOND: u64 = 64 << 20;
/// A case that takes longer hangs.
const CASE_MAX: Duration = Duration::from_secs(30);

struct Counting;

static HELD: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

// SAFETY: the system's allocator, with counters beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size() as u64, Ordering::Relaxed);
        PEAK.fetch_max(held + layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Targets are timed and measured one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Reads an input, a file of this path.
pub(crate) type Read<'a> = dyn Fn(&Path, &[u8], &Session) -> Result<String> + Sync + 'a;

/// What a format is: its files' name, inputs that are right, words, and how it is read.
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    pub(crate) file: &'a str,
    pub(crate) seeds: Vec<Vec<u8>>,
    pub(crate) words: &'a [&'a [u8]],
    /// Reads the input, a file of this path, and says what was found; an error is an answer.
    pub(crate) read: &'a Read<'a>,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// The input that is read now, and since when, for who watches.
#[derive(Default)]
struct Current(Option<(Instant, Vec<u8>)>);

fn keep(name: &str, file: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!(
        "flagstone-fuzz-{name}-{}-{file}",
        std::process::id()
    ));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Runs a target for its time.
pub(crate) fn run(target: &Target<'_>) {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(target.file);
    let mut random = Random::new(number("FLAGSTONE_FUZZ_SEED", 7));
    let end = Instant::now() + Duration::from_secs(number("FLAGSTONE_FUZZ_SECONDS", 2));
    let current: Arc<Mutex<Current>> = Arc::default();
    let (name, file) = (target.name.to_owned(), target.file.to_owned());
    let watched = Arc::downgrade(&current);
    std::thread::spawn(move || {
        while let Some(current) = watched.upgrade() {
            if let Current(Some((since, bytes))) = &*current.lock().unwrap()
                && since.elapsed() > CASE_MAX
            {
                let path = keep(&name, &file, bytes);
                eprintln!("{name}: a case hangs: {}", path.display());
                std::process::abort();
            }
            drop(current);
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let (mut cases, mut answers) = (0u64, 0u64);
    while cases < 20 || Instant::now() < end {
        let seed = &target.seeds[random.below(target.seeds.len())];
        let bytes = match cases < target.seeds.len() as u64 {
            true => target.seeds[cases as usize].clone(),
            false => mutated(seed, target.words, &mut random),
        };
        cases += 1;
        std::fs::write(&path, &bytes).unwrap();
        current.lock().unwrap().0 = Some((Instant::now(), bytes.clone()));
        let session = |threads| {
            let builder = Session::builder().memory_bytes(BUDGET).threads(threads);
            builder.allow_tmpfs().build().unwrap()
        };
        let before = HELD.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let found = [1, 2].map(|threads| {
            let session = session(threads);
            let read = || (target.read)(&path, &bytes, &session);
            let answer = catch_unwind(AssertUnwindSafe(read));
            let fits = session.stats().ledger_peak_bytes <= BUDGET;
            (answer, fits)
        });
        let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        let failed = |what: &str| -> ! {
            let path = keep(target.name, target.file, &bytes);
            panic!("{}: {what}; the input is {}", target.name, path.display());
        };
        let mut texts = Vec::new();
        for (answer, fits) in found {
            match answer {
                Err(_) => failed("it panics"),
                Ok(Err(error)) if error.kind() == ErrorKind::Panicked => {
                    failed(&format!("a task panics: {error}"));
                }
                Ok(Err(error)) => texts.push(Err(error.kind())),
                Ok(Ok(text)) => texts.push(Ok(text)),
            }
            if !fits {
                failed("the ledger is over its budget");
            }
        }
        if peak > BUDGET + BEYOND {
            failed(&format!("{peak} bytes were allocated"));
        }
        if texts[0] != texts[1] {
            failed(&format!(
                "one thread and two differ: {:?} and {:?}",
                texts[0], texts[1]
            ));
        }
        answers += u64::from(texts[0].is_ok());
    }
    current.lock().unwrap().0 = None;
    eprintln!("{}: {cases} cases, {answers} of them read", target.name);
    assert!(answers > 0, "{}: not even the seeds were read", target.name);
}
