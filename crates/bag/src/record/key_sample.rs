//! What a partition tells the data-quality ledger: its lines, and the keys of some of its records.
//!
//! Serde drops the keys that a type does not have without a word, so that a field that was renamed
//! at the source, or that nobody thought of, is lost in silence. Counting the keys of every record
//! would cost as much as parsing it again. So keys and types are looked at in the first 64 records
//! of a source, the first 4 of each further partition, and every 4096th of all: about one record
//! in two thousand of a large source, and all of a small one. Lines are counted all, since that
//! costs nothing.

use flagstone_common::{Lease, Quality, TaskContext, ValueType};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_ignored::Path;

use super::field::Field;

/// Keys deeper than this are not told apart.
const DEPTH_MAX: u32 = 16;
/// A longer path is cut.
const PATH_BYTES_MAX: usize = 200;
/// What a key takes in the ledger beside twice its path.
const KEY_BYTES: u64 = 192;

/// The keys and types that were seen in the records of a partition.
#[derive(Default)]
pub struct Keys {
    seen: Quality,
    lease: Option<Lease>,
}

impl Keys {
    /// Looks at a record of a type: keys that the type skips are not used.
    pub(crate) fn look_typed<T: DeserializeOwned>(&mut self, line: &str, ctx: &TaskContext<'_>) {
        let mut skipped = Vec::new();
        let mut deserializer = serde_json::Deserializer::from_str(line);
        // it was parsed before, so it can be; and if not, somebody else says so
        let _ = serde_ignored::deserialize::<_, _, T>(&mut deserializer, |path| {
            let mut name = String::new();
            write_path(&path, &mut name);
            skipped.push(name);
        });
        self.look(line, Used::AllBut(&skipped), ctx);
    }

    /// Looks at a value of any shape, of which a field is wanted, or all.
    pub(crate) fn look_dynamic(
        &mut self,
        line: &str,
        field: Option<&Field>,
        ctx: &TaskContext<'_>,
    ) {
        self.look(
            line,
            field.map_or(Used::All, |field| Used::At(field.path())),
            ctx,
        );
    }

    fn look(&mut self, line: &str, used: Used<'_>, ctx: &TaskContext<'_>) {
        // more keys are not looked at when there is no room for them
        let room = (self.seen.keys.len() as u64 + 64) * (KEY_BYTES + PATH_BYTES_MAX as u64);
        let leased = match &mut self.lease {
            Some(lease) => lease.ensure(room).is_ok(),
            none => match ctx.reserve(room) {
                Ok(lease) => {
                    *none = Some(lease);
                    true
                }
                Err(_) => false,
            },
        };
        if !leased {
            return;
        }
        let mut deserializer = serde_json::Deserializer::from_str(line);
        let mut path = String::new();
        let walk = Walk {
            seen: &mut self.seen,
            path: &mut path,
            used: Some(used),
            depth: 0,
        };
        if walk.deserialize(&mut deserializer).is_ok() {
            self.seen.looked_into += 1;
        }
    }

    /// What was seen.
    pub(crate) fn into_quality(self) -> Quality {
        self.seen
    }
}

/// `actor.login`, `commits[].sha`, as [`Walk`] writes it.
fn write_path(path: &Path<'_>, name: &mut String) {
    match path {
        Path::Root => {}
        Path::Seq { parent, .. } => {
            write_path(parent, name);
            name.push_str("[]");
        }
        Path::Map { parent, key } => {
            write_path(parent, name);
            push_key(name, key);
        }
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => write_path(parent, name),
    }
}

fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    let room = PATH_BYTES_MAX.saturating_sub(path.len());
    let end = (0..=room.min(key.len()))
        .rev()
        .find(|&end| key.is_char_boundary(end));
    path.push_str(&key[..end.unwrap_or(0)]);
}

/// Which keys of a record somebody asks for.
#[derive(Clone, Copy)]
enum Used<'a> {
    All,
    /// Those on the way to a field, and what is in it.
    At(&'a [String]),
    /// All but these paths and what is in them.
    AllBut(&'a [String]),
}

impl<'a> Used<'a> {
    /// Whether the key that a path ends in is asked for, and which of those in it are.
    fn below(self, key: Option<&str>, path: &str) -> Option<Used<'a>> {
        match self {
            Used::All | Used::At([]) => Some(Used::All),
            // a number in a path stands for an element
            Used::At([first, rest @ ..]) => {
                (key.is_none_or(|key| first == key)).then_some(Used::At(rest))
            }
            Used::AllBut(skipped) => {
                let is_skipped = skipped.iter().any(|skipped| skipped == path);
                (!is_skipped).then_some(self)
            }
        }
    }
}

/// Counts what a value is, and the keys in it. What nobody asks for is one key: nobody needs to
/// know what is in it.
struct Walk<'w> {
    seen: &'w mut Quality,
    path: &'w mut String,
    /// `None` when nobody asks for the value.
    used: Option<Used<'w>>,
    depth: u32,
}

