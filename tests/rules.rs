//! The rules of the house that a machine can keep.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates of the project, each with those of the project that it may depend on. Imports point
/// down: a crate stands below all that may use it.
const MAY_DEPEND_ON: [(&str, &[&str]); 11] = [
    ("flagstone-common", &[]),
    ("flagstone-graph", &["flagstone-common"]),
    (
        "flagstone-exchange",
        &["flagstone-graph", "flagstone-common"],
    ),
    ("flagstone-io", &["flagstone-common"]),
    (
        "flagstone-scheduler",
        &["flagstone-graph", "flagstone-common"],
    ),
    ("flagstone-array", COLLECTION),
    ("flagstone-frame", COLLECTION),
    ("flagstone-bag", COLLECTION),
    (
        "flagstone",
        &[
            "flagstone-array",
            "flagstone-bag",
            "flagstone-frame",
            "flagstone-graph",
            "flagstone-io",
            "flagstone-common",
            "flagstone-scheduler",
        ],
    ),
    ("flagstone-datasets", &["flagstone-io"]),
    (
        "flagstone-cli",
        &["flagstone", "flagstone-datasets", "flagstone-io"],
    ),
];
/// Collections know neither each other nor an executor.
const COLLECTION: &[&str] = &[
    "flagstone-exchange",
    "flagstone-graph",
    "flagstone-io",
    "flagstone-common",
];

/// Functions on slices and columns, which know no graph, no files and no executor.
const KERNELS: [&str; 2] = ["crates/array/src/kernels", "crates/frame/src/kernels"];
/// What they may use of the project beside the crate that they are in, which examples name.
const KERNELS_MAY_USE: &str = "flagstone_common";

/// Where there is unsafe code, each time with a SAFETY sentence (which clippy asks for).
const UNSAFE: [&str; 40] = [
    "benches/peers/in_memory_matmul.rs",
    "benches/scheduler.rs",
    "crates/array/examples/limits.rs",
    "crates/array/src/chunk/buffer.rs",
    "crates/array/src/chunk/mapped.rs",
    "crates/array/src/chunk/mod.rs",
    "crates/array/src/elements/bytes.rs",
    "crates/array/src/elements/order.rs",
    "crates/array/src/engine/collect.rs",
    "crates/array/src/families/distinct/layer.rs",
    "crates/array/src/families/product/panel.rs",
    "crates/array/src/families/product/tile.rs",
    "crates/array/src/families/sort/ranking.rs",
    "crates/array/src/families/sort/runs.rs",
    "crates/array/src/fuse/fused.rs",
    "crates/array/src/fuse/input.rs",
    "crates/array/src/fuse/tape.rs",
    "crates/array/src/fuse/window.rs",
    "crates/array/src/kernels/gemm.rs",
    "crates/array/src/kernels/strides.rs",
    "crates/array/src/kernels/tiles.rs",
    "crates/array/src/kernels/transpose.rs",
    "crates/array/src/store/npy/file.rs",
    "crates/array/src/store/zarr/lock.rs",
    "crates/array/src/store/zarr/stored.rs",
    "crates/cli/src/reports.rs",
    "crates/cli/src/signals.rs",
    "crates/frame/src/csv/column.rs",
    "crates/frame/src/csv/marks.rs",
    "crates/frame/src/json/column/array.rs",
    "crates/frame/src/json/marks.rs",
    "crates/io/src/atomic/rename.rs",
    "crates/io/src/atomic/sync.rs",
    "crates/io/src/direct.rs",
    "crates/io/src/partial.rs",
    "crates/io/src/regular.rs",
    "crates/io/src/whole.rs",
    "crates/scheduler/src/memory/allocator.rs",
    "crates/scheduler/src/spill/medium.rs",
    "crates/scheduler/src/trace/clock.rs",
];

