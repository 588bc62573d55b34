//! Every fault of the core's list, for every source and every sink: one table each.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{gzip, write};
use flagstone_bag::{
    Bag, BagItem, Error, ErrorKind, FilesOptions, FilesWritten, JsonOptions, Result, Stage,
    TextOptions,
};
use flagstone_graph::{Execute, SerialExecutor, delayed};
use flagstone_scheduler::{CancelToken, Session};
use serde::Deserialize;

#[derive(Deserialize)]
struct Record {
    n: u64,
}

/// Called for every item.
type Hook = Arc<dyn Fn() + Send + Sync>;
/// Counts the items of the files of a pattern, a partition each.
type Count = fn(&Path, Hook) -> BagItem<u64>;

fn count<S: Stage>(bag: &Bag<S>, hook: Hook) -> BagItem<u64> {
    bag.inspect(move |_| hook()).count()
}

fn text(delimiter: Option<&str>) -> TextOptions {
    TextOptions {
        files_per_partition: Some(1),
        delimiter: delimiter.map(Into::into),
        ..TextOptions::default()
    }
}

fn json() -> JsonOptions {
    JsonOptions {
        text: text(None),
        ..JsonOptions::default()
    }
}

/// How far a source looks into its files.
#[derive(Clone, Copy, PartialEq)]
enum Sees {
    Bytes,
    Lines,
    Records,
}

/// Every source of files, and what it sees of them.
const FILE_SOURCES: [(&str, Sees, Count); 7] = [
    ("text", Sees::Lines, |path, hook| {
        count(&Bag::read_text_with([path], text(None)), hook)
    }),
    ("text with a delimiter", Sees::Lines, |path, hook| {
        count(&Bag::read_text_with([path], text(Some("}\n"))), hook)
    }),
    ("records", Sees::Records, |path, hook| {
        let bag = Bag::read_json_with::<Record, _>([path], json());
        count(&bag.map(|record| record.n), hook)
    }),
    ("values", Sees::Records, |path, hook| {
        count(&Bag::read_json_values_with([path], json()), hook)
    }),
    ("a field", Sees::Records, |path, hook| {
        count(&Bag::read_json_values_with([path], json()).pluck("n"), hook)
    }),
    ("groups of a pattern", Sees::Records, |path, hook| {
        let lines = Bag::read_text_with([path], text(None));
        count(&lines.captures::<u64>("\"n\":(?<n>[0-9]+)"), hook)
    }),
    ("whole files", Sees::Bytes, |path, hook| {
        // so large that each is a partition
        count(&Bag::read_binary(path), hook)
    }),
];

struct Fault {
    name: &'static str,
    /// Made of the second file before anything runs.
    before: fn(&Path),
    /// And when the first item was seen.
    during: fn(&Path),
    /// What the error says beside the file's name; none when the source cannot see the fault.
    says: fn(Sees) -> Option<&'static str>,
}

fn nothing(_: &Path) {}

