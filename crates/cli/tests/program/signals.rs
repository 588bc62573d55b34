//! SIGINT, SIGTERM and kill -9 in mid-run.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::common::{Place, finish, gzip, records};

/// Enough records that a run takes a while.
fn much(place: &Place) {
    let bytes = gzip(records(60_000).as_bytes());
    for part in 0..8 {
        place.write(&format!("{part}.json.gz"), &bytes);
    }
}

const CONVERT: [&str; 4] = ["convert", "*.json.gz", "--to", "out"];

/// Starts the conversion and waits until its output has begun.
fn in_mid_run(place: &Place, arguments: &[&str]) -> Child {
    let mut child = place.start(arguments);
    let partial = place.path(&format!(".out.partial-{}", child.id()));
    let start = Instant::now();
    while !partial.exists() {
        assert!(child.try_wait().unwrap().is_none(), "{:?}", finish(child));
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the output does not begin"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

fn send(child: &Child, signal: i32) {
    // SAFETY: sends a signal to a child that was not waited for, so the id is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let place = Place::new();
    much(&place);
    let before = place.names();
    for (signal, code, word) in [
        (libc::SIGINT, 130, "interrupted"),
        (libc::SIGTERM, 143, "terminated"),
    ] {
        let child = in_mid_run(&place, &CONVERT);
        send(&child, signal);
        finish(child).failed(code, &[word]);
        assert_eq!(place.names(), before);
    }
}

#[test]
fn statistics_are_written_also_when_interrupted() {
    let place = Place::new();
    much(&place);
    let mut arguments = CONVERT.to_vec();
    arguments.extend(["--stats", "s.json"]);
    let child = place.start(&arguments);
    std::thread::sleep(Duration::from_millis(300));
    send(&child, libc::SIGINT);
    finish(child).failed(130, &["interrupted"]);
    assert!(
        place.json("s.json")["error"]
            .as_str()
            .unwrap()
            .contains("interrupted")
    );
}

/// A busy machine may take long to start a program: waits until it watches for a signal.
fn wait_until_caught(child: &Child, signal: i32) {
    let status = format!("/proc/{}/status", child.id());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        if caught.is_some_and(|mask| mask >> (signal - 1) & 1 == 1) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("the program does not watch for the signal {signal}");
}

#[test]
fn a_second_signal_exits_at_once() {
    let place = Place::new();
    much(&place);
    let child = in_mid_run(&place, &CONVERT);
    let partial = place.path(&format!(".out.partial-{}", child.id()));
    send(&child, libc::SIGINT);
    send(&child, libc::SIGTERM);
    let start = Instant::now();
    let ran = finish(child);
    // signals that arrive together are taken in any order
    assert!(matches!(ran.code, Some(130 | 143)), "{ran:?}");
    assert!(start.elapsed() < Duration::from_secs(10), "it does not end");
    if partial.exists() {
        // what the second one left, the next run to this target sweeps
        place.records("small.json", 10);
        place.run(&["convert", "small.json", "--to", "out"]).ok();
    }
    assert!(!partial.exists());
}

#[test]
fn a_signal_while_the_plan_is_made_is_answered_soon() {
    let place = Place::new();
    for part in 0..4000 {
        place.write(&format!("{part}.json"), records(3).as_bytes());
    }
    let before = place.names().len();
    let convert = [
        "explain",
        "convert",
        "*.json",
        "--to",
        "out",
        "--threads",
        "1",
    ];
    for arguments in [&convert[1..], &convert] {
        let child = place.start(arguments);
        wait_until_caught(&child, libc::SIGTERM);
        std::thread::sleep(Duration::from_millis(100));
        send(&child, libc::SIGTERM);
        let start = Instant::now();
        finish(child).failed(143, &["terminated"]);
        // the machine may be busy; without an answer this takes as long as the run
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(place.names().len(), before);
    }
}

#[test]
fn a_pipe_is_no_file_for_statistics() {
    let place = Place::new();
    place.records("small.json", 10);
    let pipe = std::ffi::CString::new(place.path("pipe").to_str().unwrap()).unwrap();
    // SAFETY: a zero-terminated string that lives until the call returns.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    for flag in ["--stats", "--trace", "--report"] {
        let arguments = ["convert", "small.json", "--to", "out", flag, "pipe"];
        place
            .run(&arguments)
            .failed(1, &["it is a pipe; name a file"]);
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_leaves_nothing() {
    let place = Place::new();
    place.records("large.json", 50_000);
    let before = place.names();
    let program = env!("CARGO_BIN_EXE_flagstone");
    let script = format!("ulimit -f 64; exec {program} convert large.json --to out --format json");
    let ran = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.path("."))
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{message}");
    assert!(
        message.contains("out") && message.contains("too large"),
        "{message}"
    );
    assert_eq!(place.names(), before);
}

#[test]
fn a_run_without_descriptors_to_spare_leaves_nothing() {
    let place = Place::new();
    place.records("large.json", 20_000);
    let before = place.names();
    let program = env!("CARGO_BIN_EXE_flagstone");
    for descriptors in 5..16 {
        let script = format!(
            "ulimit -n {descriptors}; exec {program} convert large.json --to out \
             --partition-bytes 64KiB --threads 2"
        );
        let ran = std::process::Command::new("sh")
            .args(["-c", &script])
            .current_dir(place.path("."))
            .output()
            .unwrap();
        if ran.status.success() {
            std::fs::remove_dir_all(place.path("out")).unwrap();
        }
        assert_eq!(place.names(), before, "{descriptors}: {ran:?}");
    }
}

#[test]
fn a_killed_run_leaves_its_partial_output_which_the_next_one_sweeps() {
    let place = Place::new();
    much(&place);
    let before = place.names();
    let child = in_mid_run(&place, &CONVERT);
    let partial = format!(".out.partial-{}", child.id());
    send(&child, libc::SIGKILL);
    assert_eq!(finish(child).code, None);
    let left: Vec<_> = place
        .names()
        .into_iter()
        .filter(|name| !before.contains(name))
        .collect();
    assert_eq!(left, [partial]);
    // a later run to another target leaves it alone, one to the same target takes it away
    place.records("small.json", 10);
    place.run(&["convert", "small.json", "--to", "other"]).ok();
    assert!(place.path(&left[0]).exists());
    place.run(&["convert", "small.json", "--to", "out"]).ok();
    assert!(!place.path(&left[0]).exists());
    assert_eq!(place.rows("out"), 10);
}

#[test]
fn the_partial_output_of_a_living_run_is_left_alone() {
    let place = Place::new();
    much(&place);
    place.records("small.json", 10);
    let child = in_mid_run(&place, &CONVERT);
    let partial = place.path(&format!(".out.partial-{}", child.id()));
    let other = place.run(&["convert", "small.json", "--to", "out"]);
    // whoever publishes first wins; the other one says that the output exists
    let alive = partial.exists();
    let first = finish(child);
    assert!(
        alive || first.code == Some(0) || first.err.contains("out"),
        "{first:?}"
    );
    let codes = [first.code, other.code];
    assert!(codes.contains(&Some(0)), "{first:?} {other:?}");
    assert!(place.names().iter().all(|name| !name.contains("partial")));
}
