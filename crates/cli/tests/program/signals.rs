//! SIGINT, SIGTERM and kill -9 in mid-run.

use std::io::{PipeReader, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Folder, finish, gzip, records};

/// Enough records that a run takes a while.
fn much(place: &Folder) {
    let bytes = gzip(records(60_000).as_bytes());
    for part in 0..8 {
        place.write(&format!("{part}.json.gz"), &bytes);
    }
}

const CONVERT: [&str; 4] = ["convert", "*.json.gz", "--to", "out"];

/// Starts the conversion and waits until its output has begun.
fn in_mid_run(place: &Folder, arguments: &[&str]) -> Child {
    until_mid_run(place, place.start(arguments))
}

/// The same of a run whose messages go to a pipe that is full: it cannot end by itself, as it cannot
/// say why. The pipe is the second of the two.
fn in_mid_run_unheard(place: &Folder, arguments: &[&str]) -> (Child, PipeReader) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: the descriptor is the pipe's own, and open; afterwards a write waits again.
    unsafe {
        let flags = libc::fcntl(writer.as_raw_fd(), libc::F_GETFL);
        libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK);
        while writer.write(&[b'.'; 4096]).is_ok() {}
        while writer.write(b".").is_ok() {}
        libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags);
    }
    let mut command = place.command(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.stderr(writer).spawn().unwrap();
    (until_mid_run(place, child), reader)
}

fn until_mid_run(place: &Folder, mut child: Child) -> Child {
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

/// Waits until a run watches for signals: before, one ends it as it ends any program.
fn until_watching(child: &Child) {
    let watches = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        caught >> (libc::SIGTERM - 1) & 1 == 1
    };
    let start = Instant::now();
    while !watches() {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn send(child: &Child, signal: i32) {
    // SAFETY: sends a signal to a child that was not waited for, so the id is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

/// The exit code of a run, which is killed if it does not end.
fn code_in_time(mut child: Child) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if start.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let place = Folder::new();
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
    let place = Folder::new();
    much(&place);
    let mut arguments = CONVERT.to_vec();
    arguments.extend(["--stats", "s.json"]);
    let child = place.start(&arguments);
    until_watching(&child);
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

#[test]
fn a_signal_ends_a_run_whose_messages_nobody_reads() {
    let place = Folder::new();
    much(&place);
    let before = place.names();
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let (child, _unread) = in_mid_run_unheard(&place, &CONVERT);
        send(&child, signal);
        assert_eq!(code_in_time(child), Some(code));
        assert_eq!(place.names(), before);
    }
}

/// The code says which of the two ended it: the run cannot say that it was interrupted, and so waits
/// for the time to be up that the first one gives it.
#[test]
fn a_second_signal_exits_at_once() {
    let place = Folder::new();
    much(&place);
    let (child, _unread) = in_mid_run_unheard(&place, &CONVERT);
    let partial = place.path(&format!(".out.partial-{}", child.id()));
    send(&child, libc::SIGINT);
    std::thread::sleep(Duration::from_millis(30));
    send(&child, libc::SIGTERM);
    assert_eq!(code_in_time(child), Some(143));
    if partial.exists() {
        // what the second one left, the next run to this target sweeps
        place.records("small.json", 10);
        place.run(&["convert", "small.json", "--to", "out"]).ok();
    }
    assert!(!partial.exists());
}

#[test]
fn a_signal_while_the_plan_is_made_is_answered_soon() {
    let place = Folder::new();
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
        until_watching(&child);
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
    let place = Folder::new();
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
    let place = Folder::new();
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
    let place = Folder::new();
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
    let place = Folder::new();
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
    let place = Folder::new();
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
