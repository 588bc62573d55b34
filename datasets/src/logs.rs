//! A proxy's log in the manner of the UC Berkeley home-IP traces: times, client, server, request.
//!
//! Ten pairs of client and server are planted with known counts, so that the answer to "which
//! pairs talk most" is known in advance. All other pairs are rarer by an order of magnitude.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::random::{Random, Weighted};
use crate::write::{TextFile, write_files};

const PLANTED: [u64; 10] = [
    35_353, 22_333, 17_492, 12_993, 12_554, 10_166, 8_155, 7_533, 7_506, 7_501,
];
const FULL_SIZE: u64 = 1 << 30;
const FILE_BYTES: u64 = 128 << 20;
const CLIENTS: usize = 8_000;
const SERVERS: usize = 40_000;
const BLOCK_BYTES: u64 = 1 << 20;
const EXTENSIONS: [&str; 5] = ["html", "gif", "jpg", "cgi", "htm"];

/// How often the ten planted pairs occur in a log of this size, most frequent first: the full
/// counts from 1 GiB on, in proportion (rounded down, at least 1) below.
pub fn planted_pair_counts(size_bytes: u64) -> [u64; 10] {
    PLANTED.map(|count| match size_bytes >= FULL_SIZE {
        true => count,
        false => (count as u128 * size_bytes as u128 / FULL_SIZE as u128).max(1) as u64,
    })
}

pub(crate) fn generate(size: u64, seed: u64, dir: &Path, threads: usize) -> Result<Vec<PathBuf>> {
    let network = Network::new(seed);
    let counts = planted_pair_counts(size);
    let file_count = size.div_ceil(FILE_BYTES).max(1);
    let share = |total: u64, i: u64, of: u64| {
        let part = |i: u64| (total as u128 * i as u128 / of as u128) as u64;
        part(i + 1) - part(i)
    };
    // a file is made of blocks; each holds its share of the planted pairs, evenly spread
    let files: Vec<TextFile> = (0..file_count)
        .map(|i| TextFile {
            name: format!("log-{i:04}.log"),
            header: "",
            bytes: share(size, i, file_count),
            gzip: false,
        })
        .collect();
    let blocks: Vec<u64> = files
        .iter()
        .map(|file| file.bytes.div_ceil(BLOCK_BYTES).max(1))
        .collect();
    let make = |file: usize, batch: usize, lines: &mut Vec<u8>| {
        if batch as u64 >= blocks[file] {
            // blocks end a little early where lines are long; a few more lines fill the file
            return network.block(seed, file, batch, 4 << 10, &[], lines);
        }
        let mut planted = Vec::new();
        for (pair, &count) in counts.iter().enumerate() {
            let of_file = share(count, file as u64, file_count);
            let of_block = share(of_file, batch as u64, blocks[file]);
            planted.extend(std::iter::repeat_n(pair, of_block as usize));
        }
        let bytes = share(files[file].bytes, batch as u64, blocks[file]);
        network.block(seed, file, batch, bytes, &planted, lines);
    };
    write_files(dir, &files, threads, &make)
}

struct Network {
    clients: Vec<String>,
    servers: Vec<String>,
    popularity: Weighted,
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x6c6f, 0);
        // planted pairs take the first addresses, which nobody else uses
        let mut addresses = |count: usize, first: u64| -> Vec<String> {
            (0..count as u64)
                .map(|i| {
                    let (a, b) = (first + i / 65_536, i / 256 % 256);
                    format!("{a}.{b}.{}.{}", i % 256, 1 + random.below(254))
                })
                .collect()
        };
        Network {
            clients: addresses(CLIENTS + 10, 20),
            servers: addresses(SERVERS + 10, 130),
            popularity: Weighted::zipf(SERVERS, 0.7),
        }
    }

    /// Whole lines of at most `bytes` bytes, planted ones spread evenly; those always fit.
    fn block(
        &self,
        seed: u64,
        file: usize,
        batch: usize,
        bytes: u64,
        planted: &[usize],
        lines: &mut Vec<u8>,
    ) {
        let mut random = Random::new(seed ^ 0x6c6f, (file as u64 + 1) << 32 | batch as u64);
        let mut planted = planted.to_vec();
        random.shuffle(&mut planted);
        let total = planted.len() as u64;
        let mut clock = 846_890_339 + (file as u64) * 100_000 + (batch as u64) * 700;
        let mut line = Vec::with_capacity(300);
        loop {
            let done = total - planted.len() as u64;
            // the next planted line is due when its share of the block is written
            let due = lines.len() as u64 * total >= done * bytes;
            line.clear();
            let pair = if due { planted.pop() } else { None };
            self.line(&mut random, &mut clock, pair, &mut line);
            let fits = lines.len() as u64 + line.len() as u64 <= bytes;
            if pair.is_some() || fits {
                lines.extend_from_slice(&line);
            } else if planted.is_empty() {
                return;
            } else {
                // the block is full: what is left of the planted lines follows at once
                while let Some(pair) = planted.pop() {
                    line.clear();
                    self.line(&mut random, &mut clock, Some(pair), &mut line);
                    lines.extend_from_slice(&line);
                }
                return;
            }
        }
    }

    fn line(&self, random: &mut Random, clock: &mut u64, pair: Option<usize>, line: &mut Vec<u8>) {
        let (client, server) = match pair {
            Some(pair) => (&self.clients[pair], &self.servers[pair]),
            None => {
                let client = 10 + random.below(CLIENTS as u64) as usize;
                (
                    &self.clients[client],
                    &self.servers[10 + self.popularity.draw(random)],
                )
            }
        };
        *clock += u64::from(random.below(20) == 0);
        let time = *clock;
        let (a, b, c) = (
            random.below(1_000_000),
            random.below(1_000_000),
            random.below(1_000_000),
        );
        let port = random.between(1024, 5000);
        let (client_flags, server_flags) = (random.below(10), random.below(10));
        let (header, size, length) = (
            random.between(100, 300),
            random.below(30_000),
            random.between(20, 60),
        );
        let page = random.wide_below(900_000_000_000_000_000) + 100_000_000_000_000_000;
        let site = random.wide_below(900_000_000_000_000_000) + 100_000_000_000_000_000;
        let extension = random.pick(&EXTENSIONS);
        // writing to memory cannot fail
        let _ = writeln!(
            line,
            "{time}:{a} {time}:{b} {}:{c} {client}:{port} {server}:80 {client_flags} \
             {server_flags} 4294967295 4294967295 {} {header} {size} {length} GET \
             {page}{site}..{extension} HTTP/1.0",
            time + 1,
            time - 274_586,
        );
    }
}
