//! What the keys of some records tell the data-quality ledger.
//!
//! A look costs about as much as parsing the record, so only a few records of a partition are
//! looked into; what is found is a sample, and the ledger says how large it is.

use flagstone_common::{Quality, ValueType};

use super::Wanted;
use crate::schema::kind::Kind;

/// Counts the keys of one record, and whether they are wanted. What is not wanted is one key:
/// nobody needs to know what is in it.
pub(crate) fn look(record: &Kind, wanted: &Wanted, seen: &mut Quality) {
    seen.looked_into += 1;
    match record {
        Kind::Struct(_) => below(record, Some(wanted), &mut String::new(), seen),
        other => count("$", other, true, seen),
    }
}

fn below(kind: &Kind, wanted: Option<&Wanted>, path: &mut String, seen: &mut Quality) {
    let (Kind::Struct(fields), Some(wanted)) = (kind, wanted) else {
        return;
    };
    for (name, kind) in fields {
        let len = path.len();
        if len > 0 {
            path.push('.');
        }
        path.push_str(name);
        let wanted = wanted.field(name);
        count(path, kind, wanted.is_some(), seen);
        below(kind, wanted, path, seen);
        path.truncate(len);
    }
}

fn count(path: &str, kind: &Kind, is_used: bool, seen: &mut Quality) {
    let value_type = match kind {
        Kind::Null => ValueType::Null,
        Kind::Bool => ValueType::Bool,
        Kind::Int { .. } => ValueType::Integer,
        Kind::Float | Kind::Number => ValueType::Float,
        // records have no dates of their own
        Kind::Str | Kind::Date | Kind::Time { .. } => ValueType::String,
        // of one record: an object of too many or too deep keys
        Kind::Json | Kind::Struct(_) => ValueType::Object,
        Kind::List(_) => ValueType::Array,
    };
    if let Some(key) = seen.key(path) {
        key.seen += 1;
        key.unused += u64::from(!is_used);
        key.types[value_type as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Sampler;

    #[test]
    fn keys_are_counted_with_their_types_and_whether_anybody_wants_them() {
        let mut seen = Quality::default();
        let mut wanted = Wanted::Fields(Vec::new());
        wanted.add(&["id".to_owned()]);
        wanted.add(&["who".to_owned(), "login".to_owned()]);
        let mut sampler = Sampler::default();
        for line in [
            r#"{"id":1,"who":{"login":"a","url":"u"},"payload":{"x":{"y":1}}}"#,
            r#"{"id":2.5,"who":null,"tags":[1]}"#,
        ] {
            look(&sampler.kind_of(line.as_bytes()), &wanted, &mut seen);
        }
        let unused: Vec<&str> = seen.never_used().collect();
        assert_eq!(unused, ["payload", "tags", "who.url"]);
        assert_eq!(seen.looked_into, 2);
        assert_eq!(seen.keys["who.login"].seen, 1);
        let types: Vec<_> = seen.keys["id"].types().collect();
        assert_eq!(types, [(ValueType::Integer, 1), (ValueType::Float, 1)]);
        let types: Vec<_> = seen.keys["who"].types().collect();
        assert_eq!(types, [(ValueType::Null, 1), (ValueType::Object, 1)]);
    }
}
