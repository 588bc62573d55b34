//! One scratch file of many tasks.

use std::sync::OnceLock;

use crate::context::{ScratchFile, ScratchRange, TaskContext};
use crate::error::{Error, Result};

/// A scratch file that is opened by the first task that needs it, and gone with the last handle.
///
/// All tasks of an exchange append to one file, so that writes are long and few files are open; what
/// travels through the graph is where the bytes lie.
///
/// ```
/// use flagstone_common::{SerialHost, Spool, TaskContext};
///
/// let (host, key) = (SerialHost::new(), || String::new());
/// let ctx = TaskContext::new(&host, &key);
/// let spool = Spool::default();
/// let range = spool.append(b"states of some keys", 0, &ctx)?;
/// let mut bytes = [0; 4];
/// spool.read(range, 15, &mut bytes)?;
/// assert_eq!(&bytes, b"keys");
/// # Ok::<(), flagstone_common::Error>(())
/// ```
#[derive(Default)]
pub struct Spool(OnceLock<Box<dyn ScratchFile>>);

impl Spool {
    /// Appends bytes; of all that is appended, what has the highest turn is read last.
    ///
    /// # Errors
    /// A full disk or quota, or another I/O error.
    pub fn append(&self, bytes: &[u8], turn: u32, ctx: &TaskContext<'_>) -> Result<ScratchRange> {
        let file = match self.0.get() {
            Some(file) => file,
            None => {
                let opened = ctx.scratch_file()?;
                // another task may have been faster
                self.0.get_or_init(|| opened)
            }
        };
        file.append(bytes, turn)
    }

    /// Fills `buffer` with what lies in `range` from its byte `from` on.
    ///
    /// # Errors
    /// As [`ScratchFile::read`].
    pub fn read(&self, range: ScratchRange, from: u64, buffer: &mut [u8]) -> Result<()> {
        let missing = || Error::bug("a scratch file is read that nothing was appended to");
        match buffer.is_empty() {
            true => Ok(()),
            false => self.0.get().ok_or_else(missing)?.read(range, from, buffer),
        }
    }

    /// Gives the room of a range back, which nobody reads any more.
    pub fn free(&self, range: ScratchRange) {
        if let Some(file) = self.0.get() {
            file.free(range);
        }
    }
}
