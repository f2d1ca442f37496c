//! Adam in 8 bits trains as Adam does, and not because the task is easy: without blocks it does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use candle_core::{D, DType, Device, Result, Tensor, Var};
use llmplan_exec::optimizer::{Home, Kind, Optimizer, Rule};

const VOCAB: usize = 64;
const WIDTH: usize = 16;
const HIDDEN: usize = 64;
const CONTEXT: usize = 3;
const BATCH: usize = 64;
const STEPS: usize = 1000;

/// Pseudo-random numbers, by SplitMix64 (Steele 2014).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In -1..1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }

    /// A token; small ones are frequent, as in a text (Zipf).
    fn token(&mut self) -> usize {
        let unit = f64::from(self.unit().abs());
        ((VOCAB as f64).powf(unit) as usize).min(VOCAB) - 1
    }
}

/// The next token of three: a function that a linear model cannot learn, and a tenth is noise.
fn next(context: &[usize], noise: &mut Noise) -> usize {
    let sum = context[0] + context[1];
    if noise.next().is_multiple_of(10) { noise.token() } else { sum * sum % 16 }
}

/// Contexts `[BATCH, CONTEXT]` and what follows each.
fn batch(noise: &mut Noise) -> (Tensor, Tensor) {
    let (mut contexts, mut targets) = (Vec::new(), Vec::new());
    for _ in 0..BATCH {
        let context: Vec<_> = (0..CONTEXT).map(|_| noise.token()).collect();
        targets.push(next(&context, noise) as u32);
        contexts.extend(context.into_iter().map(|token| token as u32));
    }
    let tensor = |values, shape: &[usize]| Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    (tensor(contexts, &[BATCH * CONTEXT]), tensor(targets, &[BATCH, 1]))
}

/// A small language model: embeddings of three tokens, a hidden layer, logits (Bengio 2003).
fn weights() -> Vec<Var> {
    let mut noise = Noise(7);
    let mut of = |rows: usize, columns: usize, spread: f32| {
        let values: Vec<_> = (0..rows * columns).map(|_| noise.unit() * spread).collect();
        Var::from_tensor(&Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()).unwrap()
    };
    let inner = (3.0 / (CONTEXT * WIDTH) as f32).sqrt();
    vec![
        of(VOCAB, WIDTH, 1.0),
        of(CONTEXT * WIDTH, HIDDEN, inner),
        of(1, HIDDEN, 0.0),
        of(HIDDEN, VOCAB, (3.0 / HIDDEN as f32).sqrt()),
        of(1, VOCAB, 0.0),
    ]
}

fn loss(weights: &[Var], contexts: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let embedded = weights[0].embedding(contexts)?.reshape((BATCH, CONTEXT * WIDTH))?;
    let hidden = embedded.matmul(&weights[1])?.broadcast_add(&weights[2])?.tanh()?;
    let logits = hidden.matmul(&weights[3])?.broadcast_add(&weights[4])?;
    let normal = logits.exp()?.sum_keepdim(D::Minus1)?.log()?;
    (normal - logits.gather(targets, 1)?)?.mean_all()
}

/// The mean loss of the last fifty of all steps, each on a batch of its own; NaN as soon as one is.
fn train(seed: u64, mut update: impl FnMut(&[Tensor], &[Option<Tensor>])) -> f64 {
    let weights = weights();
    let mut noise = Noise(seed);
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let (contexts, targets) = batch(&mut noise);
        let loss = loss(&weights, &contexts, &targets).unwrap();
        losses.push(f64::from(loss.to_scalar::<f32>().unwrap()));
        if losses.last().is_some_and(|loss| loss.is_nan()) {
            return f64::NAN;
        }
        let gradients = loss.backward().unwrap();
        let gradients: Vec<_> = weights.iter().map(|weights| gradients.get(weights).cloned()).collect();
        let tensors: Vec<_> = weights.iter().map(|weights| weights.as_tensor().clone()).collect();
        update(&tensors, &gradients);
    }
    losses[STEPS - 50..].iter().sum::<f64>() / 50.0
}

fn ours(seed: u64, kind: Kind, block: usize) -> f64 {
    let rule = Rule { learning_rate: 3e-3, weight_decay: 0.0, ..Rule::of(kind, block) };
    let mut optimizer: Option<Optimizer> = None;
    train(seed, |weights, gradients| {
        let optimizer = optimizer.get_or_insert_with(|| {
            Optimizer::new(rule.clone(), weights, &vec![1; weights.len()], Home::Device).unwrap()
        });
        optimizer.step(weights, gradients, 1.0).unwrap();
    })
}

