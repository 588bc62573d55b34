//! Events in the manner of the GitHub archive: hourly files of JSON lines, nested and uneven, each
//! compressed with gzip.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::random::{Random, Weighted};
use crate::write::{TextFile, write_files};

/// An hour of events before compression.
const FILE_BYTES: u64 = 22 << 20;
const EVENTS_PER_BATCH: usize = 500;
const ACTORS: usize = 60_000;
const REPOS: usize = 90_000;
const ORGS: u64 = 3_000;

/// Event types and their shares, in thousandths.
const TYPES: [(&str, u32); 14] = [
    ("PushEvent", 500),
    ("CreateEvent", 120),
    ("WatchEvent", 90),
    ("IssueCommentEvent", 90),
    ("IssuesEvent", 50),
    ("PullRequestEvent", 50),
    ("ForkEvent", 30),
    ("DeleteEvent", 20),
    ("PullRequestReviewCommentEvent", 15),
    ("GollumEvent", 12),
    ("CommitCommentEvent", 8),
    ("ReleaseEvent", 6),
    ("MemberEvent", 6),
    ("PublicEvent", 3),
];

const WORDS: [&str; 60] = [
    "fix",
    "add",
    "update",
    "remove",
    "refactor",
    "test",
    "docs",
    "merge",
    "branch",
    "readme",
    "initial",
    "commit",
    "version",
    "bump",
    "support",
    "error",
    "handling",
    "build",
    "travis",
    "config",
    "module",
    "class",
    "method",
    "index",
    "page",
    "style",
    "css",
    "javascript",
    "python",
    "ruby",
    "rust",
    "parser",
    "memory",
    "leak",
    "crash",
    "bug",
    "feature",
    "issue",
    "cleanup",
    "typo",
    "import",
    "export",
    "release",
    "notes",
    "deploy",
    "script",
    "server",
    "client",
    "api",
    "json",
    "html",
    "template",
    "view",
    "model",
    "controller",
    "cache",
    "queue",
    "thread",
    "lock",
    "naïve",
];

/// Repositories of one organisation, so that filters on a prefix find something.
const JUPYTER: [&str; 30] = [
    "notebook",
    "jupyterhub",
    "nbviewer",
    "nbgrader",
    "nbconvert",
    "jupyter_client",
    "jupyter_core",
    "docker-stacks",
    "tmpnb",
    "dockerspawner",
    "oauthenticator",
    "testpath",
    "qtconsole",
    "configurable-http-proxy",
    "jupyter.github.io",
    "roadmap",
    "enhancement-proposals",
    "design",
    "surveys",
    "help",
    "kernel_gateway",
    "nbformat",
    "nbdime",
    "ipykernel",
    "try.jupyter.org",
    "terminado",
    "colaboratory",
    "jupyter-drive",
    "governance",
    "atlas",
];

pub(crate) fn generate(size: u64, seed: u64, dir: &Path, threads: usize) -> Result<Vec<PathBuf>> {
    let count = size.div_ceil(FILE_BYTES).max(1);
    let hours: Vec<TextFile> = (0..count)
        .map(|hour| TextFile {
            name: format!("{}-{}.json.gz", date(hour / 24), hour % 24),
            header: "",
            bytes: size * (hour + 1) / count - size * hour / count,
            gzip: true,
        })
        .collect();
    generate_files(&hours, seed, dir, threads)
}

fn generate_files(
    hours: &[TextFile],
    seed: u64,
    dir: &Path,
    threads: usize,
) -> Result<Vec<PathBuf>> {
    let world = World::new(seed);
    write_files(dir, hours, threads, &|hour, batch, lines| {
        let mut random = Random::new(seed ^ 0x6768, (hour as u64 + 1) << 32 | batch as u64);
        let mut events = Events {
            world: &world,
            hour: hour as u64,
            line: String::new(),
            message: String::new(),
            payload: String::new(),
            sha: String::new(),
        };
        for i in 0..EVENTS_PER_BATCH {
            events.event(&mut random, (batch * EVENTS_PER_BATCH + i) as u64);
            lines.extend_from_slice(events.line.as_bytes());
        }
    })
}

