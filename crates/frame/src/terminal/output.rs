//! What a frame is written to: the formats, how their files are called, and what may be replaced.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use flagstone_common::Result;
use flagstone_io::{AtomicDir, OutputOptions};

use crate::ops::pipeline::Sink;
use crate::sink::parquet::{ParquetOptions, ParquetSink, check_schema, file_schema};
use crate::sink::rows::{RowCompression, RowFormat, RowOptions, RowSink, row_schema};

/// What files a frame is written to.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Parquet files.
    Parquet(ParquetOptions),
    /// CSV, JSON-lines or Arrow files.
    Rows(RowOptions),
}

impl Output {
    pub(super) fn options(&self) -> OutputOptions {
        let (overwrite, keep_partial) = match self {
            Output::Parquet(options) => (options.overwrite, options.keep_partial),
            Output::Rows(options) => (options.overwrite, options.keep_partial),
        };
        OutputOptions {
            overwrite,
            keep_partial,
        }
    }

    /// The same files, with what is said of the output as a whole.
    ///
    /// ```
    /// use flagstone_frame::Output;
    /// use flagstone_io::OutputOptions;
    /// let options = OutputOptions { overwrite: true, ..OutputOptions::default() };
    /// let Some(output) = Output::of_name("x.csv") else { panic!() };
    /// let Output::Rows(rows) = output.with_options(options) else { panic!() };
    /// assert!(rows.overwrite);
    /// ```
    pub fn with_options(mut self, options: OutputOptions) -> Self {
        let (overwrite, keep_partial) = match &mut self {
            Output::Parquet(own) => (&mut own.overwrite, &mut own.keep_partial),
            Output::Rows(own) => (&mut own.overwrite, &mut own.keep_partial),
        };
        *overwrite = options.overwrite;
        *keep_partial = options.keep_partial;
        self
    }

    pub(crate) fn target_bytes(&self) -> u64 {
        match self {
            Output::Parquet(options) => options.target_bytes,
            Output::Rows(options) => options.target_bytes,
        }
    }

    /// What stands in the way of output to a path (an existing output, a directory that does not
    /// exist), as the run finds it. Nothing of it is left.
    ///
    /// ```
    /// use flagstone_frame::Output;
    /// let output = Output::Parquet(Default::default());
    /// let dir = tempfile::tempdir()?;
    /// assert!(output.check_target(&dir.path().join("out")).is_ok());
    /// assert!(output.check_target(&dir.path().join("no/such/place")).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the run would end with.
    pub fn check_target(&self, path: &Path) -> Result<()> {
        let options = OutputOptions {
            keep_partial: false,
            ..self.options()
        };
        self.open(path, options).map(drop)
    }

    /// The output that a name says, with the options that are usual: its format, and of text whether it
    /// is compressed and what is between the fields of CSV.
    ///
    /// ```
    /// use flagstone_frame::{Output, RowFormat};
    /// let Some(Output::Rows(options)) = Output::of_name("out/x.tsv") else { panic!() };
    /// assert_eq!((options.format, options.delimiter), (RowFormat::Csv, b'\t'));
    /// assert_eq!(Output::of_name("out"), None);
    /// ```
    pub fn of_name(path: impl AsRef<Path>) -> Option<Output> {
        let name = path.as_ref().file_name()?.as_bytes().to_ascii_lowercase();
        let rows = |format, delimiter, compression| {
            Output::Rows(RowOptions {
                compression,
                delimiter,
                ..RowOptions::new(format)
            })
        };
        let mut outputs = vec![Output::Parquet(ParquetOptions::default())];
        outputs.push(rows(RowFormat::Arrow, b',', RowCompression::None));
        for compression in [RowCompression::None, RowCompression::Zstd] {
            outputs.push(rows(RowFormat::Csv, b',', compression));
            outputs.push(rows(RowFormat::Csv, b'\t', compression));
            outputs.push(rows(RowFormat::Json, b',', compression));
        }
        outputs
            .into_iter()
            .find(|output| output.stem_of(&name).is_some())
    }

    /// Whether a result that is one file is written to a path as a file, not as a directory with
    /// that file in it: the path ends in the format's extension and not in a slash, and is no
    /// directory that is there already. Who reads a directory of files goes on to find one.
    ///
    /// ```
    /// use flagstone_frame::Output;
    /// let output = Output::Parquet(Default::default());
    /// let dir = tempfile::tempdir()?;
    /// assert!(output.is_file_path(&dir.path().join("x.parquet")));
    /// std::fs::create_dir(dir.path().join("x.parquet"))?;
    /// assert!(!output.is_file_path(&dir.path().join("x.parquet")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_file_path(&self, path: &Path) -> bool {
        let has_slash = path.as_os_str().as_bytes().ends_with(b"/");
        let name = path.file_name().unwrap_or_default().as_bytes();
        let name = name.to_ascii_lowercase();
        let has_stem = self.stem_of(&name).is_some_and(|stem| !stem.is_empty());
        !has_slash && has_stem && !path.is_dir()
    }

    /// What stands before the extension in a name in lower case that is called as these files are.
    fn stem_of<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let (extensions, suffix) = match self {
            Output::Parquet(_) => (&["parquet"][..], ""),
            Output::Rows(options) => (options.extensions(), options.suffix()),
        };
        let name = name.strip_suffix(suffix.as_bytes())?;
        extensions.iter().find_map(|extension| {
            let stem = name.strip_suffix(extension.as_bytes())?;
            stem.strip_suffix(b".")
        })
    }

    pub(super) fn open(&self, path: &Path, options: OutputOptions) -> Result<AtomicDir> {
        match self.is_file_path(path) {
            true => AtomicDir::create_or_file(path, options),
            false => AtomicDir::create(path, options),
        }
    }

    pub(super) fn check(&self, schema: &Schema) -> Result<()> {
        check_schema(schema)?;
        match self {
            Output::Parquet(_) => Ok(()),
            Output::Rows(options) => options.check(schema),
        }
    }

    /// The schema as the files have it.
    pub(super) fn file_schema(&self, schema: &Schema) -> SchemaRef {
        match self {
            Output::Parquet(_) => file_schema(schema),
            Output::Rows(_) => row_schema(schema),
        }
    }

    pub(super) fn sink(&self, schema: SchemaRef, directory: &Path) -> Arc<dyn Sink> {
        let directory = directory.to_owned();
        match self {
            Output::Parquet(options) => Arc::new(ParquetSink {
                schema,
                directory,
                options: options.clone(),
            }),
            Output::Rows(options) => Arc::new(RowSink {
                schema,
                directory,
                options: options.clone(),
            }),
        }
    }

    /// The name of file `i`.
    pub(super) fn file_name(&self, i: usize) -> String {
        match self {
            Output::Parquet(_) => format!("part-{i:05}.parquet"),
            Output::Rows(options) => options.file_name(i),
        }
    }
}
