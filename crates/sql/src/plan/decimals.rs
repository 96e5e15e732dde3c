//! CAST of a text to a decimal, faster for the texts that nearly all texts are: `-12.3456`.
//!
//! Arrow's cast splits every text into a list and goes through 256-bit numbers, which took an eighth of the whole
//! transform of a record with two coordinates. Whatever is not plain (more digits than the column takes behind the point, an
//! exponent, blanks, no number at all) sends the batch through that cast, so that nothing but the time differs.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Decimal128Array},
    datatypes::DataType,
};
use datafusion::{
    common::{Result, tree_node::Transformed},
    config::ConfigOptions,
    logical_expr::{
        Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
    optimizer::AnalyzerRule,
};

use super::rewrite;
use crate::decode::plain_decimal;

/// The rule that puts the function in place of the cast.
#[derive(Debug)]
pub(super) struct PlainDecimals;

impl AnalyzerRule for PlainDecimals {
    fn name(&self) -> &str {
        "plain_decimals"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite::expressions(plan, |part, schema| match part {
            Expr::Cast(Cast { expr, field })
                if matches!(field.data_type(), DataType::Decimal128(_, 0..))
                    && expr.get_type(schema)? == DataType::Utf8 =>
            {
                let function = ScalarUDF::from(TextToDecimal::new(field.data_type().clone()));
                Ok(Transformed::yes(function.call(vec![*expr])))
            }
            other => Ok(Transformed::no(other)),
        })
    }
}

/// The cast to one type, as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextToDecimal {
    to: DataType,
    signature: Signature,
}

impl TextToDecimal {
    fn new(to: DataType) -> Self {
        Self {
            to,
            signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
        }
    }

    /// `None` = some text is not plain.
    fn of_plain(&self, texts: &dyn Array) -> Option<ArrayRef> {
        let DataType::Decimal128(precision, scale) = self.to else {
            return None;
        };
        let texts = texts.as_string_opt::<i32>()?;
        let values: Option<Vec<i128>> = (0..texts.len())
            .map(|row| match texts.is_null(row) {
                true => Some(0),
                false => plain_decimal(texts.value(row).as_bytes(), precision, scale.unsigned_abs()),
            })
            .collect();
        let array = Decimal128Array::try_new(values?.into(), texts.nulls().cloned()).ok()?;
        Some(Arc::new(array.with_data_type(self.to.clone())))
    }
}

impl ScalarUDFImpl for TextToDecimal {
    fn name(&self) -> &str {
        "text_to_decimal"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Array(texts) => match self.of_plain(texts) {
                Some(decimals) => Ok(ColumnarValue::Array(decimals)),
                None => args.args[0].cast_to(&self.to, None),
            },
            scalar => scalar.cast_to(&self.to, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::StringArray,
        compute::{CastOptions, cast_with_options},
    };

    use super::*;

    #[test]
    fn a_plain_text_becomes_what_arrows_cast_makes_of_it_and_others_are_left_to_it() {
        let texts = [
            "0",
            "-0",
            "00",
            "7",
            "-7",
            "007",
            "12.5",
            "-12.5",
            "12.50",
            "0.000001",
            "-0.000001",
            "123.456789",
            "-123.456789",
            "999.999999",
            "1000",
            "1000.5",
            "-1000.000000",
            "1.0000001",
            "1.9999999",
            "",
            "-",
            ".",
            "1.",
            ".5",
            "-.5",
            "+1",
            " 1",
            "1 ",
            "1e2",
            "1.2.3",
            "--1",
            "1.-2",
            "x",
            "1x",
            "é",
            "99999999999999999999",
            "123456789012345678",
            "0.1234567890123456789",
        ];
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        for (precision, scale) in [(9, 6), (5, 0), (18, 18), (18, 0), (38, 18), (38, 0), (20, 4), (3, 3)] {
            let to = DataType::Decimal128(precision, scale);
            let ours = TextToDecimal::new(to.clone());
            let mut num_plain = 0;
            for text in texts {
                let array = StringArray::from(vec![Some(text), None]);
                let Some(found) = ours.of_plain(&array) else { continue };
                num_plain += 1;
                let expected = cast_with_options(&array, &to, &strict).unwrap();
                assert_eq!(&found, &expected, "{text} as {to}");
            }
            assert!(num_plain >= 2 || scale == precision as i8, "{to}: {num_plain}");
        }
        let coordinates = StringArray::from(vec!["-69.8246", "134.8719", "0.5"]);
        assert!(
            TextToDecimal::new(DataType::Decimal128(9, 6))
                .of_plain(&coordinates)
                .is_some()
        );
    }
}
