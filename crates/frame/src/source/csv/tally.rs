//! The lines of a partition, counted twice.
//!
//! Once as they come from the file, and once as what became of them. Where the two differ, lines
//! were lost without a word, and the run fails rather than to say that all is well.

use flagstone_common::{Error, Result};

/// What became of lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Lines that came from the files.
    pub(super) lines: u64,
    /// Lines of headers.
    pub(super) header: u64,
    /// Lines with nothing in them.
    pub(super) blank: u64,
    /// Lines of records that were read.
    pub(super) read: u64,
    /// Lines of records that were left out.
    pub(super) left_out: u64,
}

impl Tally {
    /// Whether every line is accounted for.
    pub(super) fn check(&self, called: &str) -> Result<()> {
        let told = self.header + self.blank + self.read + self.left_out;
        if told == self.lines {
            return Ok(());
        }
        Err(Error::failed(format!(
            "{called}: {} lines were read, but {told} are accounted for ({} of the header, {} \
             blank, {} in records, {} left out): nothing is written, since rows may be missing; \
             please report the file",
            self.lines, self.header, self.blank, self.read, self.left_out
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_nobody_accounts_for_fail() {
        let mut tally = Tally {
            lines: 6,
            header: 1,
            blank: 1,
            read: 3,
            left_out: 1,
        };
        assert!(tally.check("a.csv").is_ok());
        tally.lines += 1;
        let error = tally.check("a.csv").unwrap_err();
        assert!(error.message().contains("a.csv: 7 lines were read, but 6"));
    }
}
