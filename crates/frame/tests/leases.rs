//! What is allocated is leased first: the heap's peak against the ledger's.
//!
//! One test, in a program of its own: the counting allocator sees every thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use flagstone_frame::{
    CsvOptions, DataFrame, Join, JoinType, JsonOptions, ParquetOptions, col, count_all, first,
    last, list, lit, mean, median, min, n_unique, sum, var,
};
use flagstone_scheduler::Session;

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Many columns that are nearly all empty: a byte of text is nine of a column.
fn wide(path: &Path) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let columns = 400;
    let names: Vec<String> = (0..columns).map(|i| format!("c{i}")).collect();
    writeln!(out, "{}", names.join(",")).unwrap();
    for row in 0..6000 {
        let mut fields = vec![""; columns];
        fields[row % columns] = "7";
        fields[0] = "1.5";
        writeln!(out, "{}", fields.join(",")).unwrap();
    }
}

/// So many columns that the encoders of all of them are what is held, of numbers and of text.
fn wider(path: &Path, text: bool) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let columns = 5000;
    let line = |field: &dyn Fn(usize) -> String| {
        let fields: Vec<String> = (0..columns).map(field).collect();
        fields.join(",")
    };
    writeln!(out, "{}", line(&|i| format!("c{i}"))).unwrap();
    for row in 0..60 {
        let field = |i: usize| match text {
            true => format!("text {}", (i * 7919 + row * 104_729) % 1000),
            false => ((i * 7919 + row * 104_729) % 100_000).to_string(),
        };
        writeln!(out, "{}", line(&field)).unwrap();
    }
}

/// A few fields of many megabytes among short ones.
fn skewed(path: &Path) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    writeln!(out, "id,text,note").unwrap();
    let long = "a \"\"quoted\"\" text, and more of it\n".repeat(150_000);
    for row in 0..3000 {
        match row % 1000 {
            500 => writeln!(out, "{row},\"{long}\",x").unwrap(),
            _ => writeln!(out, "{row},short,\"y\"").unwrap(),
        }
    }
}

/// Far past what is looked at for the schema, every record brings a key of its own.
fn strange(path: &Path) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    for row in 0..60_000 {
        writeln!(out, "{{\"n\":{row},\"of\":{{\"a\":true}}}}").unwrap();
    }
    for row in 0..60_000 {
        writeln!(
            out,
            "{{\"key number {row}\":1,\"of\":{{\"member {row}\":1}}}}"
        )
        .unwrap();
    }
}

/// Keys of which some come often and most once or twice, with a text and a number.
fn grouped(path: &Path) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    writeln!(out, "k,t,x").unwrap();
    for row in 0..300_000u64 {
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let key = if row % 3 == 0 {
            mixed % 50
        } else {
            mixed % 200_000
        };
        writeln!(
            out,
            "{key},text number {},{}",
            mixed % 5000,
            mixed as f64 / 7.0
        )
        .unwrap();
    }
}

/// Group-by, with states that stay as they are and with such that grow.
fn groups(path: &Path) -> Vec<(&'static str, DataFrame)> {
    let rows = || DataFrame::read_csv([path], CsvOptions::csv());
    let by_key = || rows().groupby(["k"]).sort(false);
    vec![
        (
            "sums",
            by_key().agg([sum(col("x")), mean(col("x")), var(col("x"))]),
        ),
        (
            "texts",
            by_key().agg([min(col("t")), first(col("t")), last(col("t"))]),
        ),
        ("lists", by_key().agg([list(col("t")), median(col("x"))])),
        (
            "sets",
            by_key().agg([n_unique(col("t")), n_unique(col("x"))]),
        ),
        ("distinct", rows().distinct()),
        ("sorted", rows().groupby(["t", "k"]).agg([count_all()])),
    ]
}

/// Keys of which some come often, and texts of different lengths.
fn keyed(path: &Path, rows: usize) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    writeln!(out, "key,n,text").unwrap();
    for row in 0..rows {
        let key = if row % 10 == 3 { 7 } else { row * 7919 % 5000 };
        let text = "text ".repeat(row % 97);
        writeln!(out, "{key},{row},{text}").unwrap();
    }
}

#[test]
fn the_heap_stays_below_what_the_ledger_granted() {
    let dir = tempfile::tempdir().unwrap();
    wide(&dir.path().join("wide.csv"));
    skewed(&dir.path().join("skewed.csv"));
    strange(&dir.path().join("strange.json"));
    wider(&dir.path().join("numbers.csv"), false);
    wider(&dir.path().join("texts.csv"), true);
    keyed(&dir.path().join("left.csv"), 20_000);
    keyed(&dir.path().join("right.csv"), 8_000);
    keyed(&dir.path().join("small.csv"), 400);
    let read = |name: &str| DataFrame::read_csv([dir.path().join(name)], CsvOptions::csv());
    for name in [
        "wide.csv",
        "skewed.csv",
        "strange.json",
        "numbers.csv",
        "texts.csv",
        "left and right",
        "left and small",
    ] {
        let frame = match name {
            "strange.json" => DataFrame::read_json([dir.path().join(name)], JsonOptions::default()),
            "left and right" => {
                let less = (col("left.n") % lit(50)).eq(col("right.n") % lit(50));
                let less = less.and(col("left.n").lt(col("right.n")));
                let join = Join::new(JoinType::Full).on("key", "key").filter(less);
                read("left.csv").join_with(&read("right.csv"), join)
            }
            "left and small" => read("left.csv").join(&read("small.csv"), ["key"], JoinType::Left),
            name => read(name),
        };
        // the schema is looked at before, so that what the optimiser takes is no part of it
        frame.check().unwrap();
        for write in [false, true] {
            let session = Session::builder()
                .memory("1 GiB")
                .threads(1)
                .build()
                .unwrap();
            let granted = session.granted_bytes();
            let before = NOW.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            if write {
                let out = dir.path().join(format!("{name}-out"));
                frame
                    .write_parquet_with(&session, &out, &ParquetOptions::default())
                    .unwrap();
            } else {
                frame.count_with(&session).unwrap();
            }
            let heap = PEAK.load(Ordering::Relaxed) - before;
            let leased = (session.stats().ledger_peak_bytes - granted) as usize;
            // the plan and its expressions: the charge for libraries
            let slack = 4 << 20;
            assert!(
                heap <= leased + slack,
                "{name}: {} MiB on the heap, {} MiB leased (writing: {write})",
                heap >> 20,
                leased >> 20
            );
        }
    }
    grouped(&dir.path().join("grouped.csv"));
    for (name, frame) in groups(&dir.path().join("grouped.csv")) {
        frame.check().unwrap();
        for budget in [16 << 20, 1 << 30] {
            let builder = Session::builder().threads(1).memory_bytes(budget);
            let session = builder.spill_dir(dir.path()).build().unwrap();
            let granted = session.granted_bytes();
            let before = NOW.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            frame.count_with(&session).unwrap();
            let heap = PEAK.load(Ordering::Relaxed) - before;
            let leased = (session.stats().ledger_peak_bytes - granted) as usize;
            let slack = 4 << 20;
            assert!(
                heap <= leased + slack,
                "{name}: {} KiB on the heap, {} KiB leased of {budget}",
                heap >> 10,
                leased >> 10
            );
        }
    }
}
