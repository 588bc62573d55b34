//! Lines of text files.

use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;

use flagstone_common::Result;
use flagstone_graph::{Graph, Inputs, LayerId};
use flagstone_io::IntoPaths;

use crate::bag::Bag;
use crate::chain::{
    Branch, Consumer, Cost, Driven, Root, Run, Source, Step, Tees, Want, lower_alone,
};
use crate::source::files::{FilesPlan, TextOptions};

/// The lines of some files; see [`Bag::read_text`].
pub struct ReadText {
    patterns: Vec<PathBuf>,
    options: TextOptions,
    step: Step,
    tees: Tees<ReadText>,
}

impl Bag<()> {
    /// The lines of the files that paths or patterns name, as `&str`, without their line ends.
    ///
    /// gzip, zstd, bzip2 and xz are decompressed. Files come in the order of their names, with
    /// digits as numbers. Text that is not UTF-8 is an error with file, line and byte. Outputs
    /// that are computed together read the files once.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.txt"), "to be\nor not\n")?;
    /// let words = Bag::read_text(dir.path().join("*.txt")).map(|line| line.split(' ').count() as u64);
    /// assert_eq!(words.sum::<u64>().compute_with(&SerialExecutor)?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_text(paths: impl IntoPaths) -> Bag<Source<ReadText>> {
        Bag::read_text_with(paths, TextOptions::default())
    }

    /// The lines of the files that several paths or patterns name, in the order given, with
    /// options. A file that several of them name is read once, where it is named first.
    ///
    /// ```
    /// # use flagstone_bag::{Bag, TextOptions};
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.txt"), b"caf\xe9\n")?;
    /// let options = TextOptions { encoding: "latin1", ..TextOptions::default() };
    /// let lines = Bag::read_text_with(dir.path().join("a.txt"), options).owned();
    /// assert_eq!(lines.compute_with(&SerialExecutor)?, ["caf\u{e9}"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn read_text_with(paths: impl IntoPaths, options: TextOptions) -> Bag<Source<ReadText>> {
        let step = Step {
            name: "read_text",
            location: Location::caller(),
        };
        let patterns = paths.into_paths();
        Bag::new(Source(Arc::new(ReadText {
            patterns,
            options,
            step,
            tees: Tees::default(),
        })))
    }
}

impl Root for ReadText {
    type Item<'a> = &'a str;
    type Plan = FilesPlan;

    fn plan(&self, want: Want, _: &mut Graph) -> Result<(FilesPlan, Vec<LayerId>)> {
        Ok((
            FilesPlan::new(&self.patterns, self.options, want)?,
            Vec::new(),
        ))
    }

    fn partition_count(&self, plan: &FilesPlan) -> u32 {
        plan.count()
    }

    fn cost(&self, plan: &FilesPlan, partition: u32) -> Cost {
        plan.cost(partition)
    }

    fn drive<C: Consumer<Source<Self>>>(
        &self,
        plan: &FilesPlan,
        run: &Run<'_>,
        _: Inputs<'_>,
        consumer: C,
    ) -> Result<()> {
        let mut driven = Driven::new(consumer);
        plan.for_each_line(run, |line, _| {
            run.next_item();
            driven.push::<Source<Self>>(line)
        })?;
        driven.finish::<Source<Self>>()
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        steps.push(self.step);
    }

    fn attach<B: Branch<Self>>(self: &Arc<Self>, graph: &mut Graph, branch: B) -> Result<LayerId> {
        self.tees.attach(self, graph, branch, |graph, tee| {
            lower_alone(self, graph, tee)
        })
    }
}
