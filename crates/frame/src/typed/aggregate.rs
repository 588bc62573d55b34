//! Aggregations of the user's own, as functions that DataFusion plans.

use std::any::type_name;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{not_impl_err, plan_err};
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, TypeSignature, Volatility,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::Columns;
use super::states::Custom;
use crate::frame::IntoExpr;
use crate::ops::group::Make;

/// An aggregation of your own: what is kept for a group, and how rows and what was kept elsewhere are
/// folded into it. See [`aggregate`].
///
/// The rows of a partition are folded in their order, one state a group; the states of partitions are
/// merged in the order of the partitions. A state that has to leave memory is written as bytes and goes
/// on from there. So results have the same bits for every budget and number of threads.
/// [`check_aggregate`](crate::check_aggregate) tests the laws that this takes.
pub trait Aggregate: Send + Sync + 'static {
    /// What is folded: a struct, whose fields are the arguments in their order, or a single value for
    /// a single argument. What may be null is an `Option`.
    type Row: DeserializeOwned;
    /// What is kept for a group.
    type State: Clone + Serialize + DeserializeOwned + Send + 'static;
    /// What the rows of a group come to: a value, or an `Option` of one.
    type Output: Serialize + DeserializeOwned;

    /// The state of no rows.
    fn init(&self) -> Self::State;

    /// Folds a row into a state.
    fn update(&self, state: &mut Self::State, row: Self::Row);

    /// Folds the state of later rows into a state.
    fn merge(&self, state: &mut Self::State, later: Self::State);

    /// What a state comes to.
    fn finish(&self, state: Self::State) -> Self::Output;

    /// What a state holds beside itself, in bytes: the room of its vectors and texts. Nothing, unless
    /// this says otherwise.
    fn heap_bytes(&self, _state: &Self::State) -> usize {
        0
    }

    /// How much [`heap_bytes`](Self::heap_bytes) becomes more at most when so many rows, whose columns
    /// take so many bytes, are folded; and when a state is merged that was written in so many `bytes`
    /// (`rows` is 1). So much is leased before it is done, and a fold that takes more is an error.
    fn growth_bytes(&self, _rows: usize, _bytes: usize) -> usize {
        0
    }
}

/// An aggregation of one's own over these arguments, for [`GroupBy::agg`](crate::GroupBy::agg) and
/// [`DataFrame::agg`](crate::DataFrame::agg).
///
/// ```
/// # use flagstone_graph::SerialExecutor;
/// use flagstone_frame::{Aggregate, aggregate, cast, col};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
/// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
/// // a: 1, 2, 3; b: "xa", "xa", "y"
/// /// The geometric mean: the root of the product.
/// struct GeometricMean;
///
/// impl Aggregate for GeometricMean {
///     type Row = f64;
///     type State = (f64, u64);
///     type Output = Option<f64>;
///     fn init(&self) -> (f64, u64) { (0.0, 0) }
///     fn update(&self, state: &mut (f64, u64), x: f64) { state.0 += x.ln(); state.1 += 1 }
///     fn merge(&self, state: &mut (f64, u64), later: (f64, u64)) {
///         state.0 += later.0;
///         state.1 += later.1
///     }
///     fn finish(&self, (logs, n): (f64, u64)) -> Option<f64> {
///         (n > 0).then(|| (logs / n as f64).exp())
///     }
/// }
///
/// // rows are read as they are: numbers of another type are cast
/// let a = cast(col("a"), arrow::datatypes::DataType::Float64);
/// let means = frame.groupby(["b"]).agg([aggregate(GeometricMean, [a]).alias("mean")]);
/// use arrow::array::AsArray;
/// use arrow::datatypes::Float64Type;
/// let means = means.compute_with(&SerialExecutor)?;
/// let means = means["mean"].as_primitive::<Float64Type>();
/// assert!((means.value(0) - 2f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// An output without a fixed type, and a number of arguments that is not that of the fields, are mistakes
/// that the terminals tell. A row that is no `Row` fails the run, and is shown.
pub fn aggregate<A: Aggregate>(
    aggregate: A,
    args: impl IntoIterator<Item = impl IntoExpr>,
) -> Expr {
    let args: Vec<Expr> = args.into_iter().map(IntoExpr::into_expr).collect();
    let function = CustomFunction::new(aggregate, args.len());
    let function = Arc::new(AggregateUDF::from(function));
    let call = AggregateFunction::new_udf(function, args, false, None, Vec::new(), None);
    Expr::AggregateFunction(call)
}

/// It is planned only: what computes it are states of ours.
pub(crate) struct CustomFunction {
    name: String,
    signature: Signature,
    result: Result<DataType, String>,
    make: Make,
}

impl CustomFunction {
    fn new<A: Aggregate>(aggregate: A, args: usize) -> Self {
        let path = type_name::<A>().split('<').next().unwrap_or_default();
        let name = path.rsplit("::").next().unwrap_or_default().to_owned();
        let planned = planned::<A>(args);
        let result = planned.clone().map(|(_, output)| {
            let field = output.fields.first();
            field.map_or(DataType::Null, |field| field.data_type().clone())
        });
        let aggregate = Arc::new(aggregate);
        let make: Make = Arc::new(move || {
            let (row, output) = planned.clone().map_err(flagstone_common::Error::invalid)?;
            Ok(Box::new(Custom::new(Arc::clone(&aggregate), row, output)))
        });
        let types = match args {
            0 => TypeSignature::Nullary,
            args => TypeSignature::Any(args),
        };
        CustomFunction {
            name,
            signature: Signature::new(types, Volatility::Immutable),
            result,
            make,
        }
    }

    /// What makes its states.
    pub(crate) fn make(&self) -> Make {
        Arc::clone(&self.make)
    }
}

/// The columns of the rows and of the output, where they are what the function can have.
fn planned<A: Aggregate>(args: usize) -> Result<(Columns, Columns), String> {
    let row = Columns::of::<A::Row>()?;
    if row.fields.len() != args || args == 0 {
        return Err(format!(
            "the rows of {} are {} with {} fields, and {args} arguments are given: give one for each field, \
             in their order",
            type_name::<A>(),
            type_name::<A::Row>(),
            row.fields.len()
        ));
    }
    let output = Columns::of::<super::record::Value<A::Output>>()?;
    Ok((row, output))
}

impl fmt::Debug for CustomFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A function is only equal to itself.
impl PartialEq for CustomFunction {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.make, &other.make)
    }
}

impl Eq for CustomFunction {}

impl Hash for CustomFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.make).cast::<()>().hash(state);
    }
}

impl AggregateUDFImpl for CustomFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> datafusion_common::Result<DataType> {
        match &self.result {
            Ok(result) => Ok(result.clone()),
            Err(message) => plan_err!("{message}"),
        }
    }

    fn accumulator(
        &self,
        _: AccumulatorArgs<'_>,
    ) -> datafusion_common::Result<Box<dyn Accumulator>> {
        not_impl_err!("{} is computed elsewhere", self.name)
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> datafusion_common::Result<Vec<FieldRef>> {
        not_impl_err!("{} is computed elsewhere", self.name)
    }
}