const FILE_FAULTS: [Fault; 9] = [
    Fault {
        name: "a gzip file that is cut short",
        before: |path| {
            let packed = gzip(lines());
            std::fs::write(path, &packed[..packed.len() - 100]).unwrap();
            std::fs::rename(path, path.with_extension("json.gz")).unwrap();
        },
        during: nothing,
        says: |sees| (sees != Sees::Bytes).then_some("truncated"),
    },
    Fault {
        name: "a gzip file with a damaged byte",
        before: |path| {
            let mut packed = gzip(lines());
            let at = packed.len() / 2;
            packed[at] ^= 0x55;
            std::fs::write(path, &packed).unwrap();
            std::fs::rename(path, path.with_extension("json.gz")).unwrap();
        },
        during: nothing,
        says: |sees| (sees != Sees::Bytes).then_some("gzip data"),
    },
    Fault {
        name: "a file that is gone",
        before: nothing,
        during: |path| drop(std::fs::remove_file(path)),
        says: |_| Some("o such file"),
    },
    Fault {
        name: "a file that became shorter",
        before: nothing,
        during: |path| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(1000).unwrap();
        },
        says: |_| Some("become shorter"),
    },
    Fault {
        name: "text that is not UTF-8",
        before: |path| {
            let mut bytes = lines().into_bytes();
            bytes[5000] = 0xff;
            std::fs::write(path, bytes).unwrap();
        },
        during: nothing,
        says: |sees| (sees != Sees::Bytes).then_some("not UTF-8"),
    },
    Fault {
        name: "a line that is no record",
        before: |path| {
            let text = lines().replace("{\"n\":1234,", "{\"n\":,");
            std::fs::write(path, text).unwrap();
        },
        during: nothing,
        says: |sees| (sees == Sees::Records).then_some("b.json:1235"),
    },
    Fault {
        name: "an empty file",
        before: |path| std::fs::write(path, "").unwrap(),
        during: nothing,
        says: |_| None,
    },
    Fault {
        name: "a link to nothing",
        before: |path| {
            std::fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("nowhere", path).unwrap();
        },
        during: nothing,
        says: |_| Some("o such file"),
    },
    Fault {
        name: "a directory where a file should be",
        before: |path| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        },
        during: nothing,
        says: |_| Some("is not a file"),
    },
];

fn lines() -> String {
    (0..2000)
        .map(|n| format!("{{\"n\":{n},\"x\":\"{}\"}}\n", n * 7919))
        .collect()
}

fn session(threads: usize) -> Session {
    common::small(64 << 20, threads)
}

/// The error of a run, after which the session is as it was.
fn fails(item: &BagItem<u64>, executor: &dyn Execute, what: &str) -> Error {
    let error = match item.compute_with(executor) {
        Ok(count) => panic!("{what}: {count} items and no error"),
        Err(error) => error,
    };
    let after = Bag::range(0..10, 3).count().compute_with(executor);
    assert_eq!(after.unwrap(), 10, "after {what}");
    error
}

#[test]
fn faults_of_files_are_told_with_the_file_by_every_source() {
    for fault in &FILE_FAULTS {
        for (source, sees, count) in FILE_SOURCES {
            let what = format!("{} in {source}", fault.name);
            // a file a partition: whole files share one up to 32 MiB, and the middle one is read last
            for threads in [0, 1, 2] {
                let dir = tempfile::tempdir().unwrap();
                let path = |name: &str| write(dir.path(), name, lines());
                let (first, second) = (path("a.json"), path("b.json"));
                path("c.json");
                (fault.before)(&second);
                let during = (fault.during, second.clone(), first);
                let once = std::sync::Once::new();
                let hook: Hook = Arc::new(move || once.call_once(|| (during.0)(&during.1)));
                let item = count(&dir.path().join("*.json*"), hook);
                let serial: &dyn Execute = &SerialExecutor;
                let own = session(threads.max(1));
                let executor = if threads == 0 { serial } else { &own };
                let Some(says) = (fault.says)(sees) else {
                    item.compute_with(executor)
                        .unwrap_or_else(|e| panic!("{what}: {e}"));
                    continue;
                };
                // another worker may have read the file before it changed
                if threads == 2 && fault.name.starts_with("a file that") {
                    continue;
                }
                let text = fails(&item, executor, &what).to_string();
                assert!(text.contains(says), "{what}: {text}");
                assert!(text.contains("b.json"), "{what}: {text}");
                assert_eq!(own.spilled_bytes(), 0, "{what}");
            }
        }
    }
}

type MakeItem = Box<dyn Fn(Hook) -> BagItem<u64>>;

