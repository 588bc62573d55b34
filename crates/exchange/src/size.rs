//! How many bytes a value holds on the heap, measured through serde.
//!
//! A serializer that writes nothing but adds up sees every string, sequence and map of a value, and
//! so finds its allocations without the type's help. It cannot see spare capacity or the layout of
//! a foreign container; a type that knows better says so with [`HeapSize`].

use serde::ser::{self, Serialize};

/// A value that knows how many bytes it holds on the heap.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how many bytes it holds on the heap",
    note = "implement `HeapSize` for it, or leave that to serde: `collect` instead of `collect_sized`"
)]
pub trait HeapSize {
    /// The bytes of all allocations that dropping the value would free, without the value itself.
    fn heap_bytes(&self) -> u64;
}

/// The heap bytes of a value, by its serde form; none for a type that has nothing to drop.
#[inline]
pub fn heap_bytes<T: Serialize>(value: &T) -> u64 {
    match std::mem::needs_drop::<T>() {
        true => measured(value),
        false => 0,
    }
}

fn measured<T: Serialize>(value: &T) -> u64 {
    let mut sizer = Sizer {
        heap: 0,
        inline: 0,
        align: 1,
        json: false,
    };
    // the sizer fails for nothing; a type's own refusal leaves what was counted before
    let _ = value.serialize(&mut sizer);
    sizer.heap
}

/// What an allocator adds to a small block, and rounds to: 8 bytes of header, multiples of 16.
fn allocation(bytes: u64) -> u64 {
    if bytes == 0 {
        0
    } else {
        (bytes + 8).next_multiple_of(16).max(32)
    }
}

/// The size of a dynamic value, and what an entry of a dynamic object takes beside key and value:
/// its hash, and its share of the index.
const VALUE_BYTES: u64 = size_of::<serde_json::Value>() as u64;
const ENTRY_BYTES: u64 = 24;

/// As what newtype a dynamic value shows itself to serializers, so that it is measured as one.
pub const DYNAMIC: &str = "flagstone::Json";

struct Sizer {
    heap: u64,
    /// Bytes that lie inside the container being measured, as far as serde shows them.
    inline: u64,
    /// The strictest alignment among them.
    align: u64,
    /// Inside a dynamic value, where everything lies in an enum of one size.
    json: bool,
}

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the value refused to be measured")
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Refused
    }
}

type Done = Result<(), Refused>;

impl Sizer {
    fn scalar(&mut self, bytes: u64) -> Done {
        self.inline += if self.json { VALUE_BYTES } else { bytes };
        self.align = self.align.max(bytes.min(8));
        Ok(())
    }
}

/// One container being measured: what its elements add inline is its buffer.
struct Inside<'a> {
    sizer: &'a mut Sizer,
    outer: u64,
    outer_align: u64,
    /// Whether the elements lie in a buffer of their own.
    on_heap: bool,
    header: u64,
    /// Buffers of tables and trees are larger than what they hold.
    spare_percent: u64,
}

impl<'a> Inside<'a> {
    fn new(sizer: &'a mut Sizer, on_heap: bool, header: u64, spare_percent: u64) -> Self {
        let outer = std::mem::take(&mut sizer.inline);
        let outer_align = std::mem::replace(&mut sizer.align, 1);
        Inside {
            sizer,
            outer,
            outer_align,
            on_heap,
            header,
            spare_percent,
        }
    }

    fn close(self) -> Done {
        let inline = self.sizer.inline;
        if self.on_heap {
            self.sizer.heap += allocation(inline * self.spare_percent / 100);
            let header = if self.sizer.json {
                VALUE_BYTES
            } else {
                self.header
            };
            self.sizer.inline = self.outer + header;
            self.sizer.align = self.outer_align.max(8);
        } else {
            self.sizer.inline = self.outer + inline.next_multiple_of(self.sizer.align);
            self.sizer.align = self.sizer.align.max(self.outer_align);
        }
        Ok(())
    }
}

macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, _: $type) -> Done {
            self.scalar(size_of::<$type>() as u64)
        })*
    };
}

