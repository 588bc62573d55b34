//! What the optimiser may ask for while it rewrites a plan.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion_common::DataFusionError;
use datafusion_common::alias::AliasGenerator;
use datafusion_common::config::ConfigOptions;
use datafusion_expr::registry::{FunctionRegistry, MemoryFunctionRegistry};
use datafusion_functions_aggregate::first_last::first_value_udaf;
use datafusion_optimizer::{OptimizerConfig, OptimizerContext};

/// The optimiser's options, and the functions that it puts into plans.
pub(super) struct Context {
    inner: OptimizerContext,
    functions: MemoryFunctionRegistry,
}

impl Context {
    pub(super) fn new(options: ConfigOptions) -> Result<Self, DataFusionError> {
        let mut functions = MemoryFunctionRegistry::new();
        // DISTINCT ON becomes a group's first values
        functions.register_udaf(first_value_udaf())?;
        Ok(Context {
            inner: OptimizerContext::new_with_config_options(Arc::new(options)),
            functions,
        })
    }
}

impl OptimizerConfig for Context {
    fn query_execution_start_time(&self) -> Option<DateTime<Utc>> {
        self.inner.query_execution_start_time()
    }

    fn alias_generator(&self) -> &Arc<AliasGenerator> {
        self.inner.alias_generator()
    }

    fn options(&self) -> Arc<ConfigOptions> {
        self.inner.options()
    }

    fn function_registry(&self) -> Option<&dyn FunctionRegistry> {
        Some(&self.functions)
    }
}
