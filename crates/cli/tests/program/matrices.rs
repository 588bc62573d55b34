//! Products of matrices: their shapes, their types, and what they never replace.

use std::fs;

use crate::common::{Folder, npy};

#[test]
fn matrices_that_do_not_fit_together_are_refused() {
    let place = Folder::new();
    crate::common::matrix(&place.path("a.npy"), 8, 0);
    crate::common::matrix(&place.path("b.npy"), 9, 0);
    place.fails(
        1,
        &["matmul", "a.npy", "b.npy", "--to", "c.npy"],
        &["8", "9"],
    );
    // cut in its data
    let bytes = fs::read(place.path("a.npy")).unwrap();
    place.write("cut.npy", &bytes[..bytes.len() - 100]);
    place.fails(1, &["inspect", "cut.npy"], &["cut.npy", "truncated"]);
    let mut impossible = bytes;
    let at = impossible
        .windows(6)
        .position(|text| text == b"(8, 8)")
        .unwrap();
    impossible.splice(at..at + 42, *b"(9999999999999, 9999999999999)}           ");
    place.write("impossible.npy", impossible);
    place.fails(
        1,
        &["inspect", "impossible.npy"],
        &["impossible.npy", "2^64"],
    );
    place.fails(
        1,
        &["matmul", "cut.npy", "cut.npy", "--to", "c.npy"],
        &["cut.npy"],
    );
}

#[test]
fn vectors_are_multiplied_and_a_missing_transpose_is_suggested() {
    let place = Folder::new();
    npy(&place.path("v.npy"), &[4]);
    npy(&place.path("a.npy"), &[4, 3]);
    npy(&place.path("b.npy"), &[4, 5]);
    let product = |a, b| place.run(&["matmul", a, b, "--to", "c.npy", "--overwrite"]);
    assert!(product("v.npy", "v.npy").ok().err.contains("one number"));
    let bytes = fs::read(place.path("c.npy")).unwrap();
    let value = f64::from_le_bytes(bytes[bytes.len() - 8..].try_into().unwrap());
    assert_eq!(value, 14.0); // 0 + 1 + 4 + 9
    assert!(product("v.npy", "a.npy").ok().err.contains("3 numbers"));
    let words = [
        "a.npy (4 x 3)",
        "b.npy (4 x 5)",
        "they do with --transpose-a",
    ];
    product("a.npy", "b.npy").failed(1, &words);
    let explain = ["explain", "matmul", "a.npy", "b.npy", "--to", "d.npy"];
    place.fails(1, &explain, &words);
    let missing = place.fails(
        1,
        &["matmul", "gone.npy", "v.npy", "--to", "d.npy"],
        &["gone.npy"],
    );
    assert!(!missing.err.contains("os error"), "{}", missing.err);
    let missing = place.fails(1, &["inspect", "gone.npy"], &["gone.npy", "no such file"]);
    assert!(!missing.err.contains("os error"), "{}", missing.err);
}

#[test]
fn a_product_never_replaces_its_operand() {
    let place = Folder::new();
    crate::common::matrix(&place.path("a.npy"), 8, 1);
    let before = std::fs::read(place.path("a.npy")).unwrap();
    place.fails(
        1,
        &["matmul", "a.npy", "a.npy", "--to", "./a.npy", "--overwrite"],
        &["would replace its own input"],
    );
    assert_eq!(std::fs::read(place.path("a.npy")).unwrap(), before);
}

#[test]
fn a_matrix_of_f32_times_one_of_f64_is_of_f64() {
    let place = Folder::new();
    npy(&place.path("a.npy"), &[3, 4]);
    npy(&place.path("b.npy"), &[4, 3]);
    // the same numbers, of four bytes
    let wide = fs::read(place.path("a.npy")).unwrap();
    let (header, data) = wide.split_at(wide.len() - 12 * 8);
    let header = String::from_utf8_lossy(header).replace("<f8", "<f4");
    let mut narrow: Vec<u8> = wide[..10].to_vec();
    narrow.extend_from_slice(&header.as_bytes()[header.find('{').unwrap()..]);
    for value in data.chunks_exact(8) {
        let value = f64::from_le_bytes(value.try_into().unwrap()) as f32;
        narrow.extend_from_slice(&value.to_le_bytes());
    }
    fs::write(place.path("n.npy"), narrow).unwrap();
    let product = |a, to| place.run(&["matmul", a, "b.npy", "--to", to]).ok();
    product("a.npy", "c.npy");
    product("n.npy", "d.npy");
    let read = |name| fs::read(place.path(name)).unwrap();
    assert_eq!(read("c.npy"), read("d.npy"));
    let same = place.run(&["matmul", "n.npy", "n.npy", "--to", "e.npy", "--transpose-b"]);
    same.ok();
    assert!(String::from_utf8_lossy(&read("e.npy")).contains("<f4"));
}
