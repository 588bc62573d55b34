//! Names of columns: every column has one of its own.
//!
//! Headers repeat names and leave them out, and a table cannot. A name that the header gives stays
//! with the first column that has it, whatever stands before: `c,c,c_2` becomes `c, c_3, c_2`, since
//! who asks for `c_2` means the column that is called so. One look-up a column and one for every
//! number that is taken, so that a header of names that are all the same takes as long as any other.

use std::collections::{HashMap, HashSet};

/// Names that had to be made, for a note: the column's place from 1, what the header calls it, and
/// what it is called.
pub(crate) type Made = Vec<(usize, String, String)>;

/// Gives every column a name of its own; what was made, where the header had a name already.
pub(crate) fn unique(names: Vec<String>) -> (Vec<String>, Made) {
    let given: HashSet<&str> = names.iter().map(String::as_str).collect();
    let mut used: HashSet<String> = HashSet::with_capacity(names.len());
    let mut next: HashMap<String, usize> = HashMap::new();
    let mut made = Made::new();
    let mut unique = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let numbered = format!("column_{}", i + 1);
        let (base, is_free) = match name.is_empty() {
            true => (&numbered, !given.contains(numbered.as_str())),
            false => (name, true),
        };
        let own = if is_free && !used.contains(base) {
            base.clone()
        } else {
            let copy = next.entry(base.clone()).or_insert(2);
            loop {
                let candidate = format!("{base}_{copy}");
                *copy += 1;
                if !given.contains(candidate.as_str()) && !used.contains(&candidate) {
                    break candidate;
                }
            }
        };
        if own != *name && (own != numbered || !name.is_empty()) {
            made.push((i + 1, name.clone(), own.clone()));
        }
        used.insert(own.clone());
        unique.push(own);
    }
    (unique, made)
}

/// What to tell about names that were made.
pub(crate) fn note(made: &[(usize, String, String)]) -> Option<String> {
    const SHOWN: usize = 5;
    if made.is_empty() {
        return None;
    }
    let shown = made.iter().take(SHOWN).map(|(place, name, own)| {
        let name = match name.is_empty() {
            true => "without a name".to_owned(),
            false => format!("another {name:?}"),
        };
        format!("column {place}, {name}, is called {own:?}")
    });
    let shown: Vec<String> = shown.collect();
    let more = match made.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Some(format!(
        "names were made unique: {}{more}",
        shown.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(header: &str) -> Vec<String> {
        unique(header.split(',').map(str::to_owned).collect()).0
    }

    #[test]
    fn a_name_of_the_header_stays_with_its_column() {
        assert_eq!(names("c,c,c,c_2"), ["c", "c_3", "c_4", "c_2"]);
        assert_eq!(names(",column_1"), ["column_1_2", "column_1"]);
        assert_eq!(names("x,x,,"), ["x", "x_2", "column_3", "column_4"]);
        assert_eq!(names("column_2,"), ["column_2", "column_2_2"]);
        let (_, made) = unique(["c", "c", ""].map(str::to_owned).to_vec());
        let told = note(&made).unwrap();
        assert_eq!(
            told,
            "names were made unique: column 2, another \"c\", is called \"c_2\""
        );
        assert_eq!(note(&[]), None);
    }

    #[test]
    fn many_equal_names_take_no_longer_than_others() {
        let start = std::time::Instant::now();
        let (unique, _) = unique(vec!["c".to_owned(); 200_000]);
        assert_eq!(unique[199_999], "c_200000");
        // looked up one by one in a list it would take minutes
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn names_are_unique_and_the_first_keeps_its_own(
            header in proptest::collection::vec("(c|d|column)?(_[1-4]){0,2}", 0..40)
        ) {
            let (own, made) = unique(header.clone());
            prop_assert_eq!(own.len(), header.len());
            let different: HashSet<&String> = own.iter().collect();
            prop_assert_eq!(different.len(), own.len());
            for (i, name) in header.iter().enumerate() {
                if !name.is_empty() && !header[..i].contains(name) {
                    prop_assert_eq!(&own[i], name);
                }
            }
            prop_assert_eq!(unique(header).0, own);
            prop_assert!(made.iter().all(|(place, name, own)| *place > 0 && name != own));
        }
    }
}
