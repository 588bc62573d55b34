//! Logs by regular expression: pairs of addresses counted, the ten most frequent, known answers.

mod common;

use common::{counted, everywhere, small, write};
use flagstone_bag::{BadRecords, Bag, Match, Pattern, TextOptions};
use flagstone_common::{Counter, SerialHost, TaskContext};
use flagstone_graph::{Graph, Inputs, SerialExecutor};
use regex::Regex;
use serde::{Deserialize, Serialize};

/// The ten counts of the first text on bags, in hundredths; the last three share one count.
const PLANTED: [u64; 10] = [353, 223, 174, 129, 125, 101, 81, 75, 75, 75];

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Pair {
    client: String,
    server: String,
}

fn line(pair: u64, time: u64) -> String {
    let (a, b) = (pair % 251, pair / 251 % 251);
    format!(
        "{time}:{:06} {time}:0 {}:0 10.{a}.{b}.1:{} 172.16.{b}.{a}:80 2 8 4294967295 4294967295 \
         {time} 176 2836 21 GET {pair}..html HTTP/1.0\n",
        time % 1_000_000,
        time + 1,
        1024 + time % 4000
    )
}

/// Five files in which the planted pairs lie among others that occur less often.
fn write_logs(dir: &std::path::Path) -> u64 {
    let mut pairs: Vec<u64> = Vec::new();
    for (pair, &count) in PLANTED.iter().enumerate() {
        pairs.extend(std::iter::repeat_n(pair as u64, count as usize));
    }
    pairs.extend((10..600).flat_map(|pair| std::iter::repeat_n(pair, (pair % 7) as usize)));
    // a fixed shuffle: steps of a number that has no common factor with the length
    let step = (0..)
        .map(|i| 7919 + i)
        .find(|step| gcd(*step, pairs.len()) == 1)
        .unwrap();
    let shuffled: Vec<u64> = (0..pairs.len())
        .map(|i| pairs[i * step % pairs.len()])
        .collect();
    for (file, part) in shuffled.chunks(pairs.len().div_ceil(5)).enumerate() {
        let mut text: String = part
            .iter()
            .enumerate()
            .map(|(i, p)| line(*p, i as u64))
            .collect();
        text += "a line that is not of the format\n";
        write(dir, &format!("part-{file}.log"), text);
    }
    shuffled.len() as u64
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[test]
fn the_most_frequent_pairs_of_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let total = write_logs(dir.path());
    let format = Regex::new(
        r"^(?<time>\d+:\d+) \S+ \S+ (?<client>[\d.]+):(?<port>\d+) (?<server>[\d.]+):(\d+) .* GET (?<url>\S+)",
    )
    .unwrap();
    let lines = Bag::read_text(dir.path().join("part-*.log"));
    let pairs = lines.flat_map(move |line| {
        let found = format.captures(line)?;
        Some(Pair {
            client: found["client"].to_owned(),
            server: found["server"].to_owned(),
        })
    });
    let top = everywhere(&pairs.frequencies().topk_by(10, |(_, n)| *n));
    assert_eq!(top.iter().map(|(_, n)| *n).collect::<Vec<_>>(), PLANTED);
    assert_eq!(
        top[0].0,
        Pair {
            client: "10.0.0.1".into(),
            server: "172.16.0.0".into()
        }
    );
    // lines that are not of the format are counted, not lost
    let (read, parsed) = (lines.count(), pairs.count());
    let session = small(64 << 20, 2);
    assert_eq!(read.compute_with(&session).unwrap(), total + 5);
    assert_eq!(parsed.compute_with(&session).unwrap(), total);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Hit {
    client: String,
    port: u16,
    url: Option<String>,
}

const FORMAT: &str = r"^(?<time>\d+:\d+) \S+ \S+ (?<client>[\d.]+):(?<port>\d+) (?<server>[\d.]+):(\d+) .* (?:GET (?<url>\S+)|PUT .*) ";

#[test]
fn named_groups_are_the_fields_of_records() {
    let dir = tempfile::tempdir().unwrap();
    let total = write_logs(dir.path());
    let lines = Bag::read_text(dir.path().join("part-*.log"));
    let hits = lines.captures_with::<Hit>(FORMAT, BadRecords::Skip);
    let first = everywhere(&hits.map(|hit| (hit.client, hit.port, hit.url)).take(1));
    assert_eq!(
        first[0].2.as_deref().map(|url| url.ends_with("..html")),
        Some(true)
    );
    let (count, host) = counted(&hits.count());
    assert_eq!(count.unwrap(), total);
    assert_eq!(host.counted(Counter::BadRecords), 5);
    // the same pairs as by hand, by tuple
    let pairs = lines.captures_with::<(String, String)>(
        r"^\S+ \S+ \S+ (?<client>[\d.]+):\d+ (?<server>[\d.]+):\d+ ",
        BadRecords::Skip,
    );
    let top = everywhere(&pairs.frequencies().topk_by(10, |(_, n)| *n));
    assert_eq!(top.iter().map(|(_, n)| *n).collect::<Vec<_>>(), PLANTED);
}

#[test]
fn matched_lines_are_seen_where_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.log", "a=1\nb\nnothing here\nd=4\n");
    let pattern = Pattern::new(r"^(?<name>\w)(=(?<value>\w))?$").unwrap();
    let lines = Bag::read_text(&path).matched(pattern, BadRecords::Skip);
    let source = lines.partition_stream(&mut Graph::new()).unwrap();
    let host = SerialHost::new();
    let key = || "lines[0]".to_owned();
    let ctx = TaskContext::new(&host, &key);
    let mut found = Vec::new();
    let each = |line: Match<'_>| {
        found.push((line.line().to_owned(), line.group(1).map(str::to_owned)));
        Ok(())
    };
    let passed = source.for_each_borrowed(0, Inputs::new(&mut []), &ctx, each);
    let passed = passed.unwrap();
    assert_eq!(passed.left_out, 1);
    let first = passed.first_left_out.unwrap();
    assert!(
        first.ends_with("a.log:3: the line does not match the pattern (byte 6 of the text)"),
        "{first}"
    );
    let expected = [("a=1", Some("1")), ("b", None), ("d=4", Some("4"))];
    let expected = expected.map(|(line, value)| (line.to_owned(), value.map(str::to_owned)));
    assert_eq!(found, expected);
    assert_eq!(host.counted(Counter::BadRecords), 1);
}

