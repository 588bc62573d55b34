//! The terminals of a session that write files: dataframes to directories or files, arrays to files.

use std::path::Path;

use flagstone_array::{Array, Element, StoreTo, ZarrOptions};
use flagstone_frame::{DataFrame, Output, ParquetOptions, RowFormat, RowOptions, WriteReport};
use flagstone_graph::{Execute, Graph, Resources, Result, advised};
use flagstone_io::OutputOptions;

use crate::explain::Explanation;
use crate::session::Session;

impl Session {
    /// Writes a dataframe to a directory of Parquet files of even size. The directory appears when
    /// all is written, or not at all. A path that ends in `.parquet` is one file where all rows fit
    /// in one (`target_bytes`, 128 MiB): the report says which files there are. A slash behind it
    /// makes it a directory always.
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
    /// The directory appears when all is written, or not at all; a path that ends in `.csv` is one
    /// file where all rows fit in one. To compress them, or to write JSON lines or Arrow, see
    /// [`write`](Self::write).
    ///
    /// # Errors
    /// As [`write_parquet`](Self::write_parquet), and nested columns, which CSV cannot hold.
    pub fn write_csv(&self, frame: &DataFrame, path: impl AsRef<Path>) -> Result<WriteReport> {
        self.write(frame, path, &Output::Rows(RowOptions::new(RowFormat::Csv)))
    }

    /// Writes a dataframe to a directory of files in any format, or to one file where the path ends
    /// in the format's extension and all rows fit in one ([`Output::is_file_path`]).
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
        let explain = |resources: Resources| -> Result<Explanation> {
            let store = array.build_store_to(resources, to)?;
            let program = self.freeze(&store.graph, &[store.output])?;
            let certificate = self.certify(&program);
            Ok(Explanation::new(program, certificate).with_notes(store.notes.clone()))
        };
        let resources = self.resources();
        let explanation = explain(resources)?;
        let mut plan = |resources: Resources| -> Result<(Graph, Vec<_>)> {
            let store = array.build_store_to(resources, to)?;
            Ok((store.graph, vec![store.output]))
        };
        if let Some(refusal) = explanation.refusal() {
            // a quota that does not do stays as it is
            let named = advised(self, refusal, &mut plan).smallest_budget();
            return Ok(match named {
                Some(bytes) => explanation.naming(bytes),
                None => explanation,
            });
        }
        // in a smaller budget the array is cut into smaller chunks: one that was tried may be named
        let smallest = explain(Resources {
            budget_bytes: resources.budget_bytes.min(1 << 20),
            ..resources
        })?;
        let bytes = smallest.smallest_budget_bytes().next_multiple_of(1 << 20);
        let Some(budgets) = self
            .budgets()
            .filter(|_| bytes < explanation.smallest_budget_bytes())
        else {
            return Ok(explanation);
        };
        let (graph, outputs) = plan(budgets.resources_at(bytes))?;
        Ok(match budgets.needed_at(&graph, &outputs, bytes)? <= bytes {
            true => explanation.naming(bytes),
            false => explanation,
        })
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
        output.check_target(path.as_ref())?;
        let program = self.freeze(&graph, &[layer])?;
        let certificate = self.certify(&program);
        Ok(Explanation::new(program, certificate))
    }
}
