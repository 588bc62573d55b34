//! Members of objects: where an object is null its members are, whatever lies under it.
//!
//! DataFusion's `get_field` gives a member's column as it is. Under an object that is null that column
//! may hold anything: what a condition (`CASE`) left out, what other programs wrote.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, make_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{DataFusionError, ScalarValue, exec_datafusion_err};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion_functions::core::getfield::GetFieldFunc;

/// What the function is called, DataFusion's and this one.
pub(crate) const NAME: &str = "get_field";

/// The function that evaluates `get_field`.
pub(crate) static MEMBER: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(Member(GetFieldFunc::new()))));

type Evaluated<T> = Result<T, DataFusionError>;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Member(GetFieldFunc);

impl ScalarUDFImpl for Member {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Evaluated<DataType> {
        self.0.return_type(args)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Evaluated<FieldRef> {
        self.0.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Evaluated<ColumnarValue> {
        let [ColumnarValue::Array(object), names @ ..] = args.args.as_slice() else {
            return self.0.invoke_with_args(args);
        };
        let names = names.iter().map(text).collect::<Option<Vec<&str>>>();
        match names.filter(|names| is_path(object.data_type(), names)) {
            Some(names) => member(object, &names).map(ColumnarValue::Array),
            // maps have no columns for their keys
            None => self.0.invoke_with_args(args),
        }
    }
}

fn text(name: &ColumnarValue) -> Option<&str> {
    match name {
        ColumnarValue::Scalar(
            ScalarValue::Utf8(Some(name))
            | ScalarValue::LargeUtf8(Some(name))
            | ScalarValue::Utf8View(Some(name)),
        ) => Some(name),
        _ => None,
    }
}

/// Whether a path goes through objects alone.
fn is_path(data_type: &DataType, names: &[&str]) -> bool {
    match (names, data_type) {
        ([], _) => true,
        ([name, rest @ ..], DataType::Struct(fields)) => fields
            .find(name)
            .is_none_or(|(_, member)| is_path(member.data_type(), rest)),
        _ => false,
    }
}

fn member(object: &ArrayRef, names: &[&str]) -> Evaluated<ArrayRef> {
    let (mut column, mut nulls) = (Arc::clone(object), None);
    for name in names {
        let own = column.as_struct_opt();
        let own = own.ok_or_else(|| exec_datafusion_err!("{name} is asked of no object"))?;
        nulls = NullBuffer::union(nulls.as_ref(), own.nulls());
        let member = own.column_by_name(name);
        let member =
            member.ok_or_else(|| exec_datafusion_err!("an object has no member {name}"))?;
        column = Arc::clone(member);
    }
    let Some(nulls) = nulls else {
        return Ok(column);
    };
    if *column.data_type() == DataType::Null {
        return Ok(column);
    }
    let nulls = NullBuffer::union(Some(&nulls), column.nulls());
    let masked = column.to_data().into_builder().nulls(nulls).build()?;
    Ok(make_array(masked))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StructArray};
    use arrow::datatypes::{Field, Fields};

    use super::*;

    fn object(member: ArrayRef, nulls: Vec<bool>) -> ArrayRef {
        let field = Field::new("m", member.data_type().clone(), true);
        let fields = Fields::from(vec![field]);
        Arc::new(StructArray::new(fields, vec![member], Some(nulls.into())))
    }

    #[test]
    fn members_of_null_objects_are_null() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4)]));
        let inner = object(numbers, vec![true, false, true, true]);
        let outer = object(inner.clone(), vec![true, true, true, false]);
        let expected = Int64Array::from(vec![Some(1), None, None, Some(4)]);
        assert_eq!(*member(&inner, &["m"]).unwrap(), expected);
        let expected = Int64Array::from(vec![Some(1), None, None, None]);
        assert_eq!(*member(&outer, &["m", "m"]).unwrap(), expected);
        let sliced = outer.slice(2, 2);
        assert_eq!(member(&sliced, &["m", "m"]).unwrap().null_count(), 2);
        assert!(member(&inner, &["n"]).is_err());
    }
}