/// The day this many days after the first of January 2015.
fn date(mut day: u64) -> String {
    let mut year = 2015;
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let months = [
            31,
            if leap { 29 } else { 28 },
            31,
            30,
            31,
            30,
            31,
            31,
            30,
            31,
            30,
            31,
        ];
        for (month, length) in months.into_iter().enumerate() {
            if day < length {
                return format!("{year}-{:02}-{:02}", month + 1, day + 1);
            }
            day -= length;
        }
        year += 1;
    }
}

/// Who acts on what.
struct World {
    actors: Vec<String>,
    repos: Vec<String>,
    actor_shares: Weighted,
    repo_shares: Weighted,
    type_shares: Weighted,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x6768, 0);
        let actors: Vec<String> = (0..ACTORS)
            .map(|i| format!("{}{i}", random.letters(6)))
            .collect();
        let mut repos: Vec<String> = (0..REPOS)
            .map(|_| {
                let owner = random.below(ACTORS as u64) as usize;
                format!("{}/{}", actors[owner], random.letters(8))
            })
            .collect();
        let mut places: Vec<usize> = (200..2_200).collect();
        random.shuffle(&mut places);
        for (&place, name) in places.iter().zip(JUPYTER) {
            repos[place] = format!("jupyter/{name}");
        }
        World {
            actors,
            repos,
            actor_shares: Weighted::zipf(ACTORS, 0.9),
            repo_shares: Weighted::zipf(REPOS, 0.8),
            type_shares: Weighted::new(TYPES.iter().map(|&(_, share)| f64::from(share))),
        }
    }
}

/// Makes one event after the other, in buffers that are used again.
struct Events<'a> {
    world: &'a World,
    hour: u64,
    line: String,
    message: String,
    payload: String,
    sha: String,
}

