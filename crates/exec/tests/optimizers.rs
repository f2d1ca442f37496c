//! Optimizers are what their papers say, to the step and to the byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use candle_core::{DType, Device, Tensor};
use llmplan_analysis::folds::optimizer_blocks;
use llmplan_analysis::graph::lower;
use llmplan_exec::optimizer::{Home, Kind, Moved, Optimizer, Outcome, Rule, StateBytes, accumulate};

mod models;

const KINDS: [Kind; 5] = [Kind::Sgd, Kind::Momentum, Kind::Adam, Kind::Adamw, Kind::Adam8bit];

/// Pseudo-random values in -1..1, by SplitMix64 (Steele 2014).
fn noise(seed: u64, length: usize) -> Vec<f32> {
    let value = |index: u64| {
        let mixed = (seed << 32 | index).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    };
    (0..length as u64).map(value).collect()
}

fn tensor(seed: u64, length: usize, dtype: DType) -> Tensor {
    Tensor::from_vec(noise(seed, length), length, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// One weight as the rules of Kingma 2015, Loshchilov 2019 and PyTorch's documentation have it, in f64.
struct Scalar {
    weight: f64,
    first: f64,
    second: f64,
}

impl Scalar {
    fn step(&mut self, rule: &Rule, gradient: f64, step: i32) {
        let mut gradient = gradient;
        match rule.kind {
            Kind::Adamw | Kind::Adam8bit => {
                self.weight -= rule.learning_rate * rule.weight_decay * self.weight
            }
            _ => gradient += rule.weight_decay * self.weight,
        }
        match rule.kind {
            Kind::Sgd => self.weight -= rule.learning_rate * gradient,
            Kind::Momentum => {
                self.first = rule.momentum * self.first + gradient;
                self.weight -= rule.learning_rate * self.first;
            }
            _ => {
                let (one, two) = rule.betas;
                self.first = one * self.first + (1.0 - one) * gradient;
                self.second = two * self.second + (1.0 - two) * gradient * gradient;
                let first = self.first / (1.0 - one.powi(step));
                let second = self.second / (1.0 - two.powi(step));
                self.weight -= rule.learning_rate * first / (second.sqrt() + rule.epsilon);
            }
        }
    }
}

/// Twenty steps of every rule, with a divisor and with decay, against scalars in f64. Eight bits keep a single value per
/// block exactly, so that the 8-bit rule is held to Adam's as well.
#[test]
fn every_rule_is_the_one_in_its_paper() {
    for kind in KINDS {
        let rule = Rule { learning_rate: 0.01, weight_decay: 0.1, ..Rule::of(kind, 1) };
        let weights = [tensor(1, 100, DType::F32)];
        let start = values(&weights[0]);
        let mut scalars: Vec<_> = start
            .iter()
            .map(|weight| Scalar { weight: f64::from(*weight), first: 0.0, second: 0.0 })
            .collect();
        let mut optimizer = Optimizer::new(rule.clone(), &weights, &[1], Home::Device).unwrap();
        for step in 1..=20 {
            let gradient = tensor(step + 1, 100, DType::F32);
            for (scalar, gradient) in scalars.iter_mut().zip(values(&gradient)) {
                scalar.step(&rule, f64::from(gradient) / 8.0, step as i32);
            }
            let outcome = optimizer.step(&weights, &[Some(gradient)], 8.0).unwrap();
            assert_eq!(outcome, Outcome::Updated);
        }
        for (scalar, (weight, start)) in scalars.iter().zip(values(&weights[0]).iter().zip(&start)) {
            assert!(
                (scalar.weight - f64::from(*weight)).abs() < 2e-6,
                "{kind:?}: {} {weight}",
                scalar.weight
            );
            assert_ne!(weight, start);
        }
    }
}

/// Without a gradient's pull AdamW and 8 bits shrink weights by 1 − η·λ in a step, exactly as far as each is large; in Adam
/// the decay goes through the moments and every weight moves by η.
#[test]
fn weight_decay_is_decoupled_where_the_paper_decouples_it() {
    for (kind, decoupled) in [(Kind::Adamw, true), (Kind::Adam8bit, true), (Kind::Adam, false)] {
        let rule = Rule { learning_rate: 0.01, weight_decay: 0.5, ..Rule::of(kind, 16) };
        let weights = [tensor(3, 64, DType::F32)];
        let before = values(&weights[0]);
        let mut optimizer = Optimizer::new(rule, &weights, &[1], Home::Device).unwrap();
        let gradient = Tensor::zeros(64, DType::F32, &Device::Cpu).unwrap();
        optimizer.step(&weights, &[Some(gradient)], 1.0).unwrap();
        for (before, after) in before.iter().zip(values(&weights[0])) {
            let expected = if decoupled { before * 0.995 } else { before - 0.01 * before.signum() };
            assert!((after - expected).abs() < 1e-6, "{kind:?}: {before} became {after}");
        }
    }
}

fn held(kind: Kind, block: usize, dtype: DType, shapes: &[(usize, usize)], home: Home) -> StateBytes {
    let weights: Vec<_> =
        shapes.iter().map(|shape| Tensor::zeros(*shape, dtype, &Device::Cpu).unwrap()).collect();
    let copies: Vec<_> = shapes.iter().map(|shape| shape.0).collect();
    Optimizer::new(Rule::of(kind, block), &weights, &copies, home).unwrap().bytes()
}

/// The bytes per parameter that the analysis gives: nothing, 4 or 8 in fp32, and 4 more for the master of 16-bit weights;
/// with weights and gradients 16N, 18N where gradients are fp32, and 10N in 8 bits.
#[test]
fn states_have_the_bytes_of_the_recipe() {
    let shapes = [(1, 1000), (3, 77), (1, 1)];
    let n: u64 = 1000 + 231 + 1;
    for (kind, first, second) in
        [(Kind::Sgd, 0, 0), (Kind::Momentum, 4, 0), (Kind::Adam, 4, 4), (Kind::Adamw, 4, 4)]
    {
        for (dtype, master) in [(DType::F32, 0), (DType::BF16, 4), (DType::F16, 4)] {
            let bytes = held(kind, 256, dtype, &shapes, Home::Device);
            let expected = StateBytes {
                master: master * n,
                first_moment: first * n,
                second_moment: second * n,
                scales: 0,
            };
            assert_eq!(bytes, expected, "{kind:?} {dtype:?}");
        }
    }
    assert_eq!(2 * n + 2 * n + held(Kind::Adamw, 256, DType::BF16, &shapes, Home::Device).total(), 16 * n);
    assert_eq!(2 * n + 4 * n + held(Kind::Adamw, 256, DType::BF16, &shapes, Home::Device).total(), 18 * n);
    // Blocks of 32: 32 of the first tensor, three times three of the second, and one.
    let coded = held(Kind::Adam8bit, 32, DType::BF16, &shapes, Home::Device);
    assert_eq!(2 * n + 2 * n + coded.total(), 10 * n + 8 * (32 + 9 + 1));
    assert_eq!(coded.scales, 8 * (32 + 9 + 1));
}

/// The blocks of a whole model's tensors are those that the analysis counts, experts and all.
#[test]
fn blocks_are_those_of_the_analysis() {
    let mut several = 0;
    for model in models::models() {
        let graph = lower(&model);
        for block in [7, 64] {
            let mut shapes = Vec::new();
            for part in &graph.blocks {
                let tensors = part.operators.iter().flat_map(|operator| &operator.weights);
                for tensor in tensors.filter(|tensor| tensor.trained) {
                    let shape = (tensor.copies as usize, tensor.each() as usize);
                    several += usize::from(shape.0 > 1);
                    (0..part.count).for_each(|_| shapes.push(shape));
                }
            }
            let bytes = held(Kind::Adam8bit, block, DType::F32, &shapes, Home::Device);
            let blocks = optimizer_blocks(&graph, block as u64).unwrap();
            assert_eq!(u128::from(bytes.scales), 8 * blocks, "{model:?}");
        }
    }
    assert!(several > 100, "{several}");
}

/// An infinity or NaN anywhere, in any format, and nothing changes; the next good step is the first.
#[test]
fn an_overflow_changes_nothing() {
    for (dtype, bad) in [
        (DType::F32, f32::NAN),
        (DType::F32, f32::NEG_INFINITY),
        (DType::F16, 70_000.0),
        (DType::BF16, f32::INFINITY),
        (DType::F64, f32::NAN),
    ] {
        let weights = [tensor(5, 40, DType::BF16), tensor(6, 70_001, DType::BF16)];
        let twin = weights.each_ref().map(|weights| weights.copy().unwrap());
        let mut optimizer = Optimizer::new(Rule::of(Kind::Adam, 1), &weights, &[1, 1], Home::Device).unwrap();
        let mut other = Optimizer::new(Rule::of(Kind::Adam, 1), &twin, &[1, 1], Home::Device).unwrap();
        let good = [tensor(7, 40, dtype), tensor(8, 70_001, dtype)];
        let mut last = noise(8, 70_001);
        last[70_000] = bad;
        let last = Tensor::from_vec(last, 70_001, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let outcome = optimizer.step(&weights, &[Some(good[0].clone()), Some(last)], 1.0).unwrap();
        assert_eq!(outcome, Outcome::Skipped, "{dtype:?} {bad}");
        let good = good.map(Some);
        for (optimizer, weights) in [(&mut optimizer, &weights), (&mut other, &twin)] {
            assert_eq!(optimizer.step(weights, &good, 1.0).unwrap(), Outcome::Updated);
        }
        for (weights, twin) in weights.iter().zip(&twin) {
            assert_eq!(values(weights), values(twin));
        }
    }
}

/// The sum over four micro-batches, divided by four, is the batch's gradient; a sum shares nothing with what it sums.
#[test]
fn four_micro_batches_are_one_batch() {
    // Whole numbers below 256 are exact in every format.
    let part = |seed| {
        let values: Vec<_> = noise(seed, 9000).iter().map(|value| (value * 60.0).round()).collect();
        Tensor::from_vec(values, 9000, &Device::Cpu).unwrap()
    };
    let parts: Vec<_> = (0..4).map(part).collect();
    let whole = parts[1..].iter().fold(parts[0].clone(), |sum, part| (sum + part).unwrap());
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        for incoming in [DType::F32, DType::BF16, DType::F64] {
            let mut sum = None;
            for part in &parts {
                let part = part.to_dtype(incoming).unwrap();
                let before = values(&part);
                accumulate(&mut sum, &part, dtype).unwrap();
                accumulate(&mut sum, &part.zeros_like().unwrap(), dtype).unwrap();
                assert_eq!(values(&part), before);
            }
            let sum = sum.unwrap();
            assert_eq!(sum.dtype(), dtype);
            assert_eq!(values(&sum), values(&whole), "{dtype:?} of {incoming:?}");
            let step = |gradient: &Tensor, divisor| {
                let weights = [tensor(9, 9000, DType::F32)];
                let mut optimizer =
                    Optimizer::new(Rule::of(Kind::Adamw, 1), &weights, &[1], Home::Device).unwrap();
                optimizer.step(&weights, &[Some(gradient.clone())], divisor).unwrap();
                values(&weights[0])
            };
            assert_eq!(step(&sum, 4.0), step(&(&whole / 4.0).unwrap(), 1.0));
        }
    }
    let mut sum = None;
    accumulate(&mut sum, &parts[0], DType::F32).unwrap();
    assert!(accumulate(&mut sum, &tensor(1, 8999, DType::F32), DType::F32).is_err());
}

/// A gradient with gaps is read as what it means, and the sum of one owns its values only.
#[test]
fn views_are_read_as_they_mean() {
    let wide = Tensor::from_vec(noise(4, 60), (6, 10), &Device::Cpu).unwrap();
    let view = wide.t().unwrap().narrow(0, 2, 3).unwrap();
    let mut sum = None;
    accumulate(&mut sum, &view, DType::F32).unwrap();
    accumulate(&mut sum, &view, DType::F32).unwrap();
    let sum = sum.unwrap();
    assert_eq!(values(&sum), values(&(&view * 2.0).unwrap()));
    let (storage, layout) = sum.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else { panic!("not on the CPU") };
    assert_eq!((storage.as_slice::<f32>().unwrap().len(), layout.start_offset()), (18, 0));
    let step = |gradient: &Tensor| {
        let weights = [tensor(9, 18, DType::F32).reshape((3, 6)).unwrap()];
        let mut optimizer = Optimizer::new(Rule::of(Kind::Sgd, 1), &weights, &[1], Home::Device).unwrap();
        optimizer.step(&weights, &[Some(gradient.clone())], 1.0).unwrap();
        values(&weights[0])
    };
    assert_eq!(step(&view), step(&view.force_contiguous().unwrap()));
}

/// A master keeps what 16 bits would lose: a thousand steps too small for bf16 add up.
#[test]
fn a_master_sums_steps_that_sixteen_bits_would_lose() {
    let weights = [Tensor::ones(8, DType::BF16, &Device::Cpu).unwrap()];
    let rule = Rule { learning_rate: 1e-4, ..Rule::of(Kind::Sgd, 1) };
    let mut optimizer = Optimizer::new(rule, &weights, &[1], Home::Device).unwrap();
    let gradient = Tensor::ones(8, DType::BF16, &Device::Cpu).unwrap();
    for step in 1..=1000 {
        optimizer.step(&weights, &[Some(gradient.clone())], 1.0).unwrap();
        if step == 10 {
            assert_eq!(values(&weights[0]), [1.0; 8]);
        }
    }
    assert!(values(&weights[0]).iter().all(|weight| (weight - 0.9).abs() < 0.004));
}

/// New weights lie where the old ones lay; a tensor without a gradient stays.
#[test]
fn weights_are_updated_where_they_lie() {
    for dtype in [DType::F32, DType::BF16] {
        let weights = [tensor(1, 50, dtype), tensor(2, 50, dtype)];
        let (handle, before) = (weights[0].clone(), weights.each_ref().map(values));
        let mut optimizer =
            Optimizer::new(Rule::of(Kind::Adam8bit, 16), &weights, &[1, 1], Home::Device).unwrap();
        optimizer.step(&weights, &[Some(tensor(3, 50, dtype)), None], 1.0).unwrap();
        assert_ne!(values(&handle), before[0]);
        assert_eq!(values(&handle), values(&weights[0]));
        assert_eq!(values(&weights[1]), before[1]);
    }
}

/// In the host's memory the states are as large, with a copy of weights that are fp32; gradients go and weights come back
/// every step; and the weights are the same.
#[test]
fn offloading_moves_bytes_and_changes_no_digit() {
    let n = 77_u64;
    for (dtype, size) in [(DType::F32, 4), (DType::BF16, 2)] {
        let run = |home| {
            let weights = [tensor(1, 77, dtype)];
            let mut optimizer = Optimizer::new(Rule::of(Kind::Adamw, 1), &weights, &[7], home).unwrap();
            for step in 0..3 {
                optimizer.step(&weights, &[Some(tensor(step + 2, 77, dtype))], 1.0).unwrap();
            }
            (values(&weights[0]), optimizer.moved(), optimizer.bytes().total())
        };
        let (device, host) = (run(Home::Device), run(Home::Host));
        assert_eq!(device.0, host.0);
        assert_eq!(device.1, Moved::default());
        assert_eq!(host.1, Moved { gradients: 3 * size * n, weights: 3 * size * n });
        assert_eq!((device.2, host.2), (if dtype == DType::F32 { 8 * n } else { 12 * n }, 12 * n));
    }
}

/// What cannot be meant is refused, and nothing hangs.
#[test]
fn what_does_not_fit_is_refused() {
    let weights = [tensor(1, 12, DType::F32)];
    let new = |block, copies: &[usize], weights: &[Tensor]| {
        Optimizer::new(Rule::of(Kind::Adam8bit, block), weights, copies, Home::Device)
    };
    assert!(new(0, &[1], &weights).is_err());
    assert!(new(4, &[5], &weights).is_err());
    assert!(new(4, &[0], &weights).is_err());
    assert!(new(4, &[1, 1], &weights).is_err());
    assert!(new(4, &[1], &[tensor(1, 12, DType::F64)]).is_err());
    assert!(new(4, &[1], &[weights[0].reshape((3, 4)).unwrap().t().unwrap()]).is_err());
    let mut optimizer = new(4, &[1], &weights).unwrap();
    let good = || Some(tensor(2, 12, DType::F32));
    for divisor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(optimizer.step(&weights, &[good()], divisor).is_err());
    }
    assert!(optimizer.step(&weights, &[], 1.0).is_err());
    assert!(optimizer.step(&weights, &[Some(tensor(2, 11, DType::F32))], 1.0).is_err());
    assert!(optimizer.step(&[tensor(1, 12, DType::BF16)], &[good()], 1.0).is_err());
    assert!(optimizer.step(&weights, &[Some(weights[0].clone())], 1.0).is_err());
    assert_eq!(optimizer.step(&weights, &[good()], 1.0).unwrap(), Outcome::Updated);
}
