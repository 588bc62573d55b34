//! What the machine allows this process: threads and memory, from control groups (v1 and v2), the
//! CPU set, Slurm and physical memory. No setting of Flagstone's own is needed.

use std::fs;
use std::path::{Path, PathBuf};

/// What the machine allows, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Threads worth running: the CPU set, cut by a control group's quota and Slurm.
    pub threads: usize,
    /// Bytes this process may use in all.
    pub memory_bytes: u64,
    /// Where `memory_bytes` comes from: `"cgroup v2"`, `"Slurm"`, `"available memory"`.
    pub memory_from: &'static str,
}

impl Machine {
    /// Asks the running machine.
    pub fn detect() -> Self {
        let slurm = |name: &str| std::env::var(name).ok();
        Machine::read(
            Path::new("/"),
            std::thread::available_parallelism().map_or(1, |n| n.get()),
            &slurm,
        )
    }

    /// Reads it from a file tree and an environment, which tests make up.
    fn read(root: &Path, cpuset: usize, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| env(name).and_then(|text| text.trim().parse::<u64>().ok());
        let mut threads = cpuset.max(1);
        if let Some(cpus) = number("SLURM_CPUS_PER_TASK").filter(|&cpus| cpus > 0) {
            threads = threads.min(cpus as usize);
        }
        let mut candidates: Vec<(u64, &'static str)> = Vec::new();
        if let Some(available) = meminfo(root, "MemAvailable:").or(meminfo(root, "MemTotal:")) {
            candidates.push((available, "available memory"));
        }
        if let Some(limit) = cgroup_limit(root) {
            candidates.push(limit);
        }
        // Slurm speaks of megabytes (2^20)
        if let Some(mib) = number("SLURM_MEM_PER_NODE").filter(|&mib| mib > 0) {
            candidates.push((mib << 20, "Slurm"));
        } else if let Some(mib) = number("SLURM_MEM_PER_CPU").filter(|&mib| mib > 0) {
            let cpus = number("SLURM_CPUS_PER_TASK").unwrap_or(1).max(1);
            candidates.push(((mib << 20).saturating_mul(cpus), "Slurm"));
        }
        let (memory_bytes, memory_from) =
            candidates.into_iter().min().unwrap_or((1 << 30, "a guess"));
        Machine {
            threads,
            memory_bytes,
            memory_from,
        }
    }

    /// The default budget: 60 % of what the machine allows.
    pub fn default_budget_bytes(&self) -> u64 {
        self.memory_bytes / 5 * 3
    }
}

fn meminfo(root: &Path, field: &str) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

/// The tightest limit on the path from this process's group to the root group.
fn cgroup_limit(root: &Path) -> Option<(u64, &'static str)> {
    let membership = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mut best: Option<(u64, &'static str)> = None;
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let (base, file, name): (PathBuf, _, _) = if controllers.is_empty() {
            (root.join("sys/fs/cgroup"), "memory.max", "cgroup v2")
        } else if controllers
            .split(',')
            .any(|controller| controller == "memory")
        {
            (
                root.join("sys/fs/cgroup/memory"),
                "memory.limit_in_bytes",
                "cgroup v1",
            )
        } else {
            continue;
        };
        let mut group = PathBuf::from(path.trim_start_matches('/'));
        loop {
            let limit = fs::read_to_string(base.join(&group).join(file))
                .ok()
                .and_then(|text| text.trim().parse::<u64>().ok())
                // v1 writes "no limit" as a number near 2^63
                .filter(|&limit| limit < 1 << 60);
            if let Some(limit) = limit {
                best = Some(best.map_or((limit, name), |best| best.min((limit, name))));
            }
            if !group.pop() {
                break;
            }
        }
    }
    best
}

/// The directory for spilled blocks: that of `FLAGSTONE_SPILL_DIR`, else the system's persistent
/// temporary directory; and whether the user named it.
pub(crate) fn default_spill_dir() -> (PathBuf, bool) {
    if let Some(dir) = std::env::var_os("FLAGSTONE_SPILL_DIR").filter(|dir| !dir.is_empty()) {
        return (PathBuf::from(dir), true);
    }
    let persistent = PathBuf::from("/var/tmp");
    match persistent.is_dir() {
        true => (persistent, false),
        false => (std::env::temp_dir(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    const MEMINFO: (&str, &str) = (
        "proc/meminfo",
        "MemTotal: 16000 kB\nMemFree: 1 kB\nMemAvailable: 8000 kB\n",
    );

    #[test]
    fn the_tightest_limit_of_nested_v2_groups_counts() {
        let dir = tree(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/memory.max", "4096000\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
        ]);
        let machine = Machine::read(dir.path(), 8, &|_| None);
        assert_eq!(
            (machine.memory_bytes, machine.memory_from),
            (4_096_000, "cgroup v2")
        );
        assert_eq!(machine.threads, 8);
    }

    #[test]
    fn v1_without_a_limit_leaves_available_memory() {
        let dir = tree(&[
            MEMINFO,
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\n"),
            (
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ]);
        let machine = Machine::read(dir.path(), 0, &|_| None);
        assert_eq!(machine.memory_bytes, 8000 << 10);
        assert_eq!(
            (machine.memory_from, machine.threads),
            ("available memory", 1)
        );
        assert_eq!(machine.default_budget_bytes(), (8000 << 10) / 5 * 3);
    }

    #[test]
    fn slurm_cuts_threads_and_memory() {
        let dir = tree(&[MEMINFO]);
        let env = |name: &str| match name {
            "SLURM_CPUS_PER_TASK" => Some("2".to_owned()),
            "SLURM_MEM_PER_CPU" => Some("1".to_owned()),
            _ => None,
        };
        let machine = Machine::read(dir.path(), 8, &env);
        assert_eq!((machine.threads, machine.memory_bytes), (2, 2 << 20));
        assert_eq!(machine.memory_from, "Slurm");
    }
}
