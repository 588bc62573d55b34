//! Thrift's compact protocol, as much of it as tells how large a page is before it is decoded.
//!
//! The decoder of pages allocates what a page's header says. Headers are read here first, a few
//! bytes each, so that the bytes are leased, or refused, before. So is the footer: its decoder makes
//! room for as many row groups as a list claims, and passes over that columns are encrypted.

/// Values are not nested deeper in any header that a writer makes.
const DEPTH_MAX: usize = 32;
/// Nor are groups of columns.
const SCHEMA_DEPTH_MAX: usize = 256;

/// What a page's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// The page is a dictionary.
    pub(super) is_dictionary: bool,
    /// How many values a dictionary has.
    pub(super) dictionary_values: Option<u64>,
    pub(super) uncompressed_bytes: u64,
    /// The length of the page behind the header.
    pub(super) compressed_bytes: u64,
    /// How long the header itself is.
    pub(super) len: usize,
}

/// Why bytes are not what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// They end in the middle.
    Short,
    /// They are something else.
    Broken,
}

/// The header at the start of the bytes.
pub(super) fn page_header(bytes: &[u8]) -> Result<PageHeader, Wrong> {
    const DICTIONARY_PAGE: i64 = 2;
    let mut input = Compact { bytes, at: 0 };
    let (mut kind, mut sizes, mut dictionary_values) = (None, [None; 2], None);
    let mut id = 0;
    while let Some(field) = input.field(&mut id)? {
        match (id, field) {
            (1, INT) => kind = Some(input.int()?),
            (2 | 3, INT) => {
                let size = u64::try_from(input.int()?).map_err(|_| Wrong::Broken)?;
                sizes[id as usize - 2] = Some(size);
            }
            (7, STRUCT) => {
                let mut inner = 0;
                while let Some(field) = input.field(&mut inner)? {
                    match (inner, field) {
                        (1, INT) => dictionary_values = u64::try_from(input.int()?).ok(),
                        (_, field) => input.skip(field, 1)?,
                    }
                }
            }
            (_, field) => input.skip(field, 0)?,
        }
    }
    let (Some(kind), [Some(uncompressed_bytes), Some(compressed_bytes)]) = (kind, sizes) else {
        return Err(Wrong::Broken);
    };
    Ok(PageHeader {
        is_dictionary: kind == DICTIONARY_PAGE,
        dictionary_values,
        uncompressed_bytes,
        compressed_bytes,
        len: input.at,
    })
}

/// What a footer says before it is decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FooterSaid {
    /// Something in the file is encrypted.
    pub(super) is_encrypted: bool,
    /// Elements of the schema, row groups, pairs of metadata and orders of columns: the decoder
    /// makes room for all that a list claims.
    pub(super) items: u64,
}

