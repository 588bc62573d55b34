//! The formats.

use std::io::Write;
use std::path::Path;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use flagstone::{
    Array, Bag, CsvOptions, DataFrame, Json, Result, SerialExecutor, Session, ZarrOptions,
    check_condition, check_select_list,
};

use crate::case::{Target, run};

fn sample(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/samples");
    std::fs::read(root.join(name)).unwrap()
}

/// The first lines of a sample.
fn head(name: &str, lines: usize) -> Vec<u8> {
    let text = sample(name);
    let end = text
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'\n')
        .nth(lines - 1);
    text[..end.map_or(text.len(), |(at, _)| at + 1)].to_vec()
}

/// Rows and columns of a dataframe, and all its values.
fn shown(frame: &DataFrame, session: &Session) -> Result<String> {
    let batch = session.compute(frame)?;
    let mut text = batch.num_columns().to_string();
    let options = FormatOptions::default().with_null("null");
    for column in batch.columns() {
        match ArrayFormatter::try_new(column, &options) {
            Ok(values) => {
                (0..column.len()).for_each(|row| text += &format!("\n{}", values.value(row)));
            }
            // a type that has no text
            Err(_) => text += &format!("\n{:?}", column.to_data()),
        }
    }
    Ok(text)
}

#[test]
fn csv() {
    let seeds = vec![
        head("groupby/groupby.csv", 30),
        head("arcos/arcos.tsv", 12),
        b"a,b\n1,2\n3,\"x,\"\"y\"\"\"\n".to_vec(),
        b"\xef\xbb\xbfa;b\r\n1,5;2015-01-01\r\n;\r\n".to_vec(),
        b"a\rb\r1\r".to_vec(),
    ];
    run(&Target {
        name: "csv",
        file: "x.csv",
        seeds,
        words: &[
            b"\"",
            b",",
            b"\n",
            b"\r",
            b"\r\n",
            b"\t",
            b";",
            b"\0",
            b"nan",
            b"inf",
            b"-0",
            b"1e400",
            b"99999999999999999999",
            b"2015-02-30",
            b"\xff",
            b"a,a,a\n",
            b"true",
        ],
        read: &|path, _, session| {
            shown(&DataFrame::read_csv([path], CsvOptions::default()), session)
        },
    });
}

#[test]
fn json_lines_as_dataframes_and_bags() {
    let seeds = vec![
        b"{\"a\":1,\"b\":{\"c\":[1,2.5,null]},\"d\":\"x\"}\n{\"a\":2,\"b\":{},\"d\":\"\\u00e9\"}\n"
            .to_vec(),
        b"{\"a\":[{\"b\":1},{\"b\":\"s\"}],\"t\":true}\n\n{\"a\":[]}\n".to_vec(),
        b"{\"n\":123456789012345678901234567890,\"f\":-0.0}\n".to_vec(),
    ];
    let words: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b":",
        b",",
        b"\n",
        b"\\u",
        b"\\ud800",
        b"\\x",
        b"1e400",
        b"-",
        b"null",
        b"true",
        b"{\"a\":",
        b"[[",
        b"\xff",
        b"0.1",
        b"\"a\":1,",
        b"\xef\xbb\xbf",
    ];
    run(&Target {
        name: "json-frame",
        file: "x.json",
        seeds: seeds.clone(),
        words,
        read: &|path, _, session| shown(&DataFrame::read_json([path], Default::default()), session),
    });
    run(&Target {
        name: "json-bag",
        file: "x.json",
        seeds,
        words,
        read: &|path, _, session| {
            let bag = Bag::read_json::<Json>(path);
            let texts = bag.map(|record| record.to_string());
            Ok(format!("{:?}", session.compute(&texts)?))
        },
    });
}

#[test]
fn parquet_and_arrow_files() {
    let dir = tempfile::tempdir().unwrap();
    let session = Session::builder()
        .memory("256 MiB")
        .threads(1)
        .build()
        .unwrap();
    let csv = dir.path().join("x.csv");
    std::fs::write(&csv, head("groupby/groupby.csv", 40)).unwrap();
    let json = dir.path().join("x.json");
    std::fs::write(
        &json,
        "{\"a\":[1,2],\"s\":{\"x\":\"y\"},\"t\":null}\n{\"a\":[],\"s\":{\"x\":\"z\"}}\n",
    )
    .unwrap();
    let frames = [
        DataFrame::read_csv([&csv], CsvOptions::default()),
        DataFrame::read_json([&json], Default::default()),
    ];
    let mut seeds = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        let out = dir.path().join(i.to_string());
        session.write_parquet(frame, &out).unwrap();
        for entry in std::fs::read_dir(&out).unwrap().flatten() {
            if entry.file_name().to_string_lossy().ends_with(".parquet") {
                seeds.push(std::fs::read(entry.path()).unwrap());
            }
        }
    }
    run(&Target {
        name: "parquet",
        file: "x.parquet",
        seeds,
        words: &[
            b"PAR1",
            b"PARE",
            &[0xff; 8],
            &[0; 8],
            b"\x15\x00",
            b"\x00\x00\x00\x7f",
        ],
        read: &|path, _, session| shown(&DataFrame::read_parquet([path]), session),
    });
}

