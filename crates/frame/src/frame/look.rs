//! What a frame is known to be before it runs: its columns, its mistakes, and what was found about its
//! files.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use flagstone_common::Result;
use flagstone_graph::{Execute, SerialExecutor};

use super::DataFrame;
use crate::ops::pipeline::Pipeline;

impl DataFrame {
    /// Looks for mistakes without running anything.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert!(frame.select(["no_such_column"]).check().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake, with its source line; also when the schema cannot be read.
    pub fn check(&self) -> Result<()> {
        self.schema().map(|_| ())
    }

    /// The columns, as far as the sampled heads of the files show them.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.schema()?.field(0).data_type().to_string(), "Int64");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake, with its source line; files that cannot be read.
    pub fn schema(&self) -> Result<SchemaRef> {
        self.schema_with(&SerialExecutor)
    }

    /// The columns, as far as the heads of the files show them, which are looked at in tasks of `execute`.
    ///
    /// ```
    /// use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert_eq!(frame.schema_with(&SerialExecutor)?.fields().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake, with its source line; files that cannot be read; heads that do not fit in the
    /// budget.
    pub fn schema_with(&self, execute: &dyn Execute) -> Result<SchemaRef> {
        // no plan follows that would say what it needs
        Ok(fields_of(&self.lower_over(&self.open(execute)?)?))
    }

    /// The columns, for a plan that follows: what little looking at the heads takes may be outside of the
    /// budget, and the refusal of the plan says what all of it needs.
    #[doc(hidden)]
    pub fn planned_schema_with(&self, execute: &dyn Execute) -> Result<SchemaRef> {
        Ok(fields_of(&self.lower(execute)?))
    }

    /// Refuses an output that would replace what the frame is read from.
    ///
    /// # Errors
    /// The input that it would replace.
    #[doc(hidden)]
    pub fn check_inputs(&self, path: &Path) -> Result<()> {
        crate::terminal::check_inputs(self, path)
    }

    /// What was found about the files that nobody had said: what separates their fields and ends their
    /// lines, names that were made unique.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// std::fs::write(dir.path().join("b.csv"), "a,a\n1,2\n")?;
    /// let twice = flagstone_frame::DataFrame::read_csv(dir.path().join("b.csv"), Default::default());
    /// assert!(twice.notes()?[0].contains("is called \"a_2\""));
    /// assert!(frame.notes()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn notes(&self) -> Result<Vec<String>> {
        self.notes_with(&SerialExecutor)
    }

    /// What was found about the files that nobody had said, looked for in tasks of `execute` unless it was
    /// looked for before: see [`notes`](Self::notes).
    ///
    /// ```
    /// use flagstone_graph::SerialExecutor;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// assert!(frame.notes_with(&SerialExecutor)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Files that cannot be read; heads that do not fit in the budget.
    pub fn notes_with(&self, execute: &dyn Execute) -> Result<Vec<String>> {
        let opened = self.open(execute)?;
        Ok(opened.iter().flat_map(|source| source.notes()).collect())
    }
}

/// The columns that a plan gives, without what its planner notes of them.
fn fields_of(pipeline: &Pipeline) -> SchemaRef {
    Arc::new(Schema::new(pipeline.schema.fields().clone()))
}