/// Sources of every kind under a closure that panics, and a run that is cancelled.
#[test]
fn panics_and_cancellation_end_every_source() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", lines());
    write(dir.path(), "b.json", lines());
    let pattern = dir.path().join("*.json");
    let mut sources: Vec<(&str, MakeItem)> = Vec::new();
    for (name, _, source) in FILE_SOURCES {
        let pattern = pattern.clone();
        sources.push((name, Box::new(move |hook| source(&pattern, hook))));
    }
    let large = || Bag::range(0..1_000_000, 2);
    sources.push(("range", Box::new(move |hook| count(&large(), hook))));
    sources.push((
        "sequence",
        Box::new(|hook| count(&Bag::from_sequence(0..1000, 3), hook)),
    ));
    sources.push((
        "iterators",
        Box::new(|hook| count(&Bag::from_fn(3, |_| 0..1_000_000), hook)),
    ));
    let part = delayed(|| (0..1000u64).collect::<Vec<_>>()).call(());
    let parts = Bag::from_delayed([part.clone(), part]);
    sources.push(("lazy values", Box::new(move |hook| count(&parts, hook))));
    sources.push((
        "two bags",
        Box::new(move |hook| count(&large().concat(&large()), hook)),
    ));
    sources.push((
        "pairs",
        Box::new(move |hook| count(&large().zip(&large()), hook)),
    ));
    let few = || Bag::range(0..1000, 2);
    sources.push((
        "product",
        Box::new(move |hook| count(&few().product(&few()), hook)),
    ));
    sources.push((
        "sorted",
        Box::new(move |hook| count(&few().sort_by(|n| *n), hook)),
    ));
    sources.push((
        "groups",
        Box::new(move |hook| count(&few().groupby(|n| n % 7), hook)),
    ));
    let joined = move |hook| count(&few().join(&few(), |n| *n, |n| *n), hook);
    sources.push(("joined", Box::new(joined)));
    let joined = move |hook| count(&few().join_small(&few(), |n| *n, |n| *n), hook);
    sources.push(("joined with a small one", Box::new(joined)));
    let mapped = move |hook| count(&few().map_with(&few().count(), |n, m| n + m), hook);
    sources.push(("with a value", Box::new(mapped)));
    let running = move |hook| count(&few().accumulate(0, |s, n| *s += n, |s, n| *s += n), hook);
    sources.push(("running sums", Box::new(running)));
    sources.push((
        "repartitioned",
        Box::new(move |hook| count(&few().repartition(3), hook)),
    ));
    for (name, source) in sources {
        let item = source(Arc::new(|| panic!("by design")));
        for executor in [&SerialExecutor as &dyn Execute, &session(2)] {
            let error = fails(&item, executor, name);
            assert_eq!(error.kind(), ErrorKind::Panicked, "{name}: {error}");
            let text = error.to_string();
            assert!(
                text.contains("by design") && text.contains("inspect at"),
                "{name}: {text}"
            );
        }
        let token = CancelToken::new();
        let cancel = token.clone();
        let item = source(Arc::new(move || cancel.cancel()));
        let builder = Session::builder()
            .memory_bytes(64 << 20)
            .threads(2)
            .allow_tmpfs();
        let session = builder.cancel_token(token).build().unwrap();
        let result = item.compute_with(&session);
        assert!(result.is_err_and(|error| error.is_cancelled()), "{name}");
        assert_eq!(session.spilled_bytes(), 0);
    }
}

/// Writes text lines of a bag by a sink.
type Write = fn(&Bag<Numbers>, &dyn Execute, &Path) -> Result<FilesWritten>;
type Numbers = flagstone_bag::Source<flagstone_bag::Made<Items, Vec<u64>>>;
type Items = Box<dyn Fn(u32) -> Vec<u64> + Send + Sync>;

const SINKS: [(&str, Write); 4] = [
    ("text", |bag, executor, out| {
        bag.map(|n| n.to_string())
            .to_textfiles(executor, out, &FilesOptions::default())
    }),
    ("packed text", |bag, executor, out| {
        let options = FilesOptions {
            compression: flagstone_bag::Compression::Gzip,
            ..FilesOptions::default()
        };
        // text that cannot be packed
        let noise = |n: u64| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n << 40));
        bag.map(noise).to_textfiles(executor, out, &options)
    }),
    ("json", |bag, executor, out| {
        bag.to_json(executor, out, &FilesOptions::default())
    }),
    ("json of a sorted bag", |bag, executor, out| {
        bag.sort_by(|n| *n)
            .to_json(executor, out, &FilesOptions::default())
    }),
];

