//! The promise: what the program uses stays within its budget and 64 MiB, or it says before the
//! run which budget would do.

use std::fs;

use flagstone_datasets::{Kind, generate};

use crate::common::{Folder, matrix};

const MARGIN: u64 = 64 << 20;

/// The peak is below the budget and the margin, and the ledger's below the certificate.
#[track_caller]
fn holds(place: &Folder, stats: &str) -> serde_json::Value {
    let stats = place.json(stats);
    let number = |field: &str| stats[field].as_u64().unwrap();
    assert!(number("peak_rss_bytes") > 0);
    assert!(
        number("peak_rss_bytes") <= number("budget_bytes") + MARGIN,
        "{stats}"
    );
    assert!(
        number("ledger_peak_bytes") <= number("budget_bytes"),
        "{stats}"
    );
    assert!(
        number("ledger_peak_bytes") <= number("certified_peak_bytes"),
        "{stats}"
    );
    stats
}

#[test]
fn a_conversion_stays_within_its_budget() {
    let place = Folder::new();
    generate(Kind::GhArchive, 40 << 20, 7, &place.path("data"), 2).unwrap();
    let convert = [
        "convert",
        "data/*.json.gz",
        "--to",
        "out",
        "--stats",
        "s.json",
    ];
    place
        .run(&[&convert[..], &["--memory", "64MiB"]].concat())
        .ok();
    let stats = holds(&place, "s.json");
    assert_eq!(stats["rows_in"], stats["rows_out"]);
    assert_eq!(stats["rows_out"].as_u64(), Some(place.rows("out")));
}

#[test]
fn a_product_of_operands_four_times_the_budget_stays_within_it() {
    let place = Folder::new();
    let (a, b) = (place.path("a.npy"), place.path("b.npy"));
    matrix(&a, 1024, 1);
    matrix(&b, 1024, 5);
    let operands = fs::metadata(a).unwrap().len() + fs::metadata(b).unwrap().len();
    let product = ["matmul", "a.npy", "b.npy", "--stats", "s.json", "--to"];
    place
        .run(&[&product[..], &["wide.npy", "--memory", "1GiB"]].concat())
        .ok();
    // the fixed charge of the program is above a quarter of such small operands, so the budget
    // is that charge and a quarter
    let smallest = smallest_budget(&place, &["matmul", "a.npy", "b.npy", "--to", "c.npy"]);
    let budget = smallest.max(operands / 4).to_string();
    place
        .run(&[&product[..], &["c.npy", "--memory", &budget]].concat())
        .ok();
    holds(&place, "s.json");
    assert!(fs::read(place.path("c.npy")).unwrap() == fs::read(place.path("wide.npy")).unwrap());
}

/// The budget that the refusal of a far too small one names. A conversion has two plans, the look
/// at the heads of the files and the conversion itself: the first refusal speaks for both.
#[track_caller]
fn smallest_budget(place: &Folder, arguments: &[&str]) -> u64 {
    let arguments = [arguments, &["--memory", "1048576"]].concat();
    let ran = place.fails(1, &arguments, &["smallest budget that works"]);
    named_budget(&ran.err)
}

/// The budget behind "the smallest budget that works is".
#[track_caller]
pub(crate) fn named_budget(message: &str) -> u64 {
    let (_, rest) = message.split_once("works is ").unwrap();
    let size: Vec<&str> = rest.split_whitespace().take(2).collect();
    flagstone::parse_bytes(&size.join(" ")).unwrap_or_else(|_| panic!("no budget in: {message}"))
}

/// Runs with the budget that a far too small one is refused with, and tells it.
#[track_caller]
pub(crate) fn works_in_the_budget_named(place: &Folder, arguments: &[&str]) -> u64 {
    let budget = smallest_budget(place, arguments);
    let enough = budget.to_string();
    place
        .run(&[arguments, &["--memory", &enough]].concat())
        .ok();
    budget
}

#[test]
fn the_heads_of_many_files_need_no_more_than_their_rows() {
    let place = Folder::new();
    fs::create_dir(place.path("in")).unwrap();
    for i in 0..300 {
        place.write(&format!("in/{i}.csv"), format!("id,name\n{i},x\n"));
        place.write(&format!("in/{i}.json"), format!("{{\"id\":{i}}}\n"));
    }
    works_in_the_budget_named(&place, &["convert", "in/*.json", "--to", "out"]);
    assert_eq!(place.rows("out"), 300);
    works_in_the_budget_named(&place, &["inspect", "in/*.csv", "--full"]);
}

