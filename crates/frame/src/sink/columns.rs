//! Row groups of very many columns, encoded one column after the other.
//!
//! An encoder takes some hundred kibibytes however little it is given: the table of its dictionary,
//! its pages, and the state of its compressor, which no ledger sees. Twenty thousand of them at once
//! took more than a gibibyte for ten rows. So the rows of wide tables wait as they are until they make
//! a row group; then each column is encoded for itself, put into the file, and its encoder is gone.

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use flagstone_common::Result;
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;

use super::named::Named;
use crate::error::{arrow_error, parquet_error};
use crate::partition::Buffers;
use crate::source::parquet::annotations::file_type;

/// A file of row groups whose columns are encoded for themselves.
pub(crate) struct ColumnWise {
    file: SerializedFileWriter<Named>,
    schema: SchemaRef,
    properties: WriterPropertiesPtr,
    /// The rows of the next row group.
    rows: Vec<RecordBatch>,
    buffers: Buffers,
    held_bytes: u64,
}

impl ColumnWise {
    pub(crate) fn new(
        named: Named,
        schema: SchemaRef,
        mut properties: WriterProperties,
    ) -> Result<ColumnWise> {
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let properties = Arc::new(properties);
        let descriptor = file_type(&schema).map_err(parquet_error)?;
        let root = descriptor.root_schema_ptr();
        let file = SerializedFileWriter::new(named, root, properties.clone());
        Ok(ColumnWise {
            file: file.map_err(parquet_error)?,
            schema,
            properties,
            rows: Vec::new(),
            buffers: Buffers::default(),
            held_bytes: 0,
        })
    }

    /// What the rows hold that wait.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// What they hold with more of them.
    pub(crate) fn push(&mut self, rows: RecordBatch) -> u64 {
        self.held_bytes += self.buffers.add(&rows);
        self.rows.push(rows);
        self.held_bytes
    }

    /// The bytes of the column that has most of the rows that wait.
    pub(crate) fn largest_column_bytes(&self) -> Result<u64> {
        let mut largest = 0;
        for column in 0..self.schema.fields().len() {
            let mut bytes = 0;
            for rows in &self.rows {
                let data = rows.column(column).to_data();
                bytes += data.get_slice_memory_size().map_err(arrow_error)? as u64;
            }
            largest = largest.max(bytes);
        }
        Ok(largest)
    }

    /// Makes a row group of the rows that wait.
    pub(crate) fn flush(&mut self) -> std::result::Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.rows);
        (self.buffers, self.held_bytes) = (Buffers::default(), 0);
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for (i, field) in self.schema.fields().iter().enumerate() {
            let alone = Arc::new(Schema::new(vec![field.clone()]));
            let root = file_type(&alone)?.root_schema_ptr();
            // what encoders are made for is a file of the column; nothing is written to it
            let apart = SerializedFileWriter::new(io::sink(), root, self.properties.clone())?;
            let encoders = ArrowRowGroupWriterFactory::new(&apart, alone);
            let mut encoders = encoders.create_column_writers(0)?;
            for rows in &rows {
                let leaves = compute_leaves(field, rows.column(i))?;
                for (encoder, leaf) in encoders.iter_mut().zip(&leaves) {
                    encoder.write(leaf)?;
                }
            }
            for encoder in encoders {
                encoder.close()?.append_to_row_group(&mut group)?;
            }
        }
        group.close().map(|_| ())
    }

    /// Ends the file.
    pub(crate) fn close(mut self) -> std::result::Result<ParquetMetaData, ParquetError> {
        self.flush()?;
        self.file.close()
    }
}
