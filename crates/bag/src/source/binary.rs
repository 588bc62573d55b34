//! Whole files as items: images, or whatever has no lines.

use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;

use flagstone_common::{Counter, Error, Fault, Result};
use flagstone_graph::{Footprint, Graph, Inputs, LayerId, ended};
use flagstone_io::{InputFile, IntoPaths, LocalFs, Source as _, expand};

use crate::bag::Bag;
use crate::chain::{Branch, Consumer, Cost, Root, Run, Source, Step, Want, lower_alone};

/// Small neighbours share a partition of about so many bytes.
const PARTITION_BYTES: u64 = 32 << 20;

/// The bytes of some files, a file an item; see [`Bag::read_binary`].
pub struct ReadBinary {
    patterns: Vec<PathBuf>,
    step: Step,
}

impl Bag<()> {
    /// Every file that paths or patterns name as one item: its bytes, as they are on disk. Files come in
    /// the order of their names, with digits as numbers; [`Bag::with_path`] tells them apart.
    ///
    /// A file is leased before it is read, and must fit in memory.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// for (name, bytes) in [("2.bin", &[7u8, 8][..]), ("10.bin", &[9])] {
    ///     std::fs::write(dir.path().join(name), bytes)?;
    /// }
    /// let files = Bag::read_binary(dir.path().join("*.bin"));
    /// assert_eq!(files.map(|bytes| bytes.len()).compute_with(&SerialExecutor)?, [2, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_binary(paths: impl IntoPaths) -> Bag<Source<ReadBinary>> {
        let step = Step {
            name: "read_binary",
            location: Location::caller(),
        };
        let patterns = paths.into_paths();
        Bag::new(Source(Arc::new(ReadBinary { patterns, step })))
    }
}

impl Root for ReadBinary {
    type Item<'a> = Vec<u8>;
    type Plan = Vec<Vec<InputFile>>;

    fn plan(&self, _: Want, _: &mut Graph) -> Result<(Self::Plan, Vec<LayerId>)> {
        let files = expand(&self.patterns)?;
        let (mut groups, mut filled) = (Vec::<Vec<InputFile>>::new(), u64::MAX);
        for file in files {
            if filled.saturating_add(file.len()) > PARTITION_BYTES {
                groups.push(Vec::new());
                filled = 0;
            }
            filled = filled.saturating_add(file.len());
            if let Some(group) = groups.last_mut() {
                group.push(file);
            }
        }
        Ok((groups, Vec::new()))
    }

    fn partition_count(&self, plan: &Self::Plan) -> u32 {
        u32::try_from(plan.len()).unwrap_or(u32::MAX)
    }

    fn cost(&self, plan: &Self::Plan, partition: u32) -> Cost {
        let files = plan[partition as usize].iter().map(InputFile::len);
        let largest = files.clone().max().unwrap_or(0);
        Cost {
            footprint: Footprint::bounded(0).with_scratch(largest),
            read_bytes: files.sum(),
        }
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &Self::Plan,
        run: &Run<'_>,
        _: Inputs<'_>,
        mut consumer: C,
    ) -> Result<()> {
        let files = &plan[run.partition() as usize];
        let mut total = 0;
        for file in files {
            run.ctx().check_cancelled()?;
            run.position.enter_file(file);
            let _lease = run.source_ctx().reserve(file.len())?;
            let bytes = read(file)?;
            total += bytes.len() as u64;
            run.ctx().count(Counter::BytesRead, bytes.len() as u64);
            run.next_item();
            match consumer.push(bytes) {
                Ok(()) => {}
                stopped => return ended(stopped),
            }
        }
        debug_assert!(total <= files.iter().map(InputFile::len).sum());
        run.ctx().count(Counter::RowsIn, run.item_count());
        ended(consumer.finish())
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.push(self.step);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        lower_alone(self, graph, branch)
    }
}

/// All bytes that the file had when it was listed.
fn read(file: &InputFile) -> Result<Vec<u8>> {
    let path = file.path();
    let failed =
        |error: std::io::Error| Error::of(Fault::Io, format!("cannot read: {error}")).at_path(path);
    let opened = LocalFs.open(path).map_err(failed)?;
    let mut bytes = vec![0; file.len() as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        let read = opened.read_at(filled as u64, &mut bytes[filled..]);
        match read.map_err(failed)? {
            0 => {
                let message = format!(
                    "the file has become shorter: it had {} bytes when it was listed, now it has \
                     {filled}",
                    bytes.len()
                );
                return Err(Error::of(Fault::Io, message).at_path(path));
            }
            more => filled += more,
        }
    }
    Ok(bytes)
}
