//! Integer arithmetic that fails instead of wrapping around.
//!
//! DataFusion's `+`, `-`, `*` and unary minus on integers wrap in silence. Its physical `BinaryExpr` can be told to fail,
//! but the optimizer has by then folded `9223372036854775807 + 1` into a constant with the wrapping form, and unary minus
//! has no such switch. So the operators are replaced right after the types are settled, by functions that use Arrow's
//! checked kernels everywhere. (Decimals, dates and `/` are checked already; floats have infinities.)

use std::sync::{Arc, LazyLock};

use arrow::{
    array::ArrayRef,
    compute::kernels::numeric,
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{Result, ScalarValue, tree_node::Transformed},
    config::ConfigOptions,
    error::DataFusionError,
    logical_expr::{
        BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
        ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
    optimizer::AnalyzerRule,
};

use super::rewrite;

/// The rule that puts the functions in place of the operators.
#[derive(Debug)]
pub(super) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite::expressions(plan, |part, schema| match operation(&part) {
            Some(operation) if part.get_type(schema)?.is_integer() => Ok(operation.replace(part)),
            _ => Ok(Transformed::no(part)),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Negate,
}

fn operation(expr: &Expr) -> Option<Operation> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::Plus, .. }) => Some(Operation::Add),
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::Minus, ..
        }) => Some(Operation::Subtract),
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::Multiply, ..
        }) => Some(Operation::Multiply),
        Expr::Negative(_) => Some(Operation::Negate),
        _ => None,
    }
}

impl Operation {
    fn replace(self, expr: Expr) -> Transformed<Expr> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, right, .. }) => {
                Transformed::yes(self.function().call(vec![*left, *right]))
            }
            Expr::Negative(inner) => Transformed::yes(self.function().call(vec![*inner])),
            other => Transformed::no(other),
        }
    }

    fn function(self) -> &'static Arc<ScalarUDF> {
        static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 4]> = LazyLock::new(|| {
            [
                Operation::Add,
                Operation::Subtract,
                Operation::Multiply,
                Operation::Negate,
            ]
            .map(|operation| {
                let arguments = if operation == Operation::Negate { 1 } else { 2 };
                let signature = Signature::any(arguments, Volatility::Immutable);
                Arc::new(ScalarUDF::from(Checked { operation, signature }))
            })
        });
        &FUNCTIONS[self as usize]
    }
}

/// One operation as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operation: Operation,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Add => "checked_add",
            Operation::Subtract => "checked_subtract",
            Operation::Multiply => "checked_multiply",
            Operation::Negate => "checked_negate",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        // The types are settled before: both sides are of one.
        types
            .first()
            .cloned()
            .ok_or_else(|| DataFusionError::Internal(format!("{} without arguments", self.name())))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let result: ArrayRef = match (self.operation, arrays.as_slice()) {
            (Operation::Add, [left, right]) => numeric::add(left, right)?,
            (Operation::Subtract, [left, right]) => numeric::sub(left, right)?,
            (Operation::Multiply, [left, right]) => numeric::mul(left, right)?,
            (Operation::Negate, [value]) => numeric::neg(value)?,
            _ => {
                return Err(DataFusionError::Internal(format!(
                    "{} with {} arguments",
                    self.name(),
                    arrays.len()
                )));
            }
        };
        Ok(if scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}