#[test]
fn npy_headers() {
    let session = SerialExecutor;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    let x = Array::from_fn(&[5, 7], |i| (i[0] * 10 + i[1]) as f64);
    x.store_npy_with(&session, &path).unwrap();
    let seeds = vec![std::fs::read(&path).unwrap()];
    run(&Target {
        name: "npy",
        file: "x.npy",
        seeds,
        words: &[
            b"'shape': (",
            b"99999999999",
            b"1, ",
            b"'descr': '<f8'",
            b"True",
            b"{",
            b"}",
            b"\x93NUMPY",
            b"(1000000, 1000000)",
            b", ",
            b"'<i8'",
            b"|O",
        ],
        read: &|path, _, session| {
            let x = Array::<f64>::open_npy(path);
            let sum = session.compute(&x.sum(..))?;
            let sorted = session.compute(&x.ravel().sort(0).slice(flagstone::s![..5]))?;
            Ok(format!(
                "{:?} {:?}",
                sum[[]].to_bits(),
                sorted.map(|x| x.to_bits())
            ))
        },
    });
}

#[test]
fn zarr_descriptions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zarr");
    let x = Array::from_fn(&[6, 8], |i| (i[0] * 10 + i[1]) as f64);
    let options = ZarrOptions {
        chunks: Some(vec![3, 4]),
        ..ZarrOptions::default()
    };
    x.store_zarr_with(&SerialExecutor, &path, &options).unwrap();
    let v3 = std::fs::read(path.join("zarr.json")).unwrap();
    // the same chunks with their lengths
    let mut json: serde_json::Value = serde_json::from_slice(&v3).unwrap();
    json["chunk_grid"] = serde_json::json!({
        "name": "rectilinear",
        "configuration": {"kind": "inline", "chunk_shapes": [[3, 3], [[4, 2]]]},
    });
    let given = json.to_string().into_bytes();
    run(&Target {
        name: "zarr",
        file: "zarr.json",
        seeds: vec![v3, given],
        words: &[
            b"NaN",
            b"null",
            b"1",
            b"0",
            b"-1",
            b"9999999999",
            b"[",
            b"]",
            b"{",
            b"}",
            b",",
            b"\"gzip\"",
            b"\"numcodecs.zlib\"",
            b"\"sharding_indexed\"",
            b"\"rectilinear\"",
            b"\"int8\"",
            b"1, ",
            b"\"must_understand\": false",
            b"1000000",
        ],
        read: &|file, bytes, session| {
            // the description, beside the chunks of the right one
            std::fs::write(path.join("zarr.json"), bytes).unwrap();
            assert!(file.exists());
            let sum = session.compute(&Array::<f64>::open_zarr(&path).sum(..))?;
            Ok(format!("{:?}", sum[[]].to_bits()))
        },
    });
}

#[test]
fn compressed_text() {
    let text = head("words/words-0000.txt", 20);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    gzip.write_all(&text).unwrap();
    let gzip = gzip.finish().unwrap();
    let two = [&gzip[..], &gzip[..]].concat();
    run(&Target {
        name: "gzip",
        file: "x.txt.gz",
        seeds: vec![gzip, two],
        words: &[b"\x1f\x8b\x08", &[0xff; 4], &[0; 4], b"\x03"],
        read: &|path, _, session| {
            let lines = Bag::read_text(path);
            let lengths = lines.map(|line| line.len() as u64);
            Ok(format!(
                "{:?}",
                session.compute((&lengths.count(), &lengths.sum::<u64>()))?
            ))
        },
    });
}

#[test]
fn select_lists_and_conditions() {
    let seeds = vec![
        b"a, b + 1 AS c, upper(s)".to_vec(),
        b"case when a > 1 then 'x' else s end, cast(b as double)".to_vec(),
        b"a = 1 and s like 'x%' or b in (1, 2)".to_vec(),
        b"to_date(s, '%Y-%m-%d'), coalesce(a, 0)".to_vec(),
    ];
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("x.csv");
    std::fs::write(&csv, "a,b,s\n1,2.5,x\n2,,2015-01-01\n").unwrap();
    run(&Target {
        name: "sql",
        file: "x.sql",
        seeds,
        words: &[
            b"(",
            b")",
            b"'",
            b"\"",
            b",",
            b" AND ",
            b" OR ",
            b"*",
            b"-",
            b"::int",
            b"case ",
            b"9223372036854775807",
            b"count(a)",
            b"select",
            b"null",
            b" % 0",
            b"/ 0",
            b"random()",
            b" as ",
            b"a.b",
            b"not ",
            b"array[",
        ],
        read: &|_, bytes, session| {
            let text = String::from_utf8_lossy(bytes);
            // either a list or a condition: both are looked at before anything runs
            let list = check_select_list(&text);
            let condition = check_condition(&text);
            let frame = DataFrame::read_csv([&csv], CsvOptions::default());
            let mut answers = Vec::new();
            if list.is_ok() {
                answers.push(shown(&frame.select_sql(&*text), session));
            }
            if condition.is_ok() {
                answers.push(shown(&frame.filter_sql(&*text), session));
            }
            answers
                .into_iter()
                .next()
                .unwrap_or_else(|| list.map(|()| String::new()))
        },
    });
}