/// Adam with both moments rounded to 127ths of the largest magnitude in a whole tensor, after every step.
fn naive(seed: u64) -> f64 {
    let mut moments: Vec<(Vec<f32>, Vec<f32>)> = Vec::new();
    let mut step = 0;
    train(seed, |weights, gradients| {
        step += 1;
        moments.resize(weights.len(), (Vec::new(), Vec::new()));
        for ((weights, gradient), (first, second)) in weights.iter().zip(gradients).zip(&mut moments) {
            let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let (mut values, gradient) = (flat(weights), flat(gradient.as_ref().unwrap()));
            first.resize(values.len(), 0.0);
            second.resize(values.len(), 0.0);
            let moved = first.iter_mut().zip(second.iter_mut());
            for ((weight, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moved) {
                *first = 0.9 * *first + 0.1 * gradient;
                *second = 0.999 * *second + 0.001 * gradient * gradient;
                let root = (*second / (1.0 - 0.999_f32.powi(step))).sqrt();
                *weight -= 3e-3 * *first / (1.0 - 0.9_f32.powi(step)) / (root + 1e-8);
            }
            for moment in [first, second] {
                let unit = moment.iter().fold(0.0_f32, |most, value| most.max(value.abs())) / 127.0;
                if unit > 0.0 {
                    moment.iter_mut().for_each(|value| *value = (*value / unit).round() * unit);
                }
            }
            let new = Tensor::from_vec(values, weights.elem_count(), &Device::Cpu).unwrap();
            weights.flatten_all().unwrap().slice_set(&new, 0, 0).unwrap();
        }
    })
}

/// The loss after a thousand steps is within 2 % of Adam's (0.5 % at most was measured), for the block sizes
/// in use. One scale per tensor and linear codes instead send the loss to NaN within a dozen steps: a second moment that is
/// rounded to nought divides by ε. SGD is far behind, so that the task does ask for Adam.
#[test]
fn eight_bits_train_as_adam_does() {
    for seed in 1..=2 {
        let adam = ours(seed, Kind::Adamw, 1);
        for block in [64, 256, 2048] {
            let coded = ours(seed, Kind::Adam8bit, block);
            assert!((coded / adam - 1.0).abs() < 0.02, "{coded} and {adam} with blocks of {block}");
        }
        let naive = naive(seed);
        assert!(naive.is_nan() || naive > 2.0 * adam, "{naive} and {adam}");
        let sgd = ours(seed, Kind::Sgd, 1);
        assert!(sgd > 2.0 * adam, "{sgd} and {adam}");
    }
}

/// The mean square error of 32 outputs of 64 inputs, each output weighing less in the loss than the one before, down to
/// `least`: Adam learns all of them alike, since it does not mind how large a gradient is.
fn outputs(kind: Kind, block: usize, least: f32) -> f64 {
    const INPUTS: usize = 64;
    const OUTPUTS: usize = 32;
    let mut noise = Noise(3);
    let mut of = |rows: usize, columns: usize| {
        let values: Vec<_> = (0..rows * columns).map(|_| noise.unit()).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    };
    let truth = of(OUTPUTS, INPUTS);
    let importance = (0..OUTPUTS).map(|output| least.powf(output as f32 / (OUTPUTS - 1) as f32)).collect();
    let importance = Tensor::from_vec(importance, (1, OUTPUTS), &Device::Cpu).unwrap();
    let weights = [Tensor::zeros((OUTPUTS, INPUTS), DType::F32, &Device::Cpu).unwrap()];
    let rule = Rule { learning_rate: 3e-3, epsilon: 1e-12, ..Rule::of(kind, block) };
    let rule = Rule { weight_decay: 0.0, ..rule };
    let mut optimizer = Optimizer::new(rule, &weights, &[1], Home::Device).unwrap();
    let mut last = 0.0;
    for step in 0..1500 {
        let inputs = of(32, INPUTS);
        let error = inputs.matmul(&(&weights[0] - &truth).unwrap().t().unwrap()).unwrap();
        if step >= 1400 {
            last += f64::from(error.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap()) / 100.0;
        }
        let gradient = error.broadcast_mul(&importance).unwrap().t().unwrap().matmul(&inputs).unwrap();
        optimizer.step(&weights, &[Some(gradient)], 32.0).unwrap();
    }
    last
}

/// What blocks are for: gradients that are ten thousand times smaller than others in their tensor. In blocks of one row or
/// of four the error comes within twice Adam's, 6·10⁻⁸ (1.1 and 1.5 times were measured); with one scale for the tensor it
/// stays above a hundredth, with the same codes.
#[test]
fn blocks_keep_small_gradients_beside_large_ones() {
    let adam = outputs(Kind::Adamw, 1, 1e-4);
    for block in [64, 256] {
        let coded = outputs(Kind::Adam8bit, block, 1e-4);
        assert!(coded < 2.0 * adam, "{coded} and {adam} with blocks of {block}");
    }
    let unblocked = outputs(Kind::Adam8bit, usize::MAX, 1e-4);
    assert!(unblocked > 0.01 && adam < 1e-6, "{unblocked} and {adam}");
    assert!(outputs(Kind::Adam8bit, usize::MAX, 1.0) < 2.0 * adam);
}
