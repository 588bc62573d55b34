//! `flagstone query` at a terminal: the shell, as a person types.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::Folder;

/// A program at a terminal of its own.
struct Terminal {
    child: Child,
    screen: File,
    seen: String,
}

impl Terminal {
    fn open(place: &Folder, arguments: &[&str]) -> Self {
        let (mut ours, mut theirs) = (-1, -1);
        let size = libc::winsize {
            ws_row: 40,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let null = std::ptr::null_mut();
        // SAFETY: both places are there to be written, and the size is read during the call alone.
        let opened = unsafe { libc::openpty(&mut ours, &mut theirs, null, null.cast(), &size) };
        assert_eq!(opened, 0);
        // SAFETY: the call gave both, and nobody else has them.
        let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
        // or programs of other tests would hold this terminal open
        for end in [&ours, &theirs] {
            // SAFETY: a flag of a descriptor of our own.
            unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        let end = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = place.command(arguments);
        command.env("TERM", "xterm").env("HOME", place.path("home"));
        command.env_remove("XDG_STATE_HOME");
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: only calls that are allowed between fork and exec: the terminal becomes the child's own.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // SAFETY: flags of a descriptor of our own.
        unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        Terminal {
            child,
            screen: File::from(ours),
            seen: String::new(),
        }
    }

    /// Waits until something comes to the screen, and gives all that came until then.
    #[track_caller]
    fn expect(&mut self, words: &str) -> String {
        let start = Instant::now();
        let mut buffer = [0; 4096];
        while !self.seen.contains(words) {
            match self.screen.read(&mut buffer) {
                Ok(0) => panic!("the shell ended: {}", self.seen),
                Ok(len) => self.seen.push_str(&String::from_utf8_lossy(&buffer[..len])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("{error}: {}", self.seen),
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{words}: {}",
                self.seen
            );
        }
        let end = self.seen.find(words).unwrap() + words.len();
        self.seen.drain(..end).collect()
    }

    fn press(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line at the prompt, and waits for what it shows.
    #[track_caller]
    fn line(&mut self, text: &str, shows: &str) -> String {
        self.expect("flagstone> ");
        // what is echoed is not what is waited for
        self.press(&format!("{text}\r"));
        self.expect("\u{1b}[?2004l");
        self.expect(shows)
    }

    fn end(mut self) {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the shell does not end"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

fn sales() -> Folder {
    let place = Folder::new();
    std::fs::create_dir(place.path("home")).unwrap();
    place.write("sales.csv", "who,n\nann,1\nbob,2\nann,5\n");
    place
}

#[test]
fn statements_are_answered_one_after_the_other() {
    let place = sales();
    let mut shell = Terminal::open(&place, &["query"]);
    let view = "CREATE VIEW v AS SELECT who, sum(n) AS total FROM 'sales.csv' GROUP BY who;";
    shell.line(view, "v is a view");
    shell.line("SELECT * FROM v\rORDER BY total;", "2 rows");
    shell.line(".tables", "v\r\n");
    let columns = shell.line(".schema v", "└");
    assert!(
        columns.contains("total") && columns.contains("Int64"),
        "{columns}"
    );
    shell.line(
        "SELECT * FROM nobody;",
        "there is no table nobody; there are v",
    );
    shell.line(".mode csv", "");
    shell.line("SELECT 41 + 1 AS answer;", "answer\r\n42\r\n");
    shell.line(".nothing", ".help names those that there are");
    shell.line("COPY v TO 'v.parquet';", "v.parquet");
    shell.line(".quit", "");
    shell.end();
    assert_eq!(place.rows("v.parquet"), 2);
    let kept = std::fs::read_to_string(place.path("home/.local/state/flagstone/history")).unwrap();
    assert!(kept.contains("CREATE VIEW v"), "{kept}");
}

#[test]
fn an_interruption_stops_the_query_and_not_the_shell() {
    let place = sales();
    let numbers: String = (0..30_000).map(|i| format!("{i}\n")).collect();
    place.write("many.csv", format!("n\n{numbers}"));
    let mut shell = Terminal::open(&place, &["query"]);
    shell.expect("flagstone> ");
    shell.press("SELECT half a thought\u{3}");
    let pairs =
        "SELECT count(*) FROM 'many.csv' AS a, 'many.csv' AS b WHERE a.n * 7 % 11 > b.n % 5;";
    shell.line(pairs, "");
    std::thread::sleep(Duration::from_millis(500));
    shell.press("\u{3}");
    shell.expect("interrupted");
    shell.line("SELECT 41 + 1 AS answer;", "42");
    shell.expect("flagstone> ");
    shell.press("\u{4}");
    shell.end();
}