impl<'w> Walk<'w> {
    fn count(&mut self, kind: ValueType) {
        // nearly every record is an object: only one that is not is worth a word
        if self.depth == 0 && kind == ValueType::Object {
            return;
        }
        let name = if self.depth == 0 { "$" } else { &**self.path };
        if let Some(key) = self.seen.key(name) {
            key.seen += 1;
            key.unused += u64::from(self.used.is_none());
            key.types[kind as usize] += 1;
        }
    }

    /// What is asked for in the value, if it is looked into any further.
    fn deeper(&self) -> Option<Used<'w>> {
        self.used.filter(|_| self.depth < DEPTH_MAX)
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Values without parts.
macro_rules! scalars {
    ($($method:ident($($value:ty)?) $kind:ident),*) => {
        $(fn $method<E: serde::de::Error>(mut self $(, _: $value)?) -> Result<(), E> {
            self.count(ValueType::$kind);
            Ok(())
        })*
    };
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON value")
    }

    scalars!(
        visit_bool(bool) Bool,
        visit_i64(i64) Integer,
        visit_u64(u64) Integer,
        visit_f64(f64) Float,
        visit_str(&str) String,
        visit_unit() Null
    );

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.count(ValueType::Object);
        let (len, depth) = (self.path.len(), self.depth + 1);
        let Some(used) = self.deeper() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        let Walk { seen, path, .. } = self;
        while let Some(key) = map.next_key::<String>()? {
            push_key(path, &key);
            let used = used.below(Some(&key), path);
            map.next_value_seed(Walk {
                seen: &mut *seen,
                path: &mut *path,
                used,
                depth,
            })?;
            path.truncate(len);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.count(ValueType::Array);
        let (len, depth) = (self.path.len(), self.depth + 1);
        let Some(used) = self.deeper() else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        let Walk { seen, path, .. } = self;
        path.push_str("[]");
        loop {
            let used = used.below(None, path);
            let item = Walk {
                seen: &mut *seen,
                path: &mut *path,
                used,
                depth,
            };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
        }
        path.truncate(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flagstone_common::{SerialHost, TaskContext};
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only what is asked for matters")]
    struct Record {
        id: u64,
        actor: Option<Actor>,
        tags: Vec<Actor>,
    }

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only what is asked for matters")]
    struct Actor {
        login: String,
    }

    const LINE: &str = r#"{"id":1,"actor":{"login":"a","url":null},"tags":[{"login":"x"},
        {"login":"y","n":1.5}],"payload":{"deep":[true]}}"#;

    /// Every key with its number, how often it was not used, and its types.
    fn seen(look: impl FnOnce(&mut Keys, &TaskContext<'_>)) -> Vec<(String, u64, u64, String)> {
        let host = SerialHost::new();
        let key = || "test".to_owned();
        let ctx = TaskContext::new(&host, &key);
        let mut keys = Keys::default();
        look(&mut keys, &ctx);
        let quality = keys.into_quality();
        assert_eq!(quality.looked_into, 1);
        let keys = quality.keys.iter().map(|(name, key)| {
            let types: Vec<_> = key
                .types()
                .map(|(kind, n)| format!("{}{n}", kind.name()))
                .collect();
            (name.clone(), key.seen, key.unused, types.join(" "))
        });
        keys.collect()
    }

    fn row(name: &str, seen: u64, unused: u64, types: &str) -> (String, u64, u64, String) {
        (name.to_owned(), seen, unused, types.to_owned())
    }

    #[test]
    fn keys_that_a_type_skips_are_not_used() {
        let keys = seen(|keys, ctx| keys.look_typed::<Record>(LINE, ctx));
        let expected = [
            row("actor", 1, 0, "object1"),
            row("actor.login", 1, 0, "string1"),
            row("actor.url", 1, 1, "null1"),
            row("id", 1, 0, "integer1"),
            row("payload", 1, 1, "object1"),
            row("tags", 1, 0, "array1"),
            row("tags[]", 2, 0, "object2"),
            row("tags[].login", 2, 0, "string2"),
            row("tags[].n", 1, 1, "float1"),
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_field_alone_uses_the_keys_on_its_way() {
        let at = std::panic::Location::caller();
        let field = Field::new("tags.1.n", None, at);
        let keys = seen(|keys, ctx| keys.look_dynamic(LINE, Some(&field), ctx));
        let used = keys.iter().filter(|key| key.2 < key.1).map(|key| &*key.0);
        assert_eq!(used.collect::<Vec<_>>(), ["tags", "tags[]", "tags[].n"]);
        let all = seen(|keys, ctx| keys.look_dynamic(LINE, None, ctx));
        assert!(
            all.iter().all(|key| key.2 == 0)
                && all.contains(&row("payload.deep[]", 1, 0, "boolean1"))
        );
        let scalar = seen(|keys, ctx| keys.look_dynamic("[3]", None, ctx));
        assert_eq!(
            scalar,
            [row("$", 1, 0, "array1"), row("[]", 1, 0, "integer1")]
        );
    }

    #[test]
    fn records_are_looked_into_at_first_and_now_and_then() {
        let looked = |part| {
            (1..=10_240)
                .filter(|record| Quality::looks_into(part, *record))
                .count()
        };
        assert_eq!((looked(0), looked(7)), (64 + 2, 4 + 2));
    }
}
