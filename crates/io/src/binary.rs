//! What a file is that is no text, by its first bytes: so that a reader of text can refuse it by
//! name instead of taking its bytes for a strange text.
//!
//! Compressed files that are read as what is in them are not here: see
//! [`Compression`](crate::Compression).

/// Formats with a magic, and what people call them.
const MAGICS: [(&[u8], &str); 20] = [
    (
        b"PK\x03\x04",
        "a zip archive (or a spreadsheet or document that is one)",
    ),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"PAR1", "a Parquet file"),
    (b"PARE", "an encrypted Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"CDF\x01", "a NetCDF file"),
    (b"CDF\x02", "a NetCDF file"),
    (b"\x93NUMPY", "an npy file"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Office document",
    ),
    (b"\x7fELF", "a program"),
];

/// Zero bytes are looked for in so many first bytes.
const ZEROS_BYTES: usize = 512;

/// What the file is that begins so, if it is no text.
pub fn binary(head: &[u8]) -> Option<&'static str> {
    let known = MAGICS.iter().find(|(magic, _)| head.starts_with(magic));
    if let Some((magic, name)) = known {
        // words may begin like a magic of letters: a zero or a byte that no text has must follow
        let is_word = magic.iter().all(u8::is_ascii_alphanumeric);
        let start = &head[..head.len().min(ZEROS_BYTES)];
        if !is_word || start.contains(&0) || std::str::from_utf8(start).is_err_and(is_wrong) {
            return Some(name);
        }
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar archive");
    }
    let start = &head[..head.len().min(ZEROS_BYTES)];
    if !start.contains(&0) {
        return None;
    }
    // every other byte of Latin text in UTF-16 is a zero
    let zeros = |odd: usize| {
        start
            .iter()
            .skip(odd)
            .step_by(2)
            .filter(|b| **b == 0)
            .count()
    };
    let half = start.len() / 2;
    Some(match (zeros(0), zeros(1)) {
        (0, high) if 4 * high >= 3 * half => {
            "binary data, or rather UTF-16 without a mark: `iconv -f UTF-16LE -t UTF-8` makes UTF-8 \
             of it"
        }
        (high, 0) if 4 * high >= 3 * half => {
            "binary data, or rather UTF-16 without a mark: `iconv -f UTF-16BE -t UTF-8` makes UTF-8 \
             of it"
        }
        _ => "binary data (or UTF-16 without a mark)",
    })
}

/// Whether it is not only that the last character is cut off.
fn is_wrong(error: std::str::Utf8Error) -> bool {
    error.error_len().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_has_a_name() {
        for (head, name) in [
            (&b"PK\x03\x04\x14\0"[..], Some("a zip archive (or")),
            (b"PAR1\x15\x04\0", Some("a Parquet file")),
            (b"PAR1,price\n1,2\n", None),
            (b"ORC,b\n1,2\n", None),
            (b"a,b\n1,2\n", None),
            ("caf\u{e9},b\n".as_bytes(), None),
            (b"caf\xe9,b\n", None),
            (b"a\0,\0b\0\n\0", Some("binary data")),
            (
                b"\0a\0,\0b\0\n",
                Some("binary data, or rather UTF-16 without a mark: `iconv -f UTF-16BE"),
            ),
            (b"a,b\n\0\x01\x02\x03", Some("binary data (or")),
            (b"", None),
        ] {
            let found = binary(head);
            assert_eq!(found.is_some(), name.is_some(), "{head:?} {found:?}");
            assert!(
                found.unwrap_or("").starts_with(name.unwrap_or("")),
                "{found:?}"
            );
        }
        let mut tar = vec![b'x'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(binary(&tar), Some("a tar archive"));
    }
}