#[test]
fn a_line_that_does_not_match_is_named_or_quarantined() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.log", "a=1\nb=2\nc=x\nnothing\nd=4\n");
    let lines = Bag::read_text(&path);
    let pattern = r"^(?<name>\w)=(?<value>\w)$";
    let strict = lines.captures::<(char, u8)>(pattern);
    let error = strict
        .count()
        .compute_with(&small(32 << 20, 2))
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("a.log:3: the group \"value\" is \"x\"")
            && message.contains(" (byte 8 of the text); skip or quarantine bad records"),
        "{message}"
    );
    assert!(error.location().unwrap().file().ends_with("logs.rs"));
    let bad = dir.path().join("bad");
    let policy = BadRecords::Quarantine(bad.clone());
    let kept = lines.captures_with::<(char, u8)>(pattern, policy);
    assert_eq!(
        everywhere(&kept.map(|(_, value)| u64::from(value)).sum()),
        7
    );
    let kept = std::fs::read_to_string(bad.join("part-00000.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 2);
    assert!(kept.contains("\"line\":4,\"byte\":12,"), "{kept}");
    assert!(kept.contains("\"record\":\"nothing\""), "{kept}");
    // the same lines with fewer groups keep what the first reading has put there
    write(dir.path(), "b.log", "b=2\nalso nothing\n");
    let text = TextOptions {
        files_per_partition: Some(1),
        ..TextOptions::default()
    };
    let lines = Bag::read_text_with([dir.path().join("?.log")], text);
    let pattern = Pattern::new(pattern).unwrap();
    let all = lines.matched(pattern.clone(), BadRecords::Quarantine(bad.clone()));
    assert_eq!(all.count().compute_with(&SerialExecutor).unwrap(), 5);
    let names = all.with_pattern(pattern.narrowed(|name| name == "name").unwrap());
    let first = names.map(|line| line.line().to_owned()).take(1);
    assert_eq!(first.compute_with(&SerialExecutor).unwrap(), ["a=1"]);
    for (part, records) in [("part-00000.jsonl", 1), ("part-00001.jsonl", 1)] {
        let kept = std::fs::read_to_string(bad.join(part)).unwrap();
        assert_eq!(kept.lines().count(), records, "{kept}");
    }
    let mistake = lines.captures::<u8>("(").check().unwrap_err();
    assert!(mistake.to_string().contains("unclosed group"), "{mistake}");
}
