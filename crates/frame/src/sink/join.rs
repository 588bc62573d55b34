//! Pieces to files of even size.
//!
//! Text is copied as it is, behind a header where there is one; batches of Arrow streams are read
//! and written again, because an Arrow file ends with the places of its batches.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::FileWriter;
use flagstone_common::{Counter, Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, Inputs, IoBytes, Layer};

use super::assemble::{Unit, files};
use super::named::{Counted, Named};
use super::parquet::{RowGroup, scratch_path};
use super::rows::{RowFormat, RowOptions};
use super::text::CsvText;
use crate::error::{arrow_error, ended, file_error, scratch_error};
use crate::partition::batch_bytes;

const COPY_BYTES: usize = 256 << 10;

/// Writes `part-00000.csv` and so on, one task each.
pub(crate) struct JoinLayer {
    schema: SchemaRef,
    directory: PathBuf,
    options: RowOptions,
    pieces: Vec<Vec<RowGroup>>,
    files: Vec<Vec<Unit>>,
}

impl JoinLayer {
    pub(crate) fn new(
        schema: SchemaRef,
        directory: PathBuf,
        options: RowOptions,
        pieces: Vec<Vec<RowGroup>>,
    ) -> Self {
        let mut units: Vec<(Unit, u64)> = Vec::new();
        for (task, pieces) in pieces.iter().enumerate() {
            let unit = |(i, piece): (usize, &RowGroup)| (vec![(task as u32, i)], piece.bytes);
            units.extend(pieces.iter().enumerate().map(unit));
        }
        JoinLayer {
            schema,
            directory,
            files: files(units, options.target_bytes),
            options,
            pieces,
        }
    }

    /// Calls `each` with the file, the place and the piece, in order.
    fn for_each_piece(
        &self,
        task: u32,
        ctx: &TaskContext<'_>,
        mut each: impl FnMut(&mut BufReader<File>, &RowGroup, &Path) -> Result<()>,
    ) -> Result<()> {
        let mut open: Option<(u32, PathBuf, BufReader<File>)> = None;
        for &(partition, piece) in self.files[task as usize].iter().flatten() {
            ctx.check_cancelled()?;
            let pieces = &self.pieces[partition as usize];
            if open.as_ref().is_none_or(|(known, ..)| *known != partition) {
                let path = scratch_path(&self.directory, partition);
                let failed = |error| file_error("read", &path, error);
                let mut file = File::open(&path).map_err(failed)?;
                let before: u64 = pieces[..piece].iter().map(|piece| piece.bytes).sum();
                file.seek(SeekFrom::Start(before)).map_err(failed)?;
                let reader = BufReader::with_capacity(COPY_BYTES, file);
                open = Some((partition, path, reader));
            }
            if let Some((_, path, reader)) = &mut open {
                each(reader, &pieces[piece], path)?;
            }
            ctx.count(Counter::RowsOut, pieces[piece].rows);
        }
        Ok(())
    }

    fn join_text(
        &self,
        task: u32,
        path: &Path,
        out: &mut impl Write,
        ctx: &TaskContext<'_>,
    ) -> Result<()> {
        let failed = |error| file_error("write", path, error);
        if self.options.format == RowFormat::Csv {
            let names = self
                .schema
                .fields()
                .iter()
                .map(|field| field.name().as_str());
            let header = CsvText::new(self.options.delimiter).header(names);
            let packed = self.options.pack(&header, path)?;
            out.write_all(packed.as_deref().unwrap_or(&header))
                .map_err(failed)?;
        }
        self.for_each_piece(task, ctx, |reader, piece, scratch| {
            let mut left = piece.bytes;
            while left > 0 {
                let bytes = match reader.fill_buf() {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    bytes => bytes.map_err(|error| file_error("read", scratch, error))?,
                };
                if bytes.is_empty() {
                    return Err(ended(scratch));
                }
                let count = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                out.write_all(&bytes[..count]).map_err(failed)?;
                reader.consume(count);
                left -= count as u64;
            }
            Ok(())
        })
    }

    fn join_batches(&self, task: u32, out: &mut impl Write, ctx: &TaskContext<'_>) -> Result<()> {
        let options = self.options.ipc()?;
        let mut writer =
            FileWriter::try_new_with_options(out, &self.schema, options).map_err(arrow_error)?;
        let mut lease = ctx.reserve(0)?;
        self.for_each_piece(task, ctx, |reader, piece, scratch| {
            lease.ensure(3 * piece.bytes + (64 << 10))?;
            let failed = |error| scratch_error(scratch, error);
            let mut piece = reader.take(piece.bytes);
            for batch in StreamReader::try_new(&mut piece, None).map_err(failed)? {
                let batch = batch.map_err(failed)?;
                lease.ensure(3 * batch_bytes(&batch) + (64 << 10))?;
                writer.write(&batch).map_err(arrow_error)?;
            }
            match piece.limit() {
                0 => Ok(()),
                _ => Err(ended(scratch)),
            }
        })?;
        writer.finish().map_err(arrow_error)
    }
}

impl Layer for JoinLayer {
    fn name(&self) -> &str {
        "join-pieces"
    }

    fn task_count(&self) -> u32 {
        self.files.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        let pieces = self.files[task as usize].iter().flatten();
        let sizes = pieces.map(|&(partition, i)| self.pieces[partition as usize][i].bytes);
        let batch = match self.options.format {
            RowFormat::Arrow => 3 * sizes.max().unwrap_or(0) + (64 << 10),
            _ => 0,
        };
        Footprint::estimated(64)
            .with_scratch(2 * COPY_BYTES as u64 + batch)
            .resident()
    }

    fn io_bytes(&self, task: u32) -> IoBytes {
        let pieces = self.files[task as usize].iter().flatten();
        let sizes = pieces.map(|&(partition, i)| self.pieces[partition as usize][i].bytes);
        IoBytes {
            read: 0,
            written: sizes.sum(),
        }
    }

    fn run(&self, task: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let name = self.options.file_name(task as usize);
        let path = self.directory.join(name);
        let failed = |error| file_error("write", &path, error);
        let _buffers = ctx.reserve(2 * COPY_BYTES as u64)?;
        let file = File::create(&path).map_err(failed)?;
        let counted = Counted {
            file: Named {
                file,
                path: path.clone(),
            },
            ctx,
        };
        let mut out = BufWriter::with_capacity(COPY_BYTES, counted);
        match self.options.format {
            RowFormat::Arrow => self.join_batches(task, &mut out, ctx)?,
            _ => self.join_text(task, &path, &mut out, ctx)?,
        }
        out.flush().map_err(failed)?;
        let bytes = std::fs::metadata(&path).map_err(failed)?.len();
        Ok(Block::value(bytes))
    }
}