fn numbers(each: impl Fn(u32) + Send + Sync + 'static) -> Bag<Numbers> {
    let items: Items = Box::new(move |part| {
        each(part);
        (0..400_000).map(|n| u64::from(part) << 32 | n).collect()
    });
    Bag::from_fn(4, items)
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn faults_of_sinks_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for (name, write) in SINKS {
        for executor in [&SerialExecutor as &dyn Execute, &session(2)] {
            let panicking = numbers(|part| assert!(part != 2, "by design"));
            let error = write(&panicking, executor, &out).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Panicked, "{name}: {error}");
            assert!(is_empty(dir.path()), "{name}");
            std::fs::create_dir(&out).unwrap();
            std::fs::write(out.join("part-00000.txt"), "mine").unwrap();
            let error = write(&numbers(|_| panic!("it ran")), executor, &out).unwrap_err();
            assert!(
                error.to_string().contains("exists already"),
                "{name}: {error}"
            );
            assert_eq!(std::fs::read(out.join("part-00000.txt")).unwrap(), b"mine");
            std::fs::remove_dir_all(&out).unwrap();
            let gone = dir.path().join("no").join("out");
            let error = write(&numbers(|_| ()), executor, &gone).unwrap_err();
            assert!(
                error.to_string().contains("does not exist"),
                "{name}: {error}"
            );
        }
        let token = CancelToken::new();
        let cancel = token.clone();
        let builder = Session::builder()
            .memory_bytes(64 << 20)
            .threads(2)
            .allow_tmpfs();
        let session = builder.cancel_token(token).build().unwrap();
        let error = write(&numbers(move |_| cancel.cancel()), &session, &out).unwrap_err();
        assert!(error.is_cancelled(), "{name}: {error}");
        assert!(is_empty(dir.path()), "{name}");
    }
}

/// A budget that a block or a piece does not fit into is refused, with numbers, by every source and sink.
#[test]
fn a_budget_that_is_too_small_is_an_error_with_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{{\"n\":1,\"x\":\"{}\"}}\n", "y".repeat(6 << 20));
    write(dir.path(), "b.json", long);
    let session = common::small(4 << 20, 1);
    for (name, _, source) in FILE_SOURCES {
        let item = source(&dir.path().join("*.json"), Arc::new(|| ()));
        let error = fails(&item, &session, name);
        let text = error.to_string();
        // a whole file is known to be too large before anything runs
        let says = match error.kind() {
            ErrorKind::Budget => "the smallest budget that works is",
            _ => "b.json",
        };
        assert!(
            text.contains("MiB") && text.contains(says),
            "{name}: {text}"
        );
    }
    let out = dir.path().join("out");
    let wide = Bag::range(0..4, 2).map(|n| format!("{n}{}", "y".repeat(6 << 20)));
    let options = FilesOptions::default();
    for result in [
        wide.to_textfiles(&session, &out, &options),
        wide.to_json(&session, &out, &options),
        wide.sort_by(String::clone)
            .to_json(&session, &out, &options),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NeedsMemory, "{error}");
        assert!(error.to_string().contains("MiB"), "{error}");
        assert!(!out.exists());
    }
}

/// A mounted file system, unmounted on drop.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_under_a_sink_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("mount");
    command
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(dir.path());
    if !command.output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this user cannot mount");
        return;
    }
    let mount = Mount(dir.path().to_owned());
    let out = mount.0.join("out");
    for (name, write) in SINKS {
        for executor in [&SerialExecutor as &dyn Execute, &session(2)] {
            let error = write(&numbers(|_| ()), executor, &out).unwrap_err();
            assert!(error.is_out_of_disk(), "{name}: {error:?}");
            assert!(error.to_string().contains("out"), "{name}: {error}");
            assert!(is_empty(&mount.0), "{name}");
        }
    }
}
