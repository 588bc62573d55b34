//! Lines of twelve words; the k-th most frequent word has a share proportional to 1/k.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::random::{Random, Weighted};
use crate::write::{TextFile, write_files};

const VOCABULARY: usize = 100_000;
const WORDS_PER_LINE: usize = 12;
const LINES_PER_BATCH: usize = 4_000;
const FILE_BYTES: u64 = 64 << 20;
/// Letters by their frequency in English, in tenths of a percent.
const LETTERS: [u32; 26] = [
    82, 15, 28, 43, 127, 22, 20, 61, 70, 2, 8, 40, 24, 67, 75, 19, 1, 60, 63, 91, 28, 10, 24, 2,
    20, 1,
];

pub(crate) fn generate(size: u64, seed: u64, dir: &Path, threads: usize) -> Result<Vec<PathBuf>> {
    let vocabulary = vocabulary(seed);
    let frequency = Weighted::zipf(VOCABULARY, 1.0);
    let count = size.div_ceil(FILE_BYTES).max(1);
    let files: Vec<TextFile> = (0..count)
        .map(|i| TextFile {
            name: format!("words-{i:04}.txt"),
            header: "",
            bytes: size * (i + 1) / count - size * i / count,
            gzip: false,
        })
        .collect();
    write_files(dir, &files, threads, &|file, batch, lines| {
        let mut random = Random::new(seed ^ 0x776f, (file as u64 + 1) << 32 | batch as u64);
        for _ in 0..LINES_PER_BATCH {
            for i in 0..WORDS_PER_LINE {
                if i > 0 {
                    lines.push(b' ');
                }
                let word = vocabulary[frequency.draw(&mut random)].as_bytes();
                let style = random.below(20);
                match word.split_first() {
                    Some((first, rest)) if style == 16 || style == 17 => {
                        lines.push(first.to_ascii_uppercase());
                        lines.extend_from_slice(rest);
                    }
                    _ => lines.extend_from_slice(word),
                }
                match style {
                    18 => lines.push(b','),
                    19 => lines.push(b'.'),
                    _ => {}
                }
            }
            lines.push(b'\n');
        }
    })
}

fn vocabulary(seed: u64) -> Vec<String> {
    let letters = Weighted::new(LETTERS.iter().map(|&weight| f64::from(weight)));
    let mut random = Random::new(seed ^ 0x776f, 0);
    (0..VOCABULARY)
        .map(|_| {
            let length = random.between(2, 11);
            (0..length)
                .map(|_| char::from(b'a' + letters.draw(&mut random) as u8))
                .collect()
        })
        .collect()
}