#[test]
fn a_budget_too_small_is_refused_with_the_smallest_that_works() {
    let place = Folder::new();
    place.records("a.json", 2000);
    matrix(&place.path("a.npy"), 300, 1);
    let commands: [&[&str]; 2] = [
        &["convert", "a.json", "--to", "out"],
        &["matmul", "a.npy", "a.npy", "--to", "c.npy"],
    ];
    for command in commands {
        let budget = smallest_budget(&place, command).to_string();
        let stats = ["--memory", &budget, "--stats", "s.json"];
        place.run(&[command, &stats].concat()).ok();
        holds(&place, "s.json");
        fs::remove_file(place.path("s.json")).unwrap();
    }
}

#[test]
fn explain_says_what_a_product_needs_and_does() {
    let place = Folder::new();
    matrix(&place.path("a.npy"), 700, 1);
    let product = ["matmul", "a.npy", "a.npy", "--to", "c.npy"];
    let explain = |budget: &str| {
        let command = [&["explain"], &product[..], &["--memory", budget]].concat();
        place.run(&command)
    };
    let told = explain("64MiB").ok().out;
    let line = |text: &str, head: &str| {
        let line = text.lines().find(|line| line.starts_with(head));
        line.unwrap_or_else(|| panic!("no {head} in: {text}"))[head.len()..]
            .trim()
            .to_owned()
    };
    let run = [&product[..], &["--memory", "64MiB", "--stats", "s.json"]].concat();
    place.run(&run).ok();
    let stats = place.json("s.json");
    let bytes = |field: &str| flagstone::format_bytes(stats[field].as_u64().unwrap());
    let io = line(&told, "predicted I/O");
    assert!(
        io.contains(&format!("{} read", bytes("bytes_read"))),
        "{io} {stats}"
    );
    assert!(
        io.contains(&format!("{} written", bytes("bytes_written"))),
        "{io} {stats}"
    );
    assert!(
        io.contains(&format!("{} spilled", bytes("bytes_spilled"))),
        "{io} {stats}"
    );
    assert!(
        line(&told, "certified peak").starts_with(&bytes("certified_peak_bytes")),
        "{told}"
    );
    fs::remove_file(place.path("c.npy")).unwrap();
    fs::remove_file(place.path("s.json")).unwrap();

    // the smallest budget works, and a little less is refused by both in the same words
    let smallest = flagstone::parse_bytes(&line(&told, "smallest budget")).unwrap();
    let enough = smallest.to_string();
    explain(&enough).ok();
    place
        .run(&[&product[..], &["--memory", &enough]].concat())
        .ok();
    fs::remove_file(place.path("c.npy")).unwrap();
    let short = (smallest - (1 << 20)).to_string();
    let refused = explain(&short).failed(1, &["smallest budget that works"]);
    let ran = place.fails(1, &[&product[..], &["--memory", &short]].concat(), &[]);
    assert_eq!(refused.err_without_tokens(), ran.err_without_tokens());
    assert_eq!(named_budget(&ran.err), smallest);
}

#[test]
fn explain_refuses_the_spill_quota_that_the_run_refuses() {
    let place = Folder::new();
    matrix(&place.path("a.npy"), 1000, 1);
    place
        .run(&["matmul", "a.npy", "a.npy", "--to", "c.zarr"])
        .ok();
    // chunks that have to be unpacked are kept while panels are read of them
    let product = ["matmul", "c.zarr", "a.npy", "--to", "d.npy"];
    let budget = smallest_budget(&place, &product).to_string();
    let with = |quota| [&product[..], &["--memory", &budget, "--spill-quota", quota]].concat();
    for quota in ["0", "1MiB"] {
        let words = ["--spill-quota", "needed at once", "raise the budget"];
        let ran = place.fails(1, &with(quota), &words);
        let explained = place.fails(1, &[&["explain"], &with(quota)[..]].concat(), &words);
        assert_eq!(ran.err, explained.err);
        assert!(explained.out.contains("and the spill quota"));
    }
    place.run(&[&["explain"], &with("64MiB")[..]].concat()).ok();
    place.run(&with("64MiB")).ok();
}

#[test]
fn inspect_reads_footers_and_heads_within_its_budget() {
    let place = Folder::new();
    let names: Vec<String> = (0..1500).map(|i| format!("column_{i}")).collect();
    let row = vec!["1.5"; 1500].join(",");
    place.write("wide.csv", format!("{}\n{row}\n{row}\n", names.join(",")));
    let convert = ["convert", "wide.csv", "--to", "wide.parquet"];
    place.run(&convert).ok();
    for file in ["wide.parquet", "wide.csv"] {
        let refused = place.fails(1, &["inspect", file, "--memory", "1MiB"], &[]);
        let smallest = named_budget(&refused.err).to_string();
        let ran = place.run(&["inspect", file, "--memory", &smallest]).ok();
        assert!(ran.out.contains("column_1499: Float64"), "{}", ran.out);
    }
}
