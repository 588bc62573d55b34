//! System calls that fail: the n-th of every kind, in whole runs of the program.
//!
//! A library that is loaded before the C library (`fault.c`) lets one call of a run fail. What may
//! follow is either the output of a run in which nothing failed, or an error that names the file and
//! says what the system said, with everything else as it was.

use std::fs;
use std::path::Path;

use crate::common::{Folder, matrix};
use crate::scenario::{CALLS, Scenario, copy, tree};

fn lines(work: &Path, files: usize) {
    for file in 0..files {
        let lines: String = (0..200)
            .map(|i| {
                format!(
                    "{{\"id\":{i},\"file\":{file},\"word\":\"w{}\"}}\n",
                    i * 7 % 13
                )
            })
            .collect();
        fs::write(work.join(format!("{file}.json")), lines).unwrap();
    }
}

#[test]
fn a_call_that_fails_while_json_becomes_parquet_in_the_place_of_an_old_output_is_told() {
    let arguments = [
        "convert",
        "@/*.json",
        "--to",
        "@/out",
        "--overwrite",
        "--memory",
        "64MiB",
    ];
    let scenario = Scenario::new(&arguments, |work| {
        lines(work, 2);
        fs::create_dir(work.join("out")).unwrap();
        fs::write(work.join("out/part-00000.parquet"), "old").unwrap();
    });
    scenario.check("out");
}

#[test]
fn a_call_that_fails_while_csv_becomes_json_is_told() {
    let arguments = [
        "convert",
        "@/in.csv",
        "--to",
        "@/out",
        "--format",
        "json",
        "--memory",
        "64MiB",
        "--partition-bytes",
        "4KiB",
    ];
    let scenario = Scenario::new(&arguments, |work| {
        let rows: String = (0..400)
            .map(|i| format!("{i},{}.5,w{}\n", i * 3, i % 7))
            .collect();
        fs::write(work.join("in.csv"), format!("a,b,c\n{rows}")).unwrap();
    });
    scenario.check("out");
}

#[test]
fn a_call_that_fails_while_parquet_is_merged_is_told() {
    let arguments = [
        "convert",
        "@/in/*.parquet",
        "--to",
        "@/out",
        "--memory",
        "128MiB",
    ];
    let scenario = Scenario::new(&arguments, |work| {
        let place = Folder::new();
        lines(&place.path(""), 2);
        for (file, name) in [("0.json", "in"), ("1.json", "more")] {
            let to = work.join(name);
            let to = to.to_str().unwrap();
            place.run(&["convert", file, "--to", to]).ok();
        }
        fs::rename(
            work.join("more/part-00000.parquet"),
            work.join("in/b.parquet"),
        )
        .unwrap();
        fs::remove_dir(work.join("more")).unwrap();
    });
    scenario.check("out");
}

#[test]
fn a_call_that_fails_while_a_product_replaces_an_old_one_is_told() {
    let arguments = [
        "matmul",
        "@/a.npy",
        "@/b.npy",
        "--to",
        "@/c.npy",
        "--overwrite",
        "--memory",
        "1MiB",
    ];
    let scenario = Scenario::new(&arguments, |work| {
        matrix(&work.join("a.npy"), 60, 1);
        matrix(&work.join("b.npy"), 60, 2);
        fs::write(work.join("c.npy"), "old").unwrap();
    });
    scenario.check("c.npy");
}

#[test]
fn an_output_that_does_not_get_its_name_says_where_its_bad_records_are() {
    let arguments = [
        "convert",
        "@/0.json",
        "--to",
        "@/out",
        "--on-bad-record",
        "quarantine",
        "--memory",
        "64MiB",
    ];
    let scenario = Scenario::new(&arguments, |work| {
        lines(work, 1);
        let path = work.join("0.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text + "{\"id\":\n").unwrap();
    });
    let (ran, renames) = scenario.run("rename", 0, 0);
    ran.ok();
    fs::remove_dir_all(scenario.place.path("work/out")).unwrap();
    fs::remove_dir_all(scenario.place.path("work/out.bad")).unwrap();
    // the last of them is the output's
    let (ran, _) = scenario.run("rename", renames as isize, libc::EIO);
    ran.failed(
        1,
        &[
            "/out: cannot rename",
            "bad records of this run are in",
            "/out.bad",
        ],
    );
    let files: Vec<_> = tree(&scenario.place.path("work")).into_keys().collect();
    assert_eq!(files, ["/0.json", "/out.bad/part-00000.jsonl", "/spill/"]);
}

#[test]
fn an_explanation_leaves_nothing_although_a_call_fails_while_it_cleans_up() {
    let arguments = ["explain", "convert", "@/0.json", "--to", "@/out"];
    let scenario = Scenario::new(&arguments, |work| lines(work, 1));
    let work = scenario.place.path("work");
    let before = tree(&work);
    for call in CALLS {
        let (ran, count) = scenario.run(call, 0, 0);
        ran.ok();
        for nth in 1..=count {
            let (ran, _) = scenario.run(call, nth as isize, libc::EIO);
            assert_eq!(tree(&work), before, "the {nth}th {call}: {}", ran.err);
        }
    }
}

#[test]
fn threads_that_cannot_be_started_are_told_or_done_without() {
    let place = Folder::new();
    matrix(&place.path("a.npy"), 60, 1);
    place
        .run(&["matmul", "a.npy", "a.npy", "--to", "a.zarr"])
        .ok();
    let fill = |work: &Path| {
        matrix(&work.join("a.npy"), 60, 1);
        copy(&place.path("a.zarr"), &work.join("a.zarr"));
        lines(work, 2);
    };
    let product = ["matmul", "@/a.zarr", "@/a.npy", "--to", "@/out"];
    let convert = ["convert", "@/*.json", "--to", "@/out", "--where", "id > 3"];
    let scenarios = [
        Scenario::new(&product, fill),
        Scenario::new(&convert, fill),
        Scenario::plain(&["inspect", "@/a.zarr"], fill),
        Scenario::plain(
            &[
                "generate",
                "logs",
                "--size",
                "64KiB",
                "--threads",
                "3",
                "--to",
                "@/out",
            ],
            fill,
        ),
    ];
    for scenario in scenarios {
        let work = scenario.place.path("work");
        let before = tree(&work);
        let (ran, count) = scenario.run("thread", 0, 0);
        ran.ok();
        let out = work.join("out");
        let after = tree(&work);
        for nth in (1..=count as isize).flat_map(|nth| [nth, -nth]) {
            match out.is_dir() {
                true => fs::remove_dir_all(&out).unwrap(),
                false => drop(fs::remove_file(&out)),
            }
            let (ran, _) = scenario.run("thread", nth, 0);
            match ran.code {
                Some(0) => assert_eq!(tree(&work), after, "thread {nth}"),
                _ => {
                    ran.failed(1, &["error: ", "Resource temporarily unavailable"]);
                    assert_eq!(tree(&work), before, "thread {nth}");
                }
            }
        }
    }
}

#[test]
fn one_more_thread_is_enough_to_look_at_a_zarr_array() {
    let place = Folder::new();
    matrix(&place.path("a.npy"), 60, 1);
    place
        .run(&["matmul", "a.npy", "a.npy", "--to", "a.zarr"])
        .ok();
    let scenario = Scenario::plain(&["inspect", "@/a.zarr"], |work| {
        copy(&place.path("a.zarr"), &work.join("a.zarr"));
    });
    let (ran, threads) = scenario.run("thread", 0, 0);
    ran.ok();
    // one that watches for signals, and one that the library opens an array on
    assert_eq!(threads, 2);
}
