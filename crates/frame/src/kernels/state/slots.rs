//! One text of bytes for each group, which may be replaced.

use std::io::{self, Write};

use flagstone_common::{Error, ErrorKind, Result};

use super::{Fields, reserve};

/// Texts of groups, in one buffer.
#[derive(Default)]
pub(super) struct Slots {
    spans: Vec<Span>,
    bytes: Vec<u8>,
    /// What of `bytes` belongs to nobody any more.
    spare: usize,
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    /// [`ABSENT`] where there is none.
    len: u32,
    /// A text that is no longer than this is replaced where it is.
    room: u32,
}

const ABSENT: u32 = u32::MAX;

impl Slots {
    pub(super) const WIDTH: usize = size_of::<Span>();

    pub(super) fn reserve(&mut self, groups: usize) {
        reserve(&mut self.spans, groups);
    }

    pub(super) fn resize(&mut self, groups: usize) {
        let none = Span {
            start: 0,
            len: ABSENT,
            room: 0,
        };
        self.spans.resize(groups, none);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn growth(&self, bytes: usize) -> usize {
        match self.bytes.len() + bytes <= self.bytes.capacity() {
            true => 0,
            false => self.wanted(bytes),
        }
    }

    /// How large the buffer becomes when it has to grow by so much.
    fn wanted(&self, bytes: usize) -> usize {
        let used = self.bytes.len() - self.spare;
        used + bytes + used / 2
    }

    pub(super) fn grow(&mut self, bytes: usize) {
        if self.growth(bytes) == 0 {
            return;
        }
        let mut packed = Vec::with_capacity(self.wanted(bytes));
        for span in self.spans.iter_mut().filter(|span| span.len != ABSENT) {
            let text = &self.bytes[span.start..span.start + span.len as usize];
            span.start = packed.len();
            span.room = span.len;
            packed.extend_from_slice(text);
        }
        self.bytes = packed;
        self.spare = 0;
    }

    pub(super) fn get(&self, group: usize) -> Option<&[u8]> {
        let span = &self.spans[group];
        (span.len != ABSENT).then(|| &self.bytes[span.start..span.start + span.len as usize])
    }

    /// How long a group's text is.
    pub(super) fn len(&self, group: usize) -> usize {
        self.get(group).map_or(0, <[u8]>::len)
    }

    /// Writes the text of a group, or that there is none: no text is empty.
    pub(super) fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        let text = group.and_then(|group| self.get(group)).unwrap_or_default();
        out.write_all(&(text.len() as u32).to_le_bytes())?;
        out.write_all(text)
    }

    /// The text that was written, where there was one.
    pub(super) fn read<'b>(state: &mut Fields<'b>) -> Result<Option<&'b [u8]>> {
        let len = state.u32()? as usize;
        let text = state.bytes(len)?;
        Ok((len > 0).then_some(text))
    }

    /// How many texts were written, and of how many bytes.
    pub(super) fn added_by(state: &mut Fields<'_>) -> Result<(usize, usize)> {
        let text = Slots::read(state)?;
        Ok((1, text.map_or(0, <[u8]>::len)))
    }

    pub(super) fn set(&mut self, group: usize, parts: [&[u8]; 2]) -> Result<()> {
        let len = parts[0].len() + parts[1].len();
        let len = u32::try_from(len).ok().filter(|len| *len != ABSENT);
        let len = len.ok_or_else(|| {
            Error::new(ErrorKind::Failed, "a value of a group has more than 4 GiB")
        })?;
        let span = &mut self.spans[group];
        if span.len == ABSENT || span.room < len {
            self.spare += span.room as usize;
            span.start = self.bytes.len();
            span.room = len;
            self.bytes.extend_from_slice(parts[0]);
            self.bytes.extend_from_slice(parts[1]);
        } else {
            let (first, rest) = self.bytes[span.start..].split_at_mut(parts[0].len());
            first.copy_from_slice(parts[0]);
            rest[..parts[1].len()].copy_from_slice(parts[1]);
        }
        span.len = len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_replaced_in_the_room_that_was_made() {
        let mut slots = Slots::default();
        slots.resize(3);
        for round in 0..200usize {
            let text = vec![round as u8; (round * 37) % 100];
            slots.grow(text.len());
            let capacity = slots.bytes.capacity();
            slots
                .set(
                    round % 2,
                    [&text[..text.len() / 2], &text[text.len() / 2..]],
                )
                .unwrap();
            assert_eq!(slots.bytes.capacity(), capacity);
            assert_eq!(slots.get(round % 2), Some(text.as_slice()));
            assert!(slots.heap_bytes() <= 600, "{}", slots.heap_bytes());
        }
        assert_eq!(slots.get(2), None);
    }
}
