//! Losses, logits and gradients of two models against those that another framework computed in f64.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};
use llmplan_analysis::graph::lower;
use llmplan_exec::{Batch, Gradients, Model, Pass};
use llmplan_tests::resolved;

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference over the largest value; of what is nothing but rounding, as it stands.
fn apart(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    let most =
        |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |most: f64, value| most.max(value.abs()));
    let difference = most(&mut one.iter().zip(other).map(|(one, other)| one - other));
    let whole = most(&mut other.iter().copied());
    if whole < 1e-12 { difference } else { difference / whole }
}

/// A model of the folder, held to its tensors within a tolerance.
fn hold(name: &str, dtype: DType, plain: bool, tolerance: f64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gradients");
    let text = std::fs::read_to_string(folder.join(format!("{name}.llm"))).unwrap();
    let (_, resolution) = resolved(&text);
    let plan = resolution.plans.first().expect("a plan");
    let expected = safetensors::load(folder.join(format!("{name}.safetensors")), &Device::Cpu).unwrap();
    let model = Model::new(&lower(&plan.model), &Device::Cpu, dtype).unwrap();
    for own in model.parameters() {
        let start = values(&expected[&format!("check.{}", own.name)]);
        assert!(apart(&values(&own.tensor)[..4], &start) < tolerance.max(1e-7), "weights of {}", own.name);
    }
    let ids = values(&expected["tokens"]).iter().map(|id| *id as u32).collect();
    let tokens = expected["tokens"].dim(1).unwrap();
    let batch = Batch { tokens, ids, documents: None };
    let pass = Pass::new(&model, &batch, &[], plain).unwrap();
    let tape = pass.forward().unwrap();
    let held = |what: &str, found: &Tensor, expected: &Tensor| {
        let apart = apart(&values(found), &values(expected));
        assert!(apart < tolerance, "{what}: {apart}");
    };
    held("loss", &tape.losses()[0], &expected["loss"]);
    held("logits", &tape.logits(&pass).unwrap()[0], &expected["logits"]);
    let mut gradients = Gradients::new(model.parameters().len(), dtype);
    pass.backward(tape, 1.0, &mut gradients).unwrap();
    for (own, found) in model.parameters().iter().zip(gradients.all()) {
        held(&own.name, found.as_ref().expect("a gradient"), &expected[&own.name]);
    }
}

#[test]
fn a_gpt2_is_what_it_is_elsewhere() {
    hold("gpt2", DType::F64, true, 1e-9);
    hold("gpt2", DType::F32, true, 2e-5);
    hold("gpt2", DType::F32, false, 2e-5);
}

#[test]
fn a_llama_is_what_it_is_elsewhere() {
    hold("llama", DType::F64, true, 1e-9);
    hold("llama", DType::F32, true, 2e-5);
    hold("llama", DType::F32, false, 2e-5);
}