/// Asked for only so that the program and its tests are built with one set of features.
const SHARED_FEATURES: [&str; 1] = ["getrandom"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Cargo's own description of the workspace, without dependencies.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let described: Value = serde_json::from_slice(&output.stdout).unwrap();
    described["packages"].as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Every Rust file below a folder of the project, as its path from the top, with what is in it.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// The Rust files below a folder in which there are some.
fn found_sources(folder: &str) -> Vec<(String, String)> {
    let files = sources(folder);
    assert!(!files.is_empty(), "there is no Rust in {folder}");
    files
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a word stands in a text that is no part of another.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Code without its comments; the examples in them are code too.
fn without_comments(code: &str) -> String {
    const RUST: [&str; 5] = ["", "rust", "no_run", "should_panic", "compile_fail"];
    let (mut kept, mut fence) = (String::new(), None);
    for line in code.lines() {
        let line = line.trim_start();
        let doc = line.strip_prefix("///").or(line.strip_prefix("//!"));
        match (doc.map(str::trim), fence) {
            (Some(doc), None) => fence = doc.strip_prefix("```").map(|tag| RUST.contains(&tag)),
            (Some("```"), Some(_)) => fence = None,
            (Some(example), Some(true)) => kept.extend([example, "\n"]),
            (Some(_), Some(false)) => {}
            (None, _) => {
                fence = None;
                kept.extend([line.split("//").next().unwrap_or_default(), "\n"]);
            }
        }
    }
    kept
}

#[test]
fn crates_depend_only_on_those_below_them() {
    let allowed: BTreeMap<_, _> = MAY_DEPEND_ON.into_iter().collect();
    let mut wrong = Vec::new();
    for package in packages() {
        let name = text(&package["name"]);
        let allowed = allowed.get(name);
        let allowed = allowed.unwrap_or_else(|| panic!("{name} has no line in MAY_DEPEND_ON"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = text(&dependency["name"]);
            let is_ours = other == "flagstone" || other.starts_with("flagstone-");
            if is_ours && dependency["kind"].is_null() && !allowed.contains(&other) {
                wrong.push(format!("{name} -> {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_dependency_is_used() {
    let mut wanted = BTreeSet::new();
    let mut unused = Vec::new();
    for package in packages() {
        let name = text(&package["name"]);
        let folder = Path::new(text(&package["manifest_path"])).parent().unwrap();
        let folder = folder.strip_prefix(root()).unwrap().to_owned();
        // the facade's sources lie beside the other crates
        let folders = match name {
            "flagstone" => ["crates/flagstone", "tests", "benches", "examples"].map(PathBuf::from),
            _ => ["src", "tests", "benches", "examples"].map(|part| folder.join(part)),
        };
        let code: String = folders
            .iter()
            .flat_map(|folder| sources(folder.to_str().unwrap()))
            .map(|(_, code)| without_comments(&code))
            .collect();
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = text(&dependency["name"]);
            wanted.insert(dependency["rename"].as_str().unwrap_or(other).to_owned());
            if SHARED_FEATURES.contains(&other) {
                continue;
            }
            // a name of its own, or the one whose library is called otherwise
            let library = match dependency["rename"].as_str().unwrap_or(other) {
                "layout-rs" => "layout".to_owned(),
                other => other.replace('-', "_"),
            };
            if !has_word(&code, &library) {
                unused.push(format!("{name}: {other}"));
            }
        }
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let shared = manifest.split("[workspace.dependencies]").nth(1).unwrap();
    let shared = shared.split("\n[").next().unwrap();
    for line in shared.lines() {
        if let Some((name, _)) = line.split_once(" = ")
            && !wanted.contains(name)
        {
            unused.push(format!("workspace: {name}"));
        }
    }
    assert!(unused.is_empty(), "{unused:?}");
}

/// What the features of the facade bring.
const BROUGHT: [(&str, &str); 6] = [
    ("Array", "array"),
    ("ndarray", "array"),
    ("Bag", "bag"),
    ("DataFrame", "frame"),
    ("arrow", "frame"),
    ("open_zarr", "zarr"),
];

#[test]
fn what_needs_a_feature_of_the_facade_asks_for_it() {
    let packages = packages();
    let facade = packages
        .iter()
        .find(|package| text(&package["name"]) == "flagstone");
    let mut missing = Vec::new();
    let mut looked_at = 0;
    for target in facade.unwrap()["targets"].as_array().unwrap() {
        let (name, kind) = (text(&target["name"]), text(&target["kind"][0]));
        // this file speaks of them and uses none
        if kind == "lib" || name == "rules" {
            continue;
        }
        let path = Path::new(text(&target["src_path"]));
        let mut code = std::fs::read_to_string(path).unwrap();
        let folder = path.with_extension("");
        let folder = folder.strip_prefix(root()).unwrap();
        for (_, part) in sources(folder.to_str().unwrap()) {
            code.push_str(&part);
        }
        let asked = target["required-features"].as_array();
        let asked: Vec<&str> = asked.into_iter().flatten().map(text).collect();
        for (word, feature) in BROUGHT {
            if has_word(&code, word) && !asked.contains(&feature) {
                missing.push(format!("{name}: {feature}"));
            }
        }
        looked_at += 1;
    }
    assert!(looked_at > 4 && missing.is_empty(), "{missing:?}");
}

#[test]
fn kernels_know_no_graph() {
    for (file, code) in KERNELS.into_iter().flat_map(found_sources) {
        let code = without_comments(&code);
        let own = file.split('/').nth(1).unwrap_or_default();
        let own = format!("flagstone_{own}");
        for word in code.split(|c| !is_word(c)) {
            assert!(
                !word.starts_with("flagstone") || word == KERNELS_MAY_USE || word == own,
                "{file} uses {word}"
            );
        }
    }
}

#[test]
fn unsafe_code_stands_in_known_files() {
    let folders = ["crates", "benches", "datasets", "examples"];
    let found: BTreeSet<String> = folders
        .into_iter()
        .flat_map(sources)
        .filter(|(file, code)| !file.contains("/tests/") && has_unsafe(code))
        .map(|(file, _)| file)
        .collect();
    let known: BTreeSet<String> = UNSAFE.map(str::to_owned).into();
    let new: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "not in UNSAFE: {new:?}; without unsafe code now: {gone:?}"
    );
}

/// Whether code, and not only a comment or a lint's name, says `unsafe`.
fn has_unsafe(code: &str) -> bool {
    code.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .any(|line| has_word(line, "unsafe"))
}

/// Public functions without an example that runs, crate by crate: none of these numbers may grow.
const WITHOUT_EXAMPLE: [(&str, usize); 4] = [
    ("crates/flagstone", 0),
    ("crates/array", 0),
    ("crates/bag", 0),
    ("crates/frame", 0),
];

#[test]
fn public_functions_have_examples() {
    for (folder, most) in WITHOUT_EXAMPLE {
        let mut without = Vec::new();
        for (file, code) in found_sources(&format!("{folder}/src")) {
            let (mut has_example, mut is_hidden) = (false, false);
            for line in code.lines().map(str::trim_start) {
                match line {
                    doc if doc.starts_with("///") => has_example |= doc.contains("```"),
                    attribute if attribute.starts_with("#[") => {
                        is_hidden |= attribute.contains("doc(hidden)");
                    }
                    other => {
                        if let Some(function) = other.strip_prefix("pub fn ")
                            && !has_example
                            && !is_hidden
                        {
                            let name = function.split(|c| !is_word(c)).next().unwrap();
                            without.push(format!("{file}: {name}"));
                        }
                        (has_example, is_hidden) = (false, false);
                    }
                }
            }
        }
        assert!(
            without.len() <= most,
            "{} public functions of {folder} have no example, at most {most} may: {without:#?}",
            without.len()
        );
    }
}

#[test]
fn arrays_alone_take_few_packages() {
    const PACKAGES_MAX: usize = 110;
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "flagstone"])
        .args(["--no-default-features", "--features", "array"])
        .args(["--edges", "normal,build", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed = String::from_utf8(output.stdout).unwrap();
    let packages: BTreeSet<&str> = listed
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .collect();
    assert!(
        packages.len() > 20 && packages.len() <= PACKAGES_MAX,
        "{packages:?}"
    );
    for heavy in ["arrow", "datafusion", "parquet", "zarrs", "faer"] {
        assert!(
            !packages.iter().any(|package| package.starts_with(heavy)),
            "{heavy}"
        );
    }
}

/// Paths in the text are those of a crate without its `src`, or ends of paths that were named before.
#[test]
fn architecture_names_files_that_exist() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let files: Vec<String> = ["crates", "tests", "datasets"]
        .into_iter()
        .flat_map(found_sources)
        .map(|(file, _)| file.replace("/src/", "/"))
        .collect();
    let named: BTreeSet<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.ends_with(".rs") && !word.contains(' '))
        .collect();
    assert!(named.len() > 50, "few files are named: {named:?}");
    let gone: Vec<&&str> = named
        .iter()
        .filter(|named| {
            !files
                .iter()
                .any(|file| format!("/{file}").ends_with(&format!("/{named}")))
        })
        .collect();
    assert!(gone.is_empty(), "there are no files {gone:?}");
}
