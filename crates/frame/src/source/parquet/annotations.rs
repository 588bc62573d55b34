//! What Parquet says of columns beyond their types: JSON, UUID, ENUM, BSON, geometry.
//!
//! A frame keeps it with its fields, so that files that are written of them say the same. JSON and
//! UUID have names in Arrow, which other readers know; the others have one of ours.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{EdgeInterpolationAlgorithm, GeographyType, GeometryType, LogicalType};
use parquet::errors::ParquetError;
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::schema::shape::map_fields;
use crate::schema::text::{NAME_KEY, is_json, json_field};

const KEY: &str = "PARQUET:logical_type";
const UUID_NAME: &str = "arrow.uuid";

/// The columns of a file with what the file says of them.
pub(super) fn read(fields: &Fields, parquet: &SchemaDescriptor) -> Fields {
    let mut leaf = 0;
    map_fields(fields, &mut |field| {
        if field.data_type().is_nested() {
            return field;
        }
        leaf += 1;
        match leaf <= parquet.num_columns() {
            true => annotated(field, parquet.column(leaf - 1).logical_type_ref()),
            false => field,
        }
    })
}

fn annotated(field: Field, said: Option<&LogicalType>) -> Field {
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    let mut put = |key: &str, value: String| metadata.insert(key.to_owned(), value);
    match said {
        Some(LogicalType::Json) if is_text(field.data_type()) && !is_json(&field) => {
            metadata.extend(json_field("").metadata().clone());
        }
        Some(LogicalType::Uuid) => drop(put(NAME_KEY, UUID_NAME.to_owned())),
        Some(LogicalType::Enum) => drop(put(KEY, "ENUM".to_owned())),
        Some(LogicalType::Bson) => drop(put(KEY, "BSON".to_owned())),
        Some(LogicalType::Geometry(GeometryType { crs })) => {
            let crs = crs.as_ref().map_or(String::new(), |crs| format!(":{crs}"));
            put(KEY, format!("GEOMETRY{crs}"));
        }
        Some(LogicalType::Geography(GeographyType { crs, algorithm })) => {
            let crs = crs.as_ref().map_or(String::new(), |crs| format!(":{crs}"));
            let edges = algorithm.map_or(String::new(), |edges| edges.to_string());
            put(KEY, format!("GEOGRAPHY {edges}{crs}"));
        }
        _ => return field,
    }
    field.with_metadata(metadata)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// What is to be said of a column.
fn said_of(field: &Field) -> Option<LogicalType> {
    let is_binary = matches!(
        field.data_type(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
    );
    if is_json(field) {
        return Some(LogicalType::Json);
    }
    let name = field.metadata().get(NAME_KEY);
    if name.is_some_and(|name| name == UUID_NAME)
        && *field.data_type() == DataType::FixedSizeBinary(16)
    {
        return Some(LogicalType::Uuid);
    }
    let said = field.metadata().get(KEY)?;
    let (kind, crs) = match said.split_once(':') {
        Some((kind, crs)) => (kind, Some(crs.to_owned())),
        None => (said.as_str(), None),
    };
    match kind {
        "ENUM" if is_text(field.data_type()) => Some(LogicalType::Enum),
        "BSON" if is_binary => Some(LogicalType::Bson),
        "GEOMETRY" if is_binary => Some(LogicalType::geometry(crs)),
        kind if is_binary => {
            let edges = kind.strip_prefix("GEOGRAPHY ")?;
            let algorithm: Option<EdgeInterpolationAlgorithm> = edges.parse().ok();
            Some(LogicalType::geography(crs, algorithm))
        }
        _ => None,
    }
}

/// The schema of a file of these columns.
pub(crate) fn file_type(schema: &Schema) -> Result<SchemaDescriptor, ParquetError> {
    let plain = ArrowSchemaConverter::new().convert(schema)?;
    let mut said = Vec::new();
    map_fields(schema.fields(), &mut |field| {
        if !field.data_type().is_nested() {
            said.push(said_of(&field));
        }
        field
    });
    if said.iter().all(Option::is_none) || said.len() != plain.num_columns() {
        return Ok(plain);
    }
    let root = rebuilt(plain.root_schema_ptr(), &mut said.into_iter())?;
    Ok(SchemaDescriptor::new(root))
}

fn rebuilt(
    node: TypePtr,
    said: &mut impl Iterator<Item = Option<LogicalType>>,
) -> Result<TypePtr, ParquetError> {
    let info = node.get_basic_info();
    let id = info.has_id().then(|| info.id());
    let built = match &*node {
        Type::PrimitiveType {
            physical_type,
            type_length,
            ..
        } => {
            let Some(Some(logical)) = said.next() else {
                return Ok(node);
            };
            Type::primitive_type_builder(info.name(), *physical_type)
                .with_repetition(info.repetition())
                .with_logical_type(Some(logical))
                .with_length(*type_length)
                .with_id(id)
                .build()?
        }
        Type::GroupType { fields, .. } => {
            let fields: Result<Vec<TypePtr>, _> = fields
                .iter()
                .map(|field| rebuilt(Arc::clone(field), said))
                .collect();
            let mut builder = Type::group_type_builder(info.name())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_converted_type(info.converted_type())
                .with_fields(fields?)
                .with_id(id);
            if info.has_repetition() {
                builder = builder.with_repetition(info.repetition());
            }
            builder.build()?
        }
    };
    Ok(Arc::new(built))
}
