//! Any number of texts of bytes for each group, in the order in which they came.

use std::io::{self, Write};

use flagstone_common::{Error, ErrorKind, Result};

use super::{Fields, reserve};

/// Chains of texts, all in one buffer.
#[derive(Default)]
pub(super) struct Chains {
    chains: Vec<Chain>,
    links: Vec<Link>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct Chain {
    first: u32,
    last: u32,
    len: u32,
    bytes: usize,
}

#[derive(Clone, Copy)]
struct Link {
    start: usize,
    len: u32,
    next: u32,
}

/// Texts of one group are written in parts of about so many bytes.
const PART_BYTES: usize = 32 << 10;

/// How large a buffer becomes when it has to grow.
pub(super) fn larger(len: usize, capacity: usize, more: usize) -> usize {
    match len + more <= capacity {
        true => 0,
        false => (len + more).max(capacity + capacity / 2),
    }
}

impl Chains {
    pub(super) const WIDTH: usize = size_of::<Chain>();

    pub(super) fn reserve(&mut self, groups: usize) {
        reserve(&mut self.chains, groups);
    }

    pub(super) fn resize(&mut self, groups: usize) {
        self.chains.resize(groups, Chain::default());
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.links.capacity() * size_of::<Link>()
    }

    pub(super) fn growth(&self, values: usize, bytes: usize) -> usize {
        let links = larger(self.links.len(), self.links.capacity(), values);
        links * size_of::<Link>() + larger(self.bytes.len(), self.bytes.capacity(), bytes)
    }

    pub(super) fn grow(&mut self, values: usize, bytes: usize) {
        let links = larger(self.links.len(), self.links.capacity(), values);
        reserve(&mut self.links, links);
        let bytes = larger(self.bytes.len(), self.bytes.capacity(), bytes);
        reserve(&mut self.bytes, bytes);
    }

    /// How many texts all groups have.
    pub(super) fn texts(&self) -> usize {
        self.links.len()
    }

    /// A text by its place among those of all groups.
    pub(super) fn text(&self, place: u32) -> &[u8] {
        let link = &self.links[place as usize];
        &self.bytes[link.start..link.start + link.len as usize]
    }

    /// Appends a text to those of a group.
    pub(super) fn push(&mut self, group: usize, text: &[u8]) -> Result<()> {
        self.push_parts(group, &[], text)
    }

    /// Appends a text that is made of two to those of a group.
    pub(super) fn push_parts(&mut self, group: usize, head: &[u8], tail: &[u8]) -> Result<()> {
        let too_many = || {
            let message = "more than 4294967295 values, or 4 GiB in one, in the lists of groups";
            Error::new(ErrorKind::Failed, message)
        };
        let place = u32::try_from(self.links.len()).map_err(|_| too_many())?;
        let len = u32::try_from(head.len() + tail.len()).map_err(|_| too_many())?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(tail);
        let next = u32::MAX;
        self.links.push(Link { start, len, next });
        let chain = &mut self.chains[group];
        match chain.len {
            0 => chain.first = place,
            _ => self.links[chain.last as usize].next = place,
        }
        chain.last = place;
        chain.len += 1;
        chain.bytes += len as usize;
        Ok(())
    }

    /// How many texts a group has.
    pub(super) fn len(&self, group: usize) -> usize {
        self.chains[group].len as usize
    }

    /// What the texts of a group take together.
    pub(super) fn bytes(&self, group: usize) -> usize {
        let chain = &self.chains[group];
        chain.bytes + chain.len as usize * size_of::<Link>()
    }

    /// The texts of a group.
    pub(super) fn iter(&self, group: usize) -> impl Iterator<Item = &[u8]> {
        let chain = self.chains[group];
        let mut next = chain.first;
        (0..chain.len).map(move |_| {
            let link = &self.links[next as usize];
            next = link.next;
            &self.bytes[link.start..link.start + link.len as usize]
        })
    }

    /// Writes all texts of a group, or that there are none.
    pub(super) fn write(&self, group: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        let chain = group.map_or_else(Chain::default, |group| self.chains[group]);
        out.write_all(&chain.len.to_le_bytes())?;
        out.write_all(&(chain.bytes as u64).to_le_bytes())?;
        self.write_texts(chain.first, chain.len, out).map(|_| ())
    }

    /// Writes so many texts from a place on, and gives the place behind them.
    fn write_texts(&self, mut place: u32, texts: u32, out: &mut dyn Write) -> io::Result<u32> {
        for _ in 0..texts {
            let text = self.text(place);
            out.write_all(&(text.len() as u32).to_le_bytes())?;
            out.write_all(text)?;
            place = self.links[place as usize].next;
        }
        Ok(place)
    }

    /// Writes some texts of a group: from the first on (0), or from one that the part before named.
    pub(super) fn write_part(
        &self,
        group: usize,
        from: u32,
        out: &mut dyn Write,
    ) -> io::Result<Option<u32>> {
        let chain = &self.chains[group];
        if chain.len == 0 {
            return self.write(None, out).map(|()| None);
        }
        // places are counted from 1 here: 0 is the start of any group
        let start = if from == 0 { chain.first } else { from - 1 };
        let (mut texts, mut bytes, mut place) = (0u32, 0usize, start);
        while place != u32::MAX && (texts == 0 || bytes < PART_BYTES) {
            bytes += self.text(place).len();
            texts += 1;
            place = self.links[place as usize].next;
        }
        out.write_all(&texts.to_le_bytes())?;
        out.write_all(&(bytes as u64).to_le_bytes())?;
        self.write_texts(start, texts, out)?;
        Ok((place != u32::MAX).then(|| place + 1))
    }

    /// How many texts were written, and of how many bytes together.
    pub(super) fn added_by(state: &mut Fields<'_>) -> Result<(usize, usize)> {
        let (texts, bytes) = (state.u32()? as usize, state.u64()? as usize);
        state.bytes(bytes + 4 * texts)?;
        Ok((texts, bytes))
    }

    /// The texts that were written.
    pub(super) fn read<'b>(
        state: &mut Fields<'b>,
        mut each: impl FnMut(&'b [u8]) -> Result<()>,
    ) -> Result<()> {
        let texts = state.u32()?;
        state.u64()?;
        for _ in 0..texts {
            let len = state.u32()? as usize;
            each(state.bytes(len)?)?;
        }
        Ok(())
    }
}
