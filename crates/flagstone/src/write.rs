//! The terminals of a session that write files: dataframes to directories, arrays to files.

use std::path::Path;

use flagstone_array::{Array, Element, StoreTo, ZarrOptions};
use flagstone_frame::{DataFrame, Output, ParquetOptions, RowFormat, RowOptions, WriteReport};
use flagstone_graph::{Error, Graph, Result};
use flagstone_io::{AtomicDir, OutputOptions};

use crate::explain::Explanation;
use crate::session::Session;

impl Session {
    /// Writes a dataframe to a directory of Parquet files of even size. The directory appears when
    /// all is written, or not at all.
    ///
    /// # Errors
    /// As [`compute`](Self::compute), and an output that exists.
    pub fn write_parquet(&self, frame: &DataFrame, path: impl AsRef<Path>) -> Result<WriteReport> {
        self.write_parquet_with(frame, path, &ParquetOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`write_parquet`](Self::write_parquet).
    pub fn write_parquet_with(
        &self,
        frame: &DataFrame,
        path: impl AsRef<Path>,
        options: &ParquetOptions,
    ) -> Result<WriteReport> {
        frame.write_parquet_with(self, path, options)
    }

    /// Writes a dataframe to a directory of CSV files of even size, `part-00000.csv` ..., in order.
    /// The directory appears when all is written, or not at all. To compress them, or to write
    /// JSON lines or Arrow, see [`write`](Self::write).
    ///
    /// # Errors
    /// As [`write_parquet`](Self::write_parquet), and nested columns, which CSV cannot hold.
    pub fn write_csv(&self, frame: &DataFrame, path: impl AsRef<Path>) -> Result<WriteReport> {
        self.write(frame, path, &Output::Rows(RowOptions::new(RowFormat::Csv)))
    }

    /// Writes a dataframe to a directory of files in any format.
    ///
    /// # Errors
    /// As [`write_parquet`](Self::write_parquet), and columns that the format cannot hold.
    pub fn write(
        &self,
        frame: &DataFrame,
        path: impl AsRef<Path>,
        output: &Output,
    ) -> Result<WriteReport> {
        frame.write_with(self, path, output)
    }

    /// Computes an array into an npy file, which appears whole or not at all.
    ///
    /// # Errors
    /// As [`compute`](Self::compute), and a file that exists.
    pub fn store_npy<T: Element>(&self, array: &Array<T>, path: impl AsRef<Path>) -> Result<()> {
        array.store_npy_with(self, path)
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`store_npy`](Self::store_npy).
    pub fn store_npy_with<T: Element>(
        &self,
        array: &Array<T>,
        path: impl AsRef<Path>,
        options: OutputOptions,
    ) -> Result<()> {
        array.store_npy_options_with(self, path, options)
    }

    /// Computes an array into a new Zarr array, which appears whole or not at all. Chunks are those
    /// of the plan, compressed by zstd.
    ///
    /// # Errors
    /// As [`compute`](Self::compute), and an array that exists.
    pub fn store_zarr<T: Element>(&self, array: &Array<T>, path: impl AsRef<Path>) -> Result<()> {
        self.store_zarr_with(array, path, &ZarrOptions::default())
    }

    /// The same with options: version, chunks, shards, compression.
    ///
    /// # Errors
    /// As [`store_zarr`](Self::store_zarr), and options that do not fit the array.
    pub fn store_zarr_with<T: Element>(
        &self,
        array: &Array<T>,
        path: impl AsRef<Path>,
        options: &ZarrOptions,
    ) -> Result<()> {
        array.store_zarr_with(self, path, options)
    }

    /// Computes an array into any target: raw files, stacks of npy files, and regions of npy files
    /// and Zarr arrays that exist.
    ///
    /// # Errors
    /// As [`compute`](Self::compute), and a target that does not fit the array.
    pub fn store<T: Element>(&self, array: &Array<T>, to: &StoreTo<'_>) -> Result<()> {
        array.store_with(self, to)
    }

    /// What [`store`](Self::store) would do. The output is opened as the run opens it, so that what
    /// stands in its way is found, and nothing of it is left; keep `keep_partial` of the options
    /// off.
    ///
    /// # Errors
    /// As [`store`](Self::store), but for the budget: see [`Explanation::refusal`].
    pub fn explain_store<T: Element>(
        &self,
        array: &Array<T>,
        to: &StoreTo<'_>,
    ) -> Result<Explanation> {
        let array = array.counted_with(self)?;
        let mut notes = None;
        let explanation = self.explained(&mut |resources| {
            let store = array.build_store_to(resources, to)?;
            // those of the plan that would run
            notes.get_or_insert_with(|| store.notes.clone());
            Ok((store.graph, vec![store.output]))
        })?;
        Ok(explanation.with_notes(notes.unwrap_or_default()))
    }

    /// What writing a dataframe would do: its first pass, which decides what it needs. The output
    /// is opened as the run opens it, so that what stands in its way is found, and nothing of it
    /// is left.
    ///
    /// # Errors
    /// As [`write_parquet`](Self::write_parquet), but for the budget: see
    /// [`Explanation::refusal`].
    pub fn explain_write(
        &self,
        frame: &DataFrame,
        path: impl AsRef<Path>,
        output: &Output,
    ) -> Result<Explanation> {
        let mut graph = Graph::new();
        let layer = frame.build_write(&mut graph, self, output)?;
        let overwrite = match output {
            Output::Parquet(options) => options.overwrite,
            Output::Rows(options) => options.overwrite,
        };
        let options = OutputOptions {
            overwrite,
            keep_partial: false,
        };
        drop(AtomicDir::create(path, options).map_err(Error::failed)?);
        let program = self.freeze(&graph, &[layer])?;
        let certificate = self.certify(&program);
        Ok(Explanation::new(program, certificate))
    }
}