impl<'a> ser::Serializer for &'a mut Sizer {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Inside<'a>;
    type SerializeTuple = Inside<'a>;
    type SerializeTupleStruct = Inside<'a>;
    type SerializeTupleVariant = Inside<'a>;
    type SerializeMap = Inside<'a>;
    type SerializeStruct = Inside<'a>;
    type SerializeStructVariant = Inside<'a>;

    scalars! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_f32: f32,
        serialize_f64: f64, serialize_char: char
    }

    fn is_human_readable(&self) -> bool {
        // a dynamic value writes itself as text where it is not
        self.json
    }

    fn serialize_str(self, text: &str) -> Done {
        self.heap += allocation(text.len() as u64);
        self.scalar(24)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Done {
        self.heap += allocation(bytes.len() as u64);
        self.scalar(24)
    }

    fn serialize_none(self) -> Done {
        // an absent string or vector takes as much room as a present one
        self.scalar(24)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        let before = self.inline;
        value.serialize(&mut *self)?;
        // a plain number has no spare bit pattern to stand for "absent"
        if self.inline - before <= 8 {
            self.inline += 8;
        }
        Ok(())
    }

    fn serialize_unit(self) -> Done {
        if self.json { self.scalar(0) } else { Ok(()) }
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Done {
        self.scalar(1)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Done {
        let outside = self.json;
        self.json |= name == DYNAMIC;
        value.serialize(&mut *self)?;
        self.json = outside;
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        self.inline += 8;
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Inside<'a>, Refused> {
        Ok(Inside::new(self, true, 24, 100))
    }

    fn serialize_tuple(self, _: usize) -> Result<Inside<'a>, Refused> {
        Ok(Inside::new(self, false, 0, 100))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Inside<'a>, Refused> {
        Ok(Inside::new(self, false, 0, 100))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Inside<'a>, Refused> {
        self.inline += 8;
        Ok(Inside::new(self, false, 0, 100))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Inside<'a>, Refused> {
        // a table of 7/8 load after doubling is between 44 and 88 % full: 1.5 in the middle
        Ok(Inside::new(self, true, 48, 150))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Inside<'a>, Refused> {
        Ok(Inside::new(self, false, 0, 100))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Inside<'a>, Refused> {
        self.inline += 8;
        Ok(Inside::new(self, false, 0, 100))
    }
}

impl Inside<'_> {
    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut *self.sizer)
    }
}

macro_rules! containers {
    ($($trait:ident: $method:ident ($($name:ty)?)),*) => {
        $(impl ser::$trait for Inside<'_> {
            type Ok = ();
            type Error = Refused;
            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Done {
                self.add(value)
            }
            fn end(self) -> Done {
                self.close()
            }
        })*
    };
}

containers! {
    SerializeSeq: serialize_element (),
    SerializeTuple: serialize_element (),
    SerializeTupleStruct: serialize_field (),
    SerializeTupleVariant: serialize_field (),
    SerializeStruct: serialize_field (&'static str),
    SerializeStructVariant: serialize_field (&'static str)
}

impl ser::SerializeMap for Inside<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        let json = std::mem::take(&mut self.sizer.json);
        self.add(key)?;
        self.sizer.json = json;
        self.sizer.inline += if json { ENTRY_BYTES } else { 0 };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.add(value)
    }

    fn end(self) -> Done {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_hold_nothing_on_the_heap() {
        assert_eq!(heap_bytes(&(1u64, 2.0f64, 'c', Some(3u8))), 0);
        assert_eq!(heap_bytes(&String::new()), 0);
    }

    #[test]
    fn strings_and_vectors_hold_their_buffers() {
        assert_eq!(heap_bytes(&"0123456789".to_owned()), 32);
        assert_eq!(heap_bytes(&vec![0u64; 100]), 816);
        // a vector of strings: headers in its buffer, and a buffer for each
        assert_eq!(
            heap_bytes(&vec!["0123456789".to_owned(); 10]),
            256 + 10 * 32
        );
    }
}
