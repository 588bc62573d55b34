//! Which file an item comes from.

use std::path::Path;
use std::sync::Arc;

use crate::bag::Bag;
use crate::chain::{Adapted, Adaptor, Consumer, Flow, Site, Stage};

/// The stage of [`Bag::with_path`].
pub type WithPath<S> = Adapted<S, Pathing>;

impl<S: Stage> Bag<S> {
    /// Every item with the path of the file that it comes from; an empty path where items come from
    /// no file. Works behind any chain over files: on lines, on records, after filters. What stands
    /// for a whole partition, behind `map_partitions` or `reduce_partitions`, has a path where the
    /// partition is of one file.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # for name in ["a.txt", "b.txt"] { std::fs::write(dir.path().join(name), "x\ny\n")?; }
    /// let lines = Bag::read_text(dir.path().join("*.txt")).with_path();
    /// let per_file = lines.count_by(|(path, _)| path.display().to_string());
    /// assert_eq!(per_file.count().compute_with(&SerialExecutor)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn with_path(&self) -> Bag<WithPath<S>> {
        self.adapt("with_path", Pathing)
    }
}

/// The adaptor of [`Bag::with_path`].
pub struct Pathing;

impl<S: Stage> Adaptor<S> for Pathing {
    type Output<'a> = (Arc<Path>, S::Item<'a>);
    type State = ();

    #[inline]
    fn push<C: Consumer<Adapted<S, Self>>>(
        &self,
        (): &mut (),
        item: S::Item<'_>,
        at: Site<'_>,
        next: &mut C,
    ) -> Flow {
        next.push((at.run.path(), item))
    }
}
