//! The G1 table of the h2o group-by benchmark, with 100 groups in the small keys.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::random::Random;
use crate::write::{TextFile, write_files};

const GROUPS: u64 = 100;
const ROWS_PER_BATCH: usize = 20_000;
/// The length of a line, on average, from which the number of rows follows.
const LINE_BYTES: u64 = 49;

pub(crate) fn generate(size: u64, seed: u64, dir: &Path, threads: usize) -> Result<Vec<PathBuf>> {
    let many = (size / LINE_BYTES / GROUPS).max(1);
    let file = TextFile {
        name: "groupby.csv".to_owned(),
        header: "id1,id2,id3,id4,id5,id6,v1,v2,v3\n",
        bytes: size,
        gzip: false,
    };
    write_files(dir, &[file], threads, &|_, batch, lines| {
        let mut random = Random::new(seed ^ 0x6762, batch as u64);
        for _ in 0..ROWS_PER_BATCH {
            let mut small = || 1 + random.below(GROUPS);
            let (id1, id2, id4, id5) = (small(), small(), small(), small());
            let (id3, id6) = (1 + random.wide_below(many), 1 + random.wide_below(many));
            let (v1, v2) = (1 + random.below(5), 1 + random.below(15));
            let v3 = random.wide_below(100_000_000);
            let (whole, part) = (v3 / 1_000_000, v3 % 1_000_000);
            // writing to memory cannot fail
            let _ = writeln!(
                lines,
                "id{id1:03},id{id2:03},id{id3:010},{id4},{id5},{id6},{v1},{v2},{whole}.{part:06}"
            );
        }
    })
}
