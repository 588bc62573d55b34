//! The same specification on every executor gives the same bits: serially, on 1, 2 and 8 threads,
//! and in a budget that makes it spill.

use std::path::Path;

use flagstone::{
    Array, Bag, CsvOptions, DataFrame, Execute, SerialExecutor, Session, avg, col, count_all, max,
    min, sum,
};

use crate::common::{MIB, npy, printed, rough, session, write};

/// Every executor with its name.
fn executors(tiny_mib: u64) -> Vec<(String, Box<dyn Execute>)> {
    let mut all: Vec<(String, Box<dyn Execute>)> =
        vec![("serial".into(), Box::new(SerialExecutor))];
    for threads in [1, 2, 8] {
        all.push((
            format!("{threads} threads"),
            Box::new(session(512, threads)),
        ));
    }
    all.push((format!("{tiny_mib} MiB"), Box::new(session(tiny_mib, 2))));
    all
}

/// Runs a specification everywhere and compares with the first result.
#[track_caller]
fn the_same_everywhere(tiny_mib: u64, spec: impl Fn(&dyn Execute) -> String) {
    let mut first: Option<(String, String)> = None;
    for (name, executor) in executors(tiny_mib) {
        let result = spec(&*executor);
        match &first {
            None => first = Some((name, result)),
            Some((other, expected)) => {
                assert!(*expected == result, "{name} differs from {other}");
            }
        }
    }
}

fn bits(array: &flagstone::ndarray::ArrayD<f64>) -> String {
    let words: Vec<String> = array.iter().map(|x| format!("{:x}", x.to_bits())).collect();
    format!("{:?} {}", array.shape(), words.join(" "))
}

#[test]
fn arrays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    npy(&path, 700, 90, rough);
    the_same_everywhere(32, |executor| {
        let a = Array::<f64>::open_npy(&path);
        let b = Array::from_fn(&[700, 60], |index| rough(index[0] + 1000, index[1]));
        let product = a.t().dot(&b);
        let centred = &a - &a.mean(0);
        [
            product.compute_with(executor),
            (&product - &b.mean(0)).compute_with(executor),
            centred.t().dot(&centred).compute_with(executor),
            a.mean(1).compute_with(executor),
            a.sum(..).compute_with(executor),
        ]
        .map(|result| bits(&result.unwrap()))
        .join("\n")
    });
}

#[test]
fn bags() {
    let dir = tempfile::tempdir().unwrap();
    let text: String = (0..20_000usize)
        .map(|i| format!("word{} {}\n", (i * i) % 701, rough(i, 3)))
        .collect();
    write(dir.path(), "a.txt", &text);
    write(dir.path(), "b.txt", &text[..text.len() / 2]);
    let pattern = dir.path().join("*.txt");
    the_same_everywhere(48, |executor| {
        let numbers = Bag::read_text(&pattern)
            .try_map(|line| line.split(' ').nth(1).unwrap_or_default().parse::<f64>());
        let words = Bag::read_text(&pattern)
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned());
        let (sum, var) = (numbers.sum(), numbers.var());
        let counts = words.frequencies();
        format!(
            "{:x} {:?} {:?} {:?} {:?}",
            sum.compute_with(executor).unwrap().to_bits(),
            var.compute_with(executor).unwrap().map(f64::to_bits),
            counts.collect().compute_with(executor).unwrap(),
            counts
                .topk_by(7, |(_, n)| *n)
                .compute_with(executor)
                .unwrap(),
            words.take(5).compute_with(executor).unwrap(),
        )
    });
}

#[test]
fn dataframes() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("state,county,grams,day\n");
    for i in 0..30_000usize {
        text += &format!(
            "S{},C{},{},{}\n",
            i % 7,
            (i * 31) % 101,
            rough(i, 1),
            i % 365
        );
    }
    let path = write(dir.path(), "a.csv", &text);
    the_same_everywhere(64, |executor| {
        let frame = DataFrame::read_csv([&path], CsvOptions::csv());
        let groups = frame.groupby(["state", "county"]).agg([
            sum(col("grams")).alias("grams"),
            avg(col("grams")).alias("mean"),
            min(col("day")).alias("first"),
            max(col("day")).alias("last"),
            count_all().alias("n"),
        ]);
        let filtered = frame
            .filter_sql("grams > 0.7 and state = 'S3'")
            .select_sql("grams, day");
        [groups, filtered]
            .map(|frame| printed(&frame.compute_with(executor).unwrap()))
            .join("\n")
    });
}

/// The job that fails elsewhere: both operands are larger than the budget, and the small result is
/// needed beside the large inputs.
#[test]
fn a_product_minus_a_mean_of_operands_larger_than_the_budget() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.npy"), dir.path().join("b.npy"));
    // 48 MB each
    npy(&a, 100_000, 60, rough);
    npy(&b, 100_000, 60, |row, col| rough(row + 7, col + 100));
    let job = |session: &Session| {
        let (a, b) = (Array::<f64>::open_npy(&a), Array::<f64>::open_npy(&b));
        let c = a.t().dot(&b) - b.mean(0);
        let certificate = session.explain(&c).unwrap();
        let result = session.compute(&c).unwrap();
        (bits(&result), certificate.certificate().peak_bytes())
    };
    let tight = session(40, 2);
    let (result, certified) = job(&tight);
    let stats = tight.last_stats();
    assert!(
        stats.ledger_peak_bytes <= 40 * MIB,
        "{}",
        stats.ledger_peak_bytes
    );
    assert!(stats.ledger_peak_bytes <= certified.max(stats.certified_peak_bytes));
    let (wide, _) = job(&session(512, 2));
    assert!(result == wide, "the bits follow the budget");
    check_corner(&a, &b, &result);
}

/// The first element, against a plain sum.
fn check_corner(a: &Path, b: &Path, result: &str) {
    let column = |path: &Path| -> Vec<f64> {
        let bytes = std::fs::read(path).unwrap();
        bytes[128..]
            .chunks_exact(60 * 8)
            .map(|row| f64::from_le_bytes(row[..8].try_into().unwrap()))
            .collect()
    };
    let (a, b) = (column(a), column(b));
    let expected: f64 =
        a.iter().zip(&b).map(|(x, y)| x * y).sum::<f64>() - b.iter().sum::<f64>() / b.len() as f64;
    let first = result.split(' ').nth(2).unwrap();
    let found = f64::from_bits(u64::from_str_radix(first, 16).unwrap());
    assert!(
        (found - expected).abs() < 1e-6 * expected.abs().max(1.0),
        "{found} {expected}"
    );
}
