//! Descriptions as other programs write them, in the form that the codecs are configured by.
//!
//! Python writes `NaN` where JSON has no such word, and leaves out of a codec's configuration what is
//! the default of its library, `numcodecs`. Both are put right here, before anything else looks.

use serde_json::{Map, Value, json};

use crate::elements::dtype::DType;

pub(super) fn v3_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::I8 => "int8",
        DType::I16 => "int16",
        DType::I32 => "int32",
        DType::I64 => "int64",
        DType::U8 => "uint8",
        DType::U16 => "uint16",
        DType::U32 => "uint32",
        DType::U64 => "uint64",
        DType::F32 => "float32",
        DType::F64 => "float64",
    }
}

/// Text in which `NaN`, `Infinity` and `-Infinity` stand as words, with these in quotes: the form
/// that the format has for such fill values. Words inside strings stay.
pub(super) fn quoted_words(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 64);
    let (mut i, mut inside) = (0, false);
    while i < text.len() {
        let word = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|word| !inside && text[i..].starts_with(word.as_bytes()));
        if let Some(word) = word {
            out.push(b'"');
            out.extend(word.as_bytes());
            out.push(b'"');
            i += word.len();
            continue;
        }
        out.push(text[i]);
        match text[i] {
            b'\\' if inside => {
                out.extend(text.get(i + 1));
                i += 1;
            }
            b'"' => inside = !inside,
            _ => {}
        }
        i += 1;
    }
    out
}

/// The defaults of codecs by the name they have in version 2, and with `numcodecs.` before it in
/// version 3. Levels do not matter to who reads.
fn defaults(name: &str) -> &'static [(&'static str, i64)] {
    match name {
        "zlib" | "gzip" | "bz2" => &[("level", 1)],
        "zstd" => &[("level", 0)],
        "blosc" => &[("clevel", 5), ("shuffle", 1), ("blocksize", 0)],
        "shuffle" => &[("elementsize", 4)],
        _ => &[],
    }
}

fn complete(name: &str, configuration: &mut Map<String, Value>) {
    for &(member, value) in defaults(name) {
        let own = configuration.entry(member).or_insert(Value::Null);
        if own.is_null() {
            *own = json!(value);
        }
    }
    // zlib's own default is spelled -1 where it is asked for by number
    if matches!(name, "zlib" | "gzip" | "bz2") && configuration["level"] == -1 {
        configuration.insert("level".to_owned(), json!(6));
    }
    if name == "blosc" && configuration.get("cname").is_none_or(Value::is_null) {
        configuration.insert("cname".to_owned(), json!("lz4"));
    }
}

/// A codec of version 3: those of `numcodecs` that are the format's own under another name get that.
fn codec_v3(codec: &mut Value, item: usize) {
    if let Value::String(name) = codec {
        *codec = json!({"name": name});
    }
    let Some(entry) = codec.as_object_mut() else {
        return;
    };
    let Some(full) = entry.get("name").and_then(Value::as_str).map(str::to_owned) else {
        return;
    };
    let name = full.strip_prefix("numcodecs.");
    let short = name.unwrap_or(&full);
    if short == "sharding_indexed" {
        for list in ["codecs", "index_codecs"] {
            let inner = entry
                .get_mut("configuration")
                .and_then(|configuration| configuration.get_mut(list));
            let item = if list == "codecs" { item } else { 8 };
            codecs_v3(inner, item);
        }
        return;
    }
    if name.is_none() && !matches!(short, "gzip" | "zstd" | "zlib" | "bz2") {
        return;
    }
    let configuration = entry.entry("configuration").or_insert_with(|| json!({}));
    let Some(configuration) = configuration.as_object_mut() else {
        return;
    };
    configuration.remove("id");
    complete(short, configuration);
    match short {
        "zstd" if !configuration.contains_key("checksum") => {
            configuration.insert("checksum".to_owned(), json!(false));
        }
        "blosc" => {
            let shuffle = match configuration["shuffle"].as_i64() {
                Some(0) => Some("noshuffle"),
                Some(1) => Some("shuffle"),
                Some(2) => Some("bitshuffle"),
                // chosen by the size of the elements
                Some(-1) => Some(if item > 1 { "shuffle" } else { "bitshuffle" }),
                _ => None,
            };
            if let Some(shuffle) = shuffle {
                configuration.insert("shuffle".to_owned(), json!(shuffle));
            }
            configuration.entry("typesize").or_insert(json!(item));
        }
        _ => {}
    }
    if name.is_some() && matches!(short, "gzip" | "zstd" | "blosc" | "crc32c") {
        entry.insert("name".to_owned(), json!(short));
    }
}

fn codecs_v3(list: Option<&mut Value>, item: usize) {
    let list = list.and_then(Value::as_array_mut);
    for codec in list.into_iter().flatten() {
        codec_v3(codec, item);
    }
}

/// The codecs of a description of version 3, whose elements have `item` bytes.
pub(super) fn complete_v3(json: &mut Value, item: usize) {
    codecs_v3(json.get_mut("codecs"), item);
}

/// The codecs of a description of version 2.
pub(super) fn complete_v2(json: &mut Value) {
    let mut codecs: Vec<&mut Value> = Vec::new();
    let Some(json) = json.as_object_mut() else {
        return;
    };
    for (member, value) in json {
        match (member.as_str(), value) {
            ("compressor", compressor) => codecs.push(compressor),
            ("filters", Value::Array(filters)) => codecs.extend(filters),
            _ => {}
        }
    }
    for codec in codecs {
        let Some(codec) = codec.as_object_mut() else {
            continue;
        };
        if let Some(id) = codec.get("id").and_then(Value::as_str).map(str::to_owned) {
            complete(&id, codec);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_text_outside_of_text() {
        let text = br#"{"a": NaN, "b": [-Infinity, Infinity], "c\"NaN": "NaN", "d\\": NaN}"#;
        let wanted =
            br#"{"a": "NaN", "b": ["-Infinity", "Infinity"], "c\"NaN": "NaN", "d\\": "NaN"}"#;
        assert_eq!(quoted_words(text), wanted);
        assert_eq!(quoted_words(b"\"open \\"), b"\"open \\");
    }

    #[test]
    fn what_is_left_out_is_the_default_of_its_library() {
        let mut json = json!({"codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "numcodecs.zlib", "configuration": {}},
            {"name": "numcodecs.zstd"},
            {"name": "numcodecs.blosc", "configuration": {"id": "blosc", "shuffle": -1}},
            {"name": "sharding_indexed", "configuration": {
                "codecs": [{"name": "numcodecs.gzip", "configuration": {"level": -1}}],
            }},
        ]});
        complete_v3(&mut json, 8);
        let wanted = json!([
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "numcodecs.zlib", "configuration": {"level": 1}},
            {"name": "zstd", "configuration": {"level": 0, "checksum": false}},
            {"name": "blosc", "configuration": {
                "shuffle": "shuffle", "clevel": 5, "blocksize": 0, "cname": "lz4", "typesize": 8,
            }},
            {"name": "sharding_indexed", "configuration": {
                "codecs": [{"name": "gzip", "configuration": {"level": 6}}],
            }},
        ]);
        assert_eq!(json["codecs"], wanted);
        let mut json = json!({"compressor": {"id": "zlib"}, "filters": [{"id": "shuffle"}]});
        complete_v2(&mut json);
        assert_eq!(json["compressor"]["level"], 1);
        assert_eq!(json["filters"][0]["elementsize"], 4);
    }
}