impl Events<'_> {
    fn event(&mut self, random: &mut Random, number: u64) {
        let world = self.world;
        let (kind, _) = TYPES[world.type_shares.draw(random)];
        let actor = world.actor_shares.draw(random);
        let repo = world.repo_shares.draw(random);
        let (login, repo_name) = (&world.actors[actor], &world.repos[repo]);
        let id = 2_489_368_070 + self.hour * 1_000_000 + number;
        // about 14,500 events an hour, in order
        let second = number * 3_600 / 15_000 % 3_600;
        let time = format!(
            "{}T{:02}:{:02}:{:02}Z",
            date(self.hour / 24),
            self.hour % 24,
            second / 60,
            second % 60
        );
        sentence(random, 12, &mut self.message);
        self.payload.clear();
        self.payload(random, kind, login, repo_name, actor, &time, id);
        self.line.clear();
        // writing to memory cannot fail
        let _ = write!(
            self.line,
            "{{\"id\":\"{id}\",\"type\":\"{kind}\",\"actor\":{{\"id\":{},\"login\":\"{login}\",\
             \"gravatar_id\":\"\",\"url\":\"https://api.github.example/users/{login}\",\
             \"avatar_url\":\"https://avatars.example/u/{}?\"}},\"repo\":{{\"id\":{},\
             \"name\":\"{repo_name}\",\"url\":\"https://api.github.example/repos/{repo_name}\"}},\
             \"payload\":{},\"public\":true,\"created_at\":\"{time}\"",
            1_000_000 + actor,
            1_000_000 + actor,
            20_000_000 + repo,
            self.payload,
        );
        if random.below(4) == 0 {
            let org = actor as u64 % ORGS;
            let _ = write!(
                self.line,
                ",\"org\":{{\"id\":{},\"login\":\"org{org}\",\"gravatar_id\":\"\",\
                 \"url\":\"https://api.github.example/orgs/org{org}\",\
                 \"avatar_url\":\"https://avatars.example/u/{}?\"}}",
                9_000 + org,
                9_000 + org
            );
        }
        self.line.push_str("}\n");
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event")]
    fn payload(
        &mut self,
        random: &mut Random,
        kind: &str,
        login: &str,
        repo: &str,
        actor: usize,
        time: &str,
        id: u64,
    ) {
        let (out, message) = (&mut self.payload, &self.message);
        let _ = match kind {
            "PushEvent" => {
                let mut size = 1;
                while size < 20 && random.below(100) < 55 {
                    size += 1;
                }
                let _ = write!(out, "{{\"push_id\":{},\"size\":{size},", id - 1_952_627_674);
                let _ = write!(
                    out,
                    "\"distinct_size\":{size},\"ref\":\"refs/heads/master\","
                );
                random.hex(40, &mut self.sha);
                let _ = write!(out, "\"head\":\"{}\",", self.sha);
                random.hex(40, &mut self.sha);
                let _ = write!(out, "\"before\":\"{}\",\"commits\":[", self.sha);
                for i in 0..size {
                    if i > 0 {
                        out.push(',');
                    }
                    random.hex(40, &mut self.sha);
                    let sha = &self.sha;
                    let (first, last) = (random.pick(&WORDS), random.pick(&WORDS));
                    let text = match i {
                        0 => message.clone(),
                        _ => format!("{first} {message}\\n\\n- {last}"),
                    };
                    let _ = write!(
                        out,
                        "{{\"sha\":\"{sha}\",\"author\":{{\"email\":\"{}{i}@example.org\",\
                         \"name\":\"{login}\"}},\"message\":\"{text}\",\"distinct\":true,\
                         \"url\":\"https://api.github.example/repos/{repo}/commits/{sha}\"}}",
                        &sha[..12],
                    );
                }
                write!(out, "]}}")
            }
            "CreateEvent" => write!(
                out,
                "{{\"ref\":\"{}\",\"ref_type\":\"branch\",\"master_branch\":\"master\",\
                 \"description\":{},\"pusher_type\":\"user\"}}",
                random.pick(&WORDS),
                if random.below(3) == 0 {
                    "null".to_owned()
                } else {
                    format!("\"{message}\"")
                }
            ),
            "WatchEvent" => write!(out, "{{\"action\":\"started\"}}"),
            "ForkEvent" => write!(
                out,
                "{{\"forkee\":{{\"id\":{},\"name\":\"{}\",\"full_name\":\"{login}/{}\",\
                 \"private\":false,\"description\":\"{message}\",\"fork\":true,\
                 \"created_at\":\"{time}\",\"size\":{},\"default_branch\":\"master\"}}}}",
                28_000_000 + id % 1_000_000,
                repo.rsplit('/').next().unwrap_or(repo),
                repo.rsplit('/').next().unwrap_or(repo),
                random.below(60) * 100,
            ),
            "IssueCommentEvent"
            | "IssuesEvent"
            | "PullRequestEvent"
            | "CommitCommentEvent"
            | "PullRequestReviewCommentEvent" => {
                let number = random.below(600);
                let mut body = String::new();
                let words = random.between(40, 75) as usize;
                sentence(random, words, &mut body);
                write!(
                    out,
                    "{{\"action\":\"created\",\"issue\":{{\
                     \"url\":\"https://api.github.example/repos/{repo}/issues/{number}\",\
                     \"id\":{},\"number\":{number},\"title\":\"{message}\",\
                     \"user\":{{\"login\":\"{login}\",\"id\":{},\"gravatar_id\":\"\",\
                     \"type\":\"User\",\"site_admin\":false}},\"labels\":[],\"state\":\"open\",\
                     \"locked\":false,\"assignee\":null,\"milestone\":null,\"comments\":{},\
                     \"created_at\":\"{time}\",\"updated_at\":\"{time}\",\"closed_at\":null,\
                     \"body\":\"{body} \\\"{message}\\\"\"}}}}",
                    53_000_000 + id % 1_000_000,
                    1_000_000 + actor,
                    random.below(7),
                )
            }
            _ => write!(
                out,
                "{{\"ref\":\"{}\",\"ref_type\":\"tag\",\"pusher_type\":\"user\",\
                 \"action\":\"{}\",\"note\":\"{message}\"}}",
                random.pick(&WORDS),
                random.pick(&WORDS)
            ),
        };
    }
}

fn sentence(random: &mut Random, words: usize, out: &mut String) {
    out.clear();
    for i in 0..words {
        if i > 0 {
            out.push(' ');
        }
        let word: &str = random.pick::<&str>(&WORDS);
        out.push_str(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_pass_the_ends_of_months_and_years() {
        for (day, text) in [
            (0, "2015-01-01"),
            (31, "2015-02-01"),
            (365 + 59, "2016-02-29"),
        ] {
            assert_eq!(date(day), text);
        }
    }
}