/// Passes over a footer: whatever it claims to have is there.
pub(super) fn footer(bytes: &[u8]) -> Result<FooterSaid, Wrong> {
    const ENCRYPTION_ALGORITHM: i16 = 8;
    let mut input = Compact { bytes, at: 0 };
    let mut said = FooterSaid::default();
    let mut id = 0;
    while let Some(field) = input.field(&mut id)? {
        said.is_encrypted |= id == ENCRYPTION_ALGORITHM;
        match (id, field) {
            // the decoder takes these for what they should be, whatever is said of them
            (2, LIST) => said.items += input.skip_schema()?,
            (4 | 5 | 7, LIST) => said.items += input.skip_structs()?,
            (1 | 3, 4..=6) | (6, BINARY) => input.skip(field, 0)?,
            (1..=7, _) => return Err(Wrong::Broken),
            _ => input.skip(field, 0)?,
        }
    }
    Ok(said)
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const INT: u8 = 5; // 32 bits; 4 is 16 bits and 6 is 64 bits, all written alike
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;
const UUID: u8 = 13;

struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Compact<'_> {
    fn byte(&mut self) -> Result<u8, Wrong> {
        let byte = self.bytes.get(self.at).copied().ok_or(Wrong::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn pass(&mut self, len: u64) -> Result<(), Wrong> {
        let left = (self.bytes.len() - self.at) as u64;
        if len > left {
            return Err(Wrong::Short);
        }
        self.at += len as usize;
        Ok(())
    }

    fn unsigned(&mut self) -> Result<u64, Wrong> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Wrong::Broken)
    }

    fn int(&mut self) -> Result<i64, Wrong> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The type of the next field of a struct, whose number goes to `id`; nothing at its end.
    fn field(&mut self, id: &mut i16) -> Result<Option<u8>, Wrong> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *id = match byte >> 4 {
            0 => i16::try_from(self.int()?).map_err(|_| Wrong::Broken)?,
            step => id.checked_add(i16::from(step)).ok_or(Wrong::Broken)?,
        };
        Ok(Some(byte & 0x0f))
    }

    fn skip(&mut self, field: u8, depth: usize) -> Result<(), Wrong> {
        if depth > DEPTH_MAX {
            return Err(Wrong::Broken);
        }
        match field {
            TRUE | FALSE => Ok(()),
            BYTE => self.pass(1),
            4..=6 => self.unsigned().map(|_| ()),
            DOUBLE => self.pass(8),
            UUID => self.pass(16),
            BINARY => {
                let len = self.unsigned()?;
                self.pass(len)
            }
            LIST | SET => {
                let (count, item) = self.list()?;
                self.skip_items(count, &[item], depth)
            }
            MAP => match self.unsigned()? {
                0 => Ok(()),
                count => {
                    let types = self.byte()?;
                    self.skip_items(count, &[types >> 4, types & 0x0f], depth)
                }
            },
            STRUCT => {
                let mut id = 0;
                while let Some(field) = self.field(&mut id)? {
                    self.skip(field, depth + 1)?;
                }
                Ok(())
            }
            _ => Err(Wrong::Broken),
        }
    }

    /// How many items a list has, and of what type. There are as many bytes behind it at least.
    fn list(&mut self) -> Result<(u64, u8), Wrong> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.unsigned()?,
            count => u64::from(count),
        };
        match count > (self.bytes.len() - self.at) as u64 {
            true => Err(Wrong::Short),
            false => Ok((count, byte & 0x0f)),
        }
    }

    /// How many structs were in the list.
    fn skip_structs(&mut self) -> Result<u64, Wrong> {
        let (count, item) = self.list()?;
        if count > 0 && item != STRUCT {
            return Err(Wrong::Broken);
        }
        self.skip_items(count, &[item], 0)?;
        Ok(count)
    }

    /// How many elements the schema has. Groups have no more members than there are elements, and
    /// are nested no deeper than the decoder, which calls itself, can go.
    fn skip_schema(&mut self) -> Result<u64, Wrong> {
        const CHILDREN: i16 = 5;
        let (count, item) = self.list()?;
        if count > 0 && item != STRUCT {
            return Err(Wrong::Broken);
        }
        let mut claimed = 0u64;
        let mut open = Vec::new(); // members that are still to come, of each group
        for _ in 0..count {
            let (mut id, mut children) = (0, 0);
            while let Some(field) = self.field(&mut id)? {
                match (id, field) {
                    (CHILDREN, 4..=6) => {
                        children = u64::try_from(self.int()?).map_err(|_| Wrong::Broken)?;
                    }
                    (1..=3 | 6..=9, 4..=6) | (4, BINARY) | (10, STRUCT) => self.skip(field, 1)?,
                    (1..=10, _) => return Err(Wrong::Broken),
                    _ => self.skip(field, 1)?,
                }
            }
            claimed = claimed.saturating_add(children);
            if claimed >= count {
                return Err(Wrong::Short);
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            open.push(children);
            while open.last() == Some(&0) {
                open.pop();
            }
            if open.len() > SCHEMA_DEPTH_MAX {
                return Err(Wrong::Broken);
            }
        }
        Ok(count)
    }

    fn skip_items(&mut self, count: u64, types: &[u8], depth: usize) -> Result<(), Wrong> {
        for _ in 0..count {
            for &item in types {
                match item {
                    // among items a truth value is a byte
                    TRUE | FALSE => self.pass(1)?,
                    item => self.skip(item, depth + 1)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_header_says_its_sizes() {
        // type 2 (dictionary), 600 MiB, 20 kB, and a struct that is passed over
        let header = [
            0x15, 0x04, 0x15, 0x80, 0x80, 0x80, 0xd8, 0x04, 0x15, 0xc0, 0xb8, 0x02, 0x4c, 0x15,
            0x02, 0x15, 0x00, 0x00, 0x00,
        ];
        let known = PageHeader {
            is_dictionary: true,
            uncompressed_bytes: 600 << 20,
            compressed_bytes: 20_000,
            len: header.len(),
        };
        assert_eq!(page_header(&header), Ok(known));
        for cut in 0..header.len() {
            assert_eq!(page_header(&header[..cut]), Err(Wrong::Short));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = page_header(&bytes);
            let _ = footer(&bytes);
        }
    }
}
