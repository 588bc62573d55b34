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

#[test]
fn a_second_signal_exits_at_once() {
    let place = Place::new();
    much(&place);
    // nobody reads the pipe: after the first signal the program waits to write its statistics
    let pipe = std::ffi::CString::new(place.path("pipe").to_str().unwrap()).unwrap();
    // SAFETY: a zero-terminated string that lives until the call returns.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    let mut arguments = CONVERT.to_vec();
    arguments.extend(["--stats", "pipe"]);
    let mut child = in_mid_run(&place, &arguments);
    let partial = place.path(&format!(".out.partial-{}", child.id()));
    send(&child, libc::SIGINT);
    let start = Instant::now();
    while partial.exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "it does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        child.try_wait().unwrap().is_none(),
        "the first one ended it"
    );
    // it waits for nobody: the pipe is still not read
    send(&child, libc::SIGTERM);
    assert_eq!(finish(child).code, Some(143));
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
