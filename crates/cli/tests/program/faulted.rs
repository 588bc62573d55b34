//! System calls that fail: the n-th of every kind, in whole runs of the program.
//!
//! A library that is loaded before the C library (`fault.c`) lets one call of a run fail. What may
//! follow is either the output of a run in which nothing failed, or an error that names the file and
//! says what the system said, with everything else as it was.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Folder, Ran, finish, matrix};

const CALLS: [&str; 9] = [
    "open", "read", "write", "sync", "rename", "unlink", "stat", "list", "mkdir",
];
/// Of more calls of a kind, so many fail, the first and the last among them.
const PER_CALL: usize = 7;

/// What must never be said of a disk that fails.
const STORIES: [&str; 4] = [
    "does not exist",
    "somebody has removed",
    "exists already",
    "damaged",
];

fn library(place: &Path) -> PathBuf {
    let library = place.join("fault.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/fault.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-fno-delete-null-pointer-checks", "-shared", "-fPIC"]);
    compiler.arg(source).arg("-o").arg(&library).arg("-ldl");
    let compiled = compiler.status().expect("Rust links with a C compiler");
    assert!(compiled.success());
    library
}

/// Every file below a directory with its length and a hash of its bytes; directories without files end
/// in `/`.
fn tree(dir: &Path) -> BTreeMap<String, (usize, u64)> {
    fn add(at: &Path, name: &str, files: &mut BTreeMap<String, (usize, u64)>) {
        let entries: Vec<_> = fs::read_dir(at).unwrap().map(Result::unwrap).collect();
        if entries.is_empty() && !name.is_empty() {
            files.insert(format!("{name}/"), (0, 0));
        }
        for entry in entries {
            let name = format!("{name}/{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true => add(&entry.path(), &name, files),
                false => {
                    let bytes = fs::read(entry.path()).unwrap();
                    let mut hasher = DefaultHasher::new();
                    hasher.write(&bytes);
                    files.insert(name, (bytes.len(), hasher.finish()));
                }
            }
        }
    }
    let mut files = BTreeMap::new();
    add(dir, "", &mut files);
    files
}

struct Scenario {
    place: Folder,
    arguments: Vec<String>,
    preload: PathBuf,
}

impl Scenario {
    /// Arguments may begin with `@`: the directory whose files' calls fail.
    fn new(arguments: &[&str], fill: impl FnOnce(&Path)) -> Scenario {
        let mut scenario = Scenario::plain(arguments, fill);
        let spill = scenario.place.path("work/spill");
        let spill = spill.to_str().unwrap().to_owned();
        for more in ["--spill-dir", &spill, "--threads", "2"] {
            scenario.arguments.push(more.to_owned());
        }
        scenario
    }

    /// The same without a directory for spilling.
    fn plain(arguments: &[&str], fill: impl FnOnce(&Path)) -> Scenario {
        let place = Folder::new();
        let work = place.path("work");
        fs::create_dir_all(work.join("spill")).unwrap();
        fill(&work);
        let work = work.to_str().unwrap();
        let arguments = (arguments.iter()).map(|argument| argument.replacen('@', work, 1));
        let arguments = arguments.collect();
        let library = library(&place.path(""));
        Scenario {
            place,
            arguments,
            preload: library,
        }
    }

    fn run(&self, call: &str, nth: isize, error: i32) -> (Ran, usize) {
        let call = [("FAULT_CALL", call)];
        self.run_with(&call, nth, error)
    }

    fn run_with(&self, more: &[(&str, &str)], nth: isize, error: i32) -> (Ran, usize) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let count = self.place.path("count");
        let mut command = self.place.command(&arguments);
        command
            .env("LD_PRELOAD", &self.preload)
            .env("FAULT_ROOT", self.place.path("work"))
            .envs(more.iter().copied())
            .env("FAULT_NTH", nth.to_string())
            .env("FAULT_ERROR", error.to_string())
            .env("FAULT_COUNT", &count)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let ran = finish(command.spawn().unwrap());
        let counted = fs::read_to_string(count).unwrap();
        (ran, counted.trim().parse().unwrap())
    }

    /// Lets calls fail, and puts the directory back as it was after each run. `target` is the output.
    fn check(&self, target: &str) {
        let work = self.place.path("work");
        let before = tree(&work);
        let kept = self.place.path("kept");
        copy(&work, &kept);
        let again = || {
            fs::remove_dir_all(&work).unwrap();
            copy(&kept, &work);
        };
        let (ran, _) = self.run("", 0, 0);
        ran.ok();
        let after = tree(&work);
        assert_ne!(after, before, "nothing was written");
        again();
        for _ in 0..3 {
            let (ran, _) = self.run_with(&[("FAULT_SHORT", "1")], 0, 0);
            ran.ok();
            assert_eq!(tree(&work), after, "short reads and writes");
            again();
        }
        let mut failed = 0;
        for call in CALLS {
            let (ran, count) = self.run(call, 0, 0);
            ran.ok();
            again();
            let step = count.div_ceil(PER_CALL).max(1);
            let places = (1..=count)
                .rev()
                .step_by(step)
                .chain((count > 0).then_some(1));
            for nth in places {
                let (ran, _) = self.run(call, nth as isize, libc::EIO);
                let at = format!("the {nth}th {call} of {count}: {}", ran.err);
                let mut left = tree(&work);
                if ran.code == Some(0) {
                    assert_eq!(left, after, "{at}");
                } else {
                    failed += 1;
                    let work = work.to_str().unwrap();
                    let ran = ran.failed(1, &["error: ", work]);
                    let said = ran.err.to_lowercase();
                    // the Parquet library asks once more how long a file is, and takes no answer for 0
                    let hidden = call == "stat" && said.contains("parquet file too small");
                    assert!(said.contains("input/output error") || hidden, "{at}");
                    for story in STORIES {
                        assert!(!ran.err.contains(story), "{at}");
                    }
                    // what an old output is called by now is told
                    left.retain(|name, _| {
                        let hidden = name[1..].split('/').next().unwrap();
                        !(hidden.starts_with('.') && ran.err.contains(hidden))
                    });
                    let is_new = ran.err.contains("is in place");
                    assert_eq!(left, if is_new { &after } else { &before }.clone(), "{at}");
                }
                again();
            }
        }
        assert!(failed > 20, "only {failed} runs failed at {target}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

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
