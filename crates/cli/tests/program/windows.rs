//! Compressed files whose decoders look far back: the budget that is named knows it.

use std::fs;

use crate::budget::{named_budget, works_in_the_budget_named};
use crate::common::{Folder, records};

/// A zstd frame of blocks that are not compressed, with a window of 2 to this power (RFC 8878, 3.1.1).
fn frame(window_log: u8, text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3];
    let blocks: Vec<&[u8]> = text.chunks(128 << 10).collect();
    for (i, block) in blocks.iter().enumerate() {
        let last = u32::from(i + 1 == blocks.len());
        frame.extend(&(((block.len() as u32) << 3) | last).to_le_bytes()[..3]);
        frame.extend(*block);
    }
    frame
}

/// The budget that is named is that of a window and of what else it takes, and works.
#[track_caller]
fn named_for_window(place: &Folder, arguments: &[&str], window: u64) {
    let budget = works_in_the_budget_named(place, arguments);
    assert!((window..window + (64 << 20)).contains(&budget), "{budget}");
}

#[test]
fn a_large_window_is_part_of_the_budget_that_is_named() {
    let place = Folder::new();
    place.write("a.json.zst", frame(27, records(3000).as_bytes()));
    // a frame to be skipped may come first
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let rows: String = (0..3000).map(|i| format!("{i},x\n")).collect();
    let table = frame(26, format!("id,name\n{rows}").as_bytes());
    place.write("b.csv.zst", [&skipped[..], &table].concat());
    let convert = ["convert", "a.json.zst", "--to", "out"];
    named_for_window(&place, &convert, 128 << 20);
    assert_eq!(place.rows("out"), 3000);
    let convert = ["convert", "b.csv.zst", "--to", "table"];
    named_for_window(&place, &convert, 64 << 20);
    assert_eq!(place.rows("table"), 3000);
    named_for_window(&place, &["inspect", "a.json.zst"], 128 << 20);
    let full = ["inspect", "b.csv.zst", "--full"];
    named_for_window(&place, &full, 64 << 20);
    let lines = [
        "convert",
        "a.json.zst",
        "--pattern",
        "\"id\":(?<id>[0-9]+)",
        "--to",
        "lines",
    ];
    named_for_window(&place, &lines, 128 << 20);
    assert_eq!(place.rows("lines"), 3000);
}

#[test]
fn a_larger_window_later_in_a_file_is_refused_with_a_budget_that_works() {
    let place = Folder::new();
    let text = records(30_000);
    let (first, second) = text.as_bytes().split_at(text.len() / 2);
    let files = [frame(20, first), frame(27, second)].concat();
    place.write("a.json.zst", files);
    let convert = ["convert", "a.json.zst", "--to", "out", "--memory"];
    let words = ["smallest budget that works"];
    let refused = place.fails(1, &[&convert[..], &["64MiB"]].concat(), &words);
    assert!(!place.path("out").exists());
    let budget = named_budget(&refused.err).to_string();
    place.run(&[&convert[..], &[&budget]].concat()).ok();
    assert_eq!(place.rows("out"), 30_000);
    fs::remove_dir_all(place.path("out")).unwrap();
    // grouped rows are no cause of it
    let full = ["inspect", "a.json.zst", "--full", "--memory"];
    let refused = place.fails(1, &[&full[..], &["64MiB"]].concat(), &words);
    let budget = named_budget(&refused.err).to_string();
    place.run(&[&full[..], &[&budget]].concat()).ok();
}
