//! Bags of dynamic records as dataframes: every record becomes JSON text, and the texts are read as
//! the lines of a file are.

use std::any::type_name;

use flagstone_bag::{Bag, PartitionSource, Stage, Stop};
use flagstone_frame::{BoundRecords, Records};
use flagstone_graph::{Deps, Error, Execute, Graph, Inputs, IoBytes, LayerId, Result, TaskContext};
use serde::Serialize;
use serde::de::value::Error as Refused;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};

/// Which keys the records of a type have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// None: they are numbers, sequences ...
    None,
    /// The fields of a struct.
    Fields,
    /// Each record its own: a map, or anything at all.
    Own,
}

pub(crate) fn keys_of<T: DeserializeOwned>() -> Keys {
    let mut keys = Keys::None;
    // always refused: the type only says what it wants
    let _ = T::deserialize(Asked(&mut keys));
    keys
}

struct Asked<'k>(&'k mut Keys);

impl Asked<'_> {
    fn answer<T>(self, keys: Keys) -> std::result::Result<T, Refused> {
        *self.0 = keys;
        Err(Refused::custom("only asked"))
    }
}

macro_rules! answered {
    ($keys:expr; $($method:ident($($name:ty),*)),*) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $(_: $name,)*
            _: V,
        ) -> std::result::Result<V::Value, Refused> {
            self.answer($keys)
        })*
    };
}

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Refused;

    answered!(Keys::Own; deserialize_any(), deserialize_map());
    answered!(Keys::Fields; deserialize_struct(&'static str, &'static [&'static str]));
    answered!(Keys::None; deserialize_bool(), deserialize_char(), deserialize_i8(), deserialize_i16(),
        deserialize_i32(), deserialize_i64(), deserialize_i128(), deserialize_u8(),
        deserialize_u16(), deserialize_u32(), deserialize_u64(), deserialize_u128(),
        deserialize_f32(), deserialize_f64(), deserialize_str(), deserialize_string(),
        deserialize_bytes(), deserialize_byte_buf(), deserialize_option(), deserialize_unit(),
        deserialize_unit_struct(&'static str), deserialize_seq(), deserialize_tuple(usize),
        deserialize_tuple_struct(&'static str, usize), deserialize_identifier(),
        deserialize_enum(&'static str, &'static [&'static str]), deserialize_ignored_any());

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> std::result::Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }
}

/// The records of a bag.
pub(crate) struct BagRecords<S: Stage>(pub(crate) Bag<S>);

impl<S, T> Records for BagRecords<S>
where
    S: Stage + for<'a> Stage<Item<'a> = T>,
    T: Serialize + Send + Sync + 'static,
{
    fn name(&self) -> String {
        let names = self.0.steps().into_iter().map(|step| step.name);
        names.collect::<Vec<_>>().join("|")
    }

    fn head(&self, len: usize, execute: &dyn Execute) -> Result<Vec<String>> {
        let texts = self.0.try_map(|record| text(&record));
        texts.take(len).compute_with(execute)
    }

    fn bind(&self, graph: &mut Graph) -> Result<Box<dyn BoundRecords>> {
        let partitions = Box::new(self.0.partition_source(graph)?);
        Ok(Box::new(BoundBag::<T>(partitions)))
    }
}

fn text<T: Serialize>(record: &T) -> Result<String> {
    serde_json::to_string(record).map_err(refused::<T>)
}

fn refused<T>(error: serde_json::Error) -> Error {
    let name = type_name::<T>();
    Error::failed(format!("a {name} cannot be written as JSON: {error}"))
}

struct BoundBag<T>(Box<dyn PartitionSource<T>>);

impl<T: Serialize + 'static> BoundRecords for BoundBag<T> {
    fn inputs(&self) -> &[LayerId] {
        self.0.inputs()
    }

    fn partition_count(&self) -> u32 {
        self.0.partition_count()
    }

    fn deps(&self, partition: u32, deps: &mut Deps<'_>) {
        self.0.deps(partition, 0, deps);
    }

    fn scratch_bytes(&self, partition: u32) -> u64 {
        self.0.footprint(partition).own_bytes()
    }

    fn io_bytes(&self, partition: u32) -> IoBytes {
        self.0.io_bytes(partition)
    }

    fn for_each(
        &self,
        partition: u32,
        inputs: Inputs<'_>,
        ctx: &TaskContext<'_>,
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut text = Vec::new();
        let mut lease = ctx.reserve(0)?;
        self.0.for_each(partition, inputs, ctx, &mut |record| {
            text.clear();
            let written = serde_json::to_writer(&mut text, &record);
            written.map_err(refused::<T>)?;
            lease.ensure(text.capacity() as u64)?;
            each(&text).map_err(Stop::Failed)
        })
    }
}
