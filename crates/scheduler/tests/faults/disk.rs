//! Spilling to real file systems: one that is full after 2 MiB, and one that is itself memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Numbers, bits};
use crate::shapes::{OneToOne, Reduce};
use flagstone_common::{Result, TaskContext};
use flagstone_graph::SerialExecutor;
use flagstone_graph::{Block, Deps, Execute, Footprint, Graph, Inputs, Layer, LayerId};
use flagstone_scheduler::{Session, SessionBuilder};

/// A mounted file system, unmounted on drop.
struct Mount(PathBuf);

impl Mount {
    /// A file system in memory of this size; nothing where that is not allowed.
    fn tmpfs(at: &Path, size: &str) -> Option<Mount> {
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at);
        match command.output() {
            Ok(output) if output.status.success() => Some(Mount(at.to_owned())),
            _ => {
                eprintln!("skipped: this user cannot mount");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

const LENGTH: usize = 32_768;

/// 40 sources of 256 KiB, all read twice: once for a total, once more after it.
fn twice() -> (Graph, LayerId) {
    let mut graph = Graph::new();
    let bytes = LENGTH as u64 * 8;
    let source = OneToOne::source(
        "source",
        40,
        move |_| Footprint::exact(bytes),
        |task, _, _| Ok(Block::new(Numbers(vec![u64::from(task); LENGTH]))),
    );
    let source = graph.push(source, &[]);
    let total = graph.reduce("total", source, 4, |_| Footprint::exact(8), sum);
    let again = graph.push(AfterAll, &[source, total]);
    let end = graph.reduce("end", again, 4, |_| Footprint::exact(8), sum);
    (graph, end)
}

/// The sum of a source, taken when the total of all is known.
struct AfterAll;

impl Layer for AfterAll {
    fn name(&self) -> &str {
        "after-all"
    }

    fn task_count(&self) -> u32 {
        40
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        deps.push(0, task);
        deps.push(1, 0);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(8)
    }

    fn run(&self, task: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        sum(task, inputs, ctx)
    }
}

fn sum(_: u32, inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
    let mut sum = 0u64;
    for i in 0..inputs.len() {
        sum += inputs.get::<Numbers>(i)?.0.iter().sum::<u64>();
    }
    Ok(Block::new(Numbers(vec![sum])))
}

fn session(budget: &str, dir: &Path) -> SessionBuilder {
    Session::builder().memory(budget).threads(2).spill_dir(dir)
}

#[test]
fn a_full_disk_ends_the_run_with_its_name_and_leaves_the_session_working() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::tmpfs(dir.path(), "2m") else {
        return;
    };
    let session = session("8 MiB", dir.path()).allow_tmpfs().build().unwrap();
    let idle = session.granted_bytes();
    let (graph, end) = twice();
    let error = session.execute(&graph, &[end]).unwrap_err();
    assert!(error.is_out_of_disk(), "{error}");
    let message = error.to_string();
    assert!(
        message.contains(&*dir.path().to_string_lossy()),
        "{message}"
    );
    assert_eq!(session.granted_bytes(), idle);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // what fits still runs
    let mut small = Graph::new();
    let one = OneToOne::source(
        "one",
        1,
        |_| Footprint::exact(8),
        |_, _, _| Ok(Block::new(Numbers(vec![7]))),
    );
    let one = small.push(one, &[]);
    let blocks = session.execute(&small, &[one]).unwrap();
    assert_eq!(bits(&blocks)[0][0], [7]);
}

#[test]
fn a_spill_directory_in_memory_is_charged_to_the_budget() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::tmpfs(dir.path(), "64m") else {
        return;
    };
    let (graph, end) = twice();
    let message = session("8 MiB", dir.path())
        .build()
        .err()
        .unwrap()
        .to_string();
    assert!(message.contains("tmpfs"), "{message}");

    let allowed = session("16 MiB", dir.path()).allow_tmpfs().build().unwrap();
    assert!(allowed.granted_bytes() >= 8 << 20, "the quota is leased");
    let blocks = allowed.execute(&graph, &[end]).unwrap();
    let serial = SerialExecutor.execute(&graph, &[end]).unwrap();
    assert_eq!(bits(&blocks), bits(&serial));
    let stats = allowed.last_stats();
    assert!(stats.bytes_spilled > 0 && stats.ledger_peak_bytes <= 16 << 20);

    let quota = session("16 MiB", dir.path())
        .allow_tmpfs()
        .spill_quota_bytes(1 << 20);
    let quota = quota.build().unwrap();
    assert!(
        quota.granted_bytes() < 8 << 20,
        "only what may be spilled is leased"
    );
}
