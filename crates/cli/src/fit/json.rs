//! A fit as JSON: every number in base units.

use llmplan_analysis::scaling::Parametric;
use llmplan_analysis::scaling::fit::{HeldOut, Range, Rule};
use llmplan_analysis::scaling::isoflop::{Approach, Budget, Flaw, Power};
use serde_json::{Map, Value, json};

use super::Fitted;
use crate::args::FitArgs;

/// The fit as one JSON object.
///
/// # Errors
/// What keeps it from being written.
pub(crate) fn json(
    fitted: &Fitted,
    name: &str,
    file: &str,
    args: &FitArgs,
) -> Result<String, serde_json::Error> {
    let law = &fitted.fit.law;
    let columns: Map<String, Value> =
        fitted.read.columns.iter().map(|(role, name)| (role.word().to_owned(), json!(name))).collect();
    let ranges = &fitted.ranges;
    let doubts: Vec<Value> = fitted
        .doubts
        .iter()
        .map(|doubt| json!({ "name": doubt.name, "message": doubt.message, "help": doubt.help }))
        .collect();
    let report = json!({
        "schema_version": 1,
        "file": file,
        "name": name,
        "columns": columns,
        "rows": fitted.read.rows,
        "runs": fitted.runs.len(),
        "dropped": fitted.dropped,
        "rule": rule(fitted.rule),
        "tokens_from_flops": fitted.read.derived,
        "params": args.params.word(),
        "tokenizer": args.tokenizer,
        "bytes_per_token": args.bytes_per_token,
        "law": { "e": law.e, "a": law.a, "b": law.b, "alpha": law.alpha, "beta": law.beta, "exponent": law.exponent() },
        "objective": fitted.fit.objective,
        "delta": args.delta,
        "converged": fitted.fit.converged,
        "ranges": {
            "params": range(ranges.params),
            "tokens": range(ranges.tokens),
            "flops": range(ranges.flops),
            "tokens_per_param": range(ranges.tokens_per_param),
            "loss": range(ranges.loss),
        },
        "bootstrap": {
            "resamples": args.bootstrap,
            "failed": fitted.bootstrap.failed,
            "seed": args.seed,
            "e": interval(fitted, |law| law.e),
            "a": interval(fitted, |law| law.a),
            "b": interval(fitted, |law| law.b),
            "alpha": interval(fitted, |law| law.alpha),
            "beta": interval(fitted, |law| law.beta),
            "exponent": interval(fitted, Parametric::exponent),
            "covariance": fitted.bootstrap.covariance(),
        },
        "at": fitted.at.iter().map(|flops| at(fitted, *flops)).collect::<Vec<Value>>(),
        "held_out": fitted.held_out.as_ref().map(held_out),
        "folds": fitted.folds.as_ref().map(held_out),
        "parabolas": fitted.approach.as_ref().map(approach),
        "doubts": doubts,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&report)?))
}

fn at(fitted: &Fitted, flops: f64) -> Value {
    let optimum = fitted.fit.law.optimum(flops);
    json!({
        "flops": flops,
        "params": optimum.params,
        "tokens": optimum.tokens,
        "tokens_per_param": optimum.tokens / optimum.params,
        "loss": optimum.loss,
        "extrapolated": fitted.ranges.flops.beyond(flops),
        "intervals": {
            "params": interval(fitted, |law| law.optimum(flops).params),
            "tokens": interval(fitted, |law| law.optimum(flops).tokens),
            "tokens_per_param": interval(fitted, |law| ratio(law, flops)),
            "loss": interval(fitted, |law| law.optimum(flops).loss),
        },
    })
}

fn ratio(law: &Parametric, flops: f64) -> f64 {
    let optimum = law.optimum(flops);
    optimum.tokens / optimum.params
}

fn interval(fitted: &Fitted, of: impl Fn(&Parametric) -> f64) -> Value {
    fitted.bootstrap.interval(of).map_or(
        Value::Null,
        |own| json!({ "low": own.low, "median": own.median, "high": own.high, "deviation": own.deviation }),
    )
}

fn rule(rule: Rule) -> Value {
    match rule {
        Rule::All => Value::Null,
        Rule::Highest(count) => json!({ "drop_highest": count }),
        Rule::TokensPerParam(least) => json!({ "min_tokens_per_param": least }),
    }
}

fn range(range: Range) -> Value {
    json!({ "low": range.low, "high": range.high })
}

fn held_out(own: &HeldOut) -> Value {
    let predictions: Vec<Value> = own
        .predictions
        .iter()
        .map(|own| {
            json!({
                "params": own.run.params,
                "tokens": own.run.tokens,
                "loss": own.run.loss,
                "predicted": own.predicted,
            })
        })
        .collect();
    json!({
        "fitted": own.fitted,
        "mean_error": own.mean_error(),
        "bias": own.bias(),
        "predictions": predictions,
    })
}

fn approach(own: &Approach) -> Value {
    json!({
        "params": own.params.map(power),
        "tokens": own.tokens.map(power),
        "budgets": own.budgets.iter().map(budget).collect::<Vec<Value>>(),
    })
}

fn power(own: Power) -> Value {
    json!({ "coefficient": own.coefficient, "exponent": own.exponent })
}

fn budget(own: &Budget) -> Value {
    let (lowest, flaw) = match own.lowest {
        Ok(lowest) => {
            (json!({ "params": lowest.params, "tokens": lowest.tokens, "loss": lowest.loss }), Value::Null)
        }
        Err(Flaw::TooFew(_)) => (Value::Null, json!("too_few")),
        Err(Flaw::Concave) => (Value::Null, json!("concave")),
        Err(Flaw::Outside { .. }) => (Value::Null, json!("outside")),
    };
    json!({ "flops": own.flops, "runs": own.runs, "lowest": lowest, "flaw": flaw })
}
