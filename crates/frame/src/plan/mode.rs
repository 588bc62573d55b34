//! The value that is there most often, as a function that DataFusion plans.

use arrow::datatypes::DataType;
use datafusion_common::{Result, not_impl_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

/// `mode(x)`. It is planned only: what computes it are states of ours.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mode(Signature);

impl Default for Mode {
    fn default() -> Self {
        Mode(Signature::any(1, Volatility::Immutable))
    }
}

impl AggregateUDFImpl for Mode {
    fn name(&self) -> &str {
        "mode"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("mode is computed elsewhere")
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<arrow::datatypes::FieldRef>> {
        not_impl_err!("mode is computed elsewhere")
    }
}
