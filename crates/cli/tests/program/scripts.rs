//! Scripts of what a user types and what they see, one file a lesson.
//!
//! A line that begins with `$` is typed into a shell; what follows, up to the next one, is what was
//! printed, with the exit code where it is not 0. After a change that is meant, write them anew with
//! `FLAGSTONE_UPDATE=1 cargo test --workspace --test program scripts`, and look at the difference.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a shell prints of a command, both streams in their order.
fn printed(command: &str, place: &Path) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_flagstone"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let output = Command::new("sh")
        .args(["-c", &format!("{command} 2>&1")])
        .current_dir(place)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.replace(&place.display().to_string(), "<here>");
    let mut lines: Vec<String> = text.lines().map(the_same_each_time).collect();
    match output.status.code() {
        Some(0) => {}
        code => lines.push(format!("[exit {}]", code.unwrap_or(-1))),
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A line without what is another each time: seconds, what a run held, and the hashes of tasks.
fn the_same_each_time(line: &str) -> String {
    let peak = [", peak ", "; peak "].iter().find_map(|word| {
        let at = line.find(word)? + word.len();
        let of = line[at..].find(" of ")? + at;
        Some(format!("{}<bytes>{}", &line[..at], &line[of..]))
    });
    let line = peak.as_deref().unwrap_or(line);
    let words = line.split(' ').map(|word| {
        let number = word.trim_end_matches([',', '.', ')', ';', ':']);
        let seconds = number.strip_suffix('s').map(str::parse::<f64>);
        match seconds {
            Some(Ok(_)) => "<time>".to_owned(),
            _ => without_hash(word),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `read-csv-9d06be[0]` as `read-csv-<hash>[0]`.
fn without_hash(word: &str) -> String {
    const HASH_LEN: usize = 6;
    for (at, _) in word.match_indices('-') {
        let rest = &word[at + 1..];
        let hash = rest.get(..HASH_LEN).unwrap_or_default();
        if hash.len() == HASH_LEN
            && hash.bytes().all(|b| b.is_ascii_hexdigit())
            && rest[HASH_LEN..].starts_with('[')
        {
            return format!("{}-<hash>{}", &word[..at], &rest[HASH_LEN..]);
        }
    }
    word.to_owned()
}

#[test]
fn scripts_print_what_they_say() {
    let folder = root().join("tests/scripts");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let place = tempfile::tempdir().unwrap();
        let datasets = root().join("datasets").canonicalize().unwrap();
        std::os::unix::fs::symlink(datasets, place.path().join("datasets")).unwrap();
        let script = std::fs::read_to_string(&file).unwrap();
        let mut found = String::new();
        for line in script.lines() {
            if line.starts_with('#') {
                let space = if found.is_empty() { "" } else { "\n" };
                found += &format!("{space}{line}\n");
            } else if let Some(command) = line.strip_prefix("$ ") {
                found += &format!("{line}\n{}", printed(command, place.path()));
            }
        }
        if std::env::var_os("FLAGSTONE_UPDATE").is_some() {
            std::fs::write(&file, found).unwrap();
            continue;
        }
        for (n, (found, said)) in found.lines().zip(script.lines()).enumerate() {
            assert_eq!(found, said, "{}:{}", file.display(), n + 1);
        }
        assert_eq!(found, script, "{}", file.display());
    }
}
