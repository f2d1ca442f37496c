//! Memory per device: the tables of the papers, term by term, and the laws that hold for every model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use llmplan_analysis::cluster::activation::{Term, activations, terms};
use llmplan_analysis::cluster::memory::{Memory, Moment, memory};
use llmplan_analysis::cluster::{Strategy, Workload};
use llmplan_analysis::graph::{Block, Graph, Part, lower};
use llmplan_analysis::saved::{Rerun, Shape};
use llmplan_spec::plan::{Checkpointing, Plan};
use llmplan_tests::formulas::formulas_hold;
use proptest::prelude::*;

/// A plan with its model lowered.
struct Case {
    plan: Plan,
    graph: Graph,
}

impl Case {
    fn new(text: &str) -> Case {
        let plan = support::plan(text);
        let graph = lower(&plan.model);
        Case { plan, graph }
    }

    fn workload(&self) -> Workload<'_> {
        let tokens = self.plan.training.as_ref().and_then(|training| training.sequence).unwrap();
        Workload::of(&self.plan, &self.graph, tokens).unwrap()
    }

    fn strategy(&self) -> Strategy {
        Strategy::of(self.plan.training.as_ref().unwrap(), self.plan.hardware.as_ref().unwrap().devices)
            .unwrap()
    }

    fn memory(&self) -> Memory {
        memory(&self.workload(), &self.strategy()).unwrap()
    }

    fn layer(&self) -> &Block {
        self.graph.blocks.iter().find(|block| block.part == Part::Layer).unwrap()
    }

    /// What a layer keeps of a micro-batch under the plan's own layout, statistics of norms included.
    fn kept(&self) -> u64 {
        let layout = self.strategy().layout();
        activations(&self.workload(), &layout, self.layer(), true).unwrap().kept
    }

    /// The list of what a layer keeps where nothing runs again, without the statistics of norms, which papers leave out.
    fn terms(&self) -> Vec<Term> {
        let training = self.plan.training.as_ref().unwrap();
        let shape = Shape {
            sequences: training.micro_batch.unwrap(),
            tokens: training.sequence.unwrap(),
            bytes: training.precision.bytes(),
        };
        let all = terms(self.layer(), training, shape, Rerun::default()).unwrap();
        all.into_iter().filter(|term| !term.statistic).collect()
    }
}

const S: u64 = 2048;
const B: u64 = 4;
const H: u64 = 6144;
const A: u64 = 64;

/// The 22B model of Korthikanti 2022 (§6), whose attention is not fused, with dropout.
fn gpt(parallelism: &str, more: &str) -> Case {
    Case::new(&format!(
        "model gpt {{\n layers = 48\n d_model = {H}\n vocab = 51200\n context = {S}\n attention {{\n heads = {A}\n position = \
         learned\n qkv_bias = true\n output_bias = true\n }}\n ffn {{\n kind = gelu\n d_ff = {}\n bias = true\n }}\n norm \
         {{\n kind = layernorm\n bias = true\n }}\n}}\nhardware {{\n device = a100-80gb\n devices = 8\n}}\ntraining {{\n \
         precision = fp16\n attention = plain\n pointwise = fused\n dropout = 10%\n sequence = {S}\n global_batch = 64 \
         sequences\n micro_batch = {B}\n {more}\n parallelism {{\n {parallelism}\n }}\n}}\n",
        4 * H
    ))
}

/// What a list of terms has of those operators, in bytes.
fn of(terms: &[Term], names: &[&str]) -> u128 {
    let own = terms
        .iter()
        .filter(|term| names.contains(&format!("{}.{}", term.tag.operator, term.tag.what).as_str()));
    own.map(|term| term.bytes).sum()
}

/// Korthikanti 2022 §4.1: 11sbh + 5as²b for attention, 19sbh for the feed-forward network, 4sbh for the two norms.
#[test]
fn the_terms_of_korthikanti_are_those_of_the_paper() {
    let terms = gpt("tensor = 1", "").terms();
    let (sbh, pairs) = (u128::from(S * B * H), u128::from(A * S * S * B));
    for (names, bytes) in [
        // Attention: its input, Q and K, the softmax with its mask and what is left of it, V, the input of the projection,
        // and the mask behind it.
        (vec!["mixer.norm.output"], 2 * sbh),
        (vec!["attention.q.output", "attention.k.output"], 4 * sbh),
        (vec!["attention.softmax.output"], 2 * pairs),
        (vec!["attention.softmax.mask"], pairs),
        (vec!["attention.softmax.dropped"], 2 * pairs),
        (vec!["attention.v.output"], 2 * sbh),
        (vec!["attention.weighted_sum.output"], 2 * sbh),
        (vec!["mixer.residual.mask"], sbh),
        // The feed-forward network: the inputs of both products and of the non-linearity, and a mask.
        (vec!["ffn.norm.output"], 2 * sbh),
        (vec!["ffn.up.output"], 8 * sbh),
        (vec!["ffn.activation.output"], 8 * sbh),
        (vec!["ffn.residual.mask"], sbh),
        // The inputs of the norms.
        (vec!["input.output", "mixer.residual.output"], 4 * sbh),
    ] {
        assert_eq!(of(&terms, &names), bytes, "{names:?}");
    }
    let total: u128 = terms.iter().map(|term| term.bytes).sum();
    assert_eq!(total, (11 + 19 + 4) * sbh + 5 * pairs);
}

/// Korthikanti 2022, Table 2: bytes of activations per layer, each row of it. Statistics of norms are 4 × 2 × 2 bytes a
/// token beside, which the paper neglects.
#[test]
fn korthikantis_table_2_is_reproduced() {
    let (sbh, pairs, t) = (S * B * H, A * S * S * B, 8);
    let (apart, together) =
        ("tensor = 8\n sequence_parallel = false", "tensor = 8\n sequence_parallel = true");
    let statistics = 16 * S * B;
    for (parallelism, more, expected, statistics) in [
        ("tensor = 1", "", 34 * sbh + 5 * pairs, statistics),
        (apart, "", 10 * sbh + 24 * sbh / t + 5 * pairs / t, statistics),
        (together, "", (34 * sbh + 5 * pairs) / t, statistics / t),
        (apart, "checkpointing = selective", 10 * sbh + 24 * sbh / t, statistics),
        (together, "checkpointing = selective", 34 * sbh / t, statistics / t),
        ("tensor = 1", "checkpointing = full", 2 * sbh, 0),
        (apart, "checkpointing = full", 2 * sbh, 0),
        (together, "checkpointing = full", 2 * sbh / t, 0),
    ] {
        assert_eq!(gpt(parallelism, more).kept(), expected + statistics, "{parallelism} {more}");
    }
}

/// Korthikanti 2022, Figure 1: activations of the first stage in GiB, under the schedules of its models. The figure has
/// layers alone, so that the mask of the embedding is taken off.
#[test]
fn korthikantis_figure_1_is_reproduced() {
    for (layers, d_model, heads, pipeline, interleave, none, selective) in [
        (48, 6144, 64, 1, 1, 59.25, 9.5625),
        (105, 20_480, 128, 35, 3, 114.023, 23.076),
        (128, 25_600, 160, 64, 1, 131.25, 0.0),
    ] {
        let activations = |parallel: bool, checkpointing: &str| {
            let micro_batch = if pipeline == 1 { 4 } else { 1 };
            let text = format!(
                "model m {{\n layers = {layers}\n d_model = {d_model}\n vocab = 51200\n context = 2048\n attention {{\n heads = \
                 {heads}\n position = learned\n }}\n ffn {{\n kind = gelu\n d_ff = {}\n }}\n norm {{\n kind = layernorm\n \
                 }}\n}}\nhardware {{\n device = a100-80gb\n devices = {}\n}}\ntraining {{\n attention = plain\n dropout = \
                 10%\n checkpointing = {checkpointing}\n sequence = 2048\n global_batch = {} sequences\n micro_batch = \
                 {micro_batch}\n parallelism {{\n tensor = 8\n pipeline = {pipeline}\n interleave = {interleave}\n \
                 sequence_parallel = {parallel}\n }}\n}}\n",
                4 * d_model,
                8 * pipeline,
                8 * pipeline * micro_batch
            );
            let memory = Case::new(&text).memory();
            let (p, v) = (f64::from(pipeline), f64::from(interleave));
            let in_flight = if interleave == 1 { p } else { p * (1.0 + (p - 1.0) / (p * v)) };
            let mask = f64::from(2048 * micro_batch * d_model) * in_flight / if parallel { 8.0 } else { 1.0 };
            (memory.stages[0].at(Moment::Forward).activations as f64 - mask) / f64::from(1 << 30)
        };
        let near =
            |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.008, "{found} {expected}");
        near(activations(false, "none"), none);
        if selective > 0.0 {
            near(activations(true, "selective"), selective);
        }
    }
}

/// 2(4h + 2ad + 2kd + 3f) + 4a bytes: a fused attention keeps its output and a number for each row, a fused SwiGLU its two
/// inputs and its output.
#[test]
fn a_token_of_llama_3_8b_keeps_139_392_bytes_in_a_layer() {
    let case = Case::new(&llama(8, "tensor = 1", ""));
    let per_token = |terms: &[Term]| terms.iter().map(|term| term.bytes).sum::<u128>() / 8192;
    assert_eq!(per_token(&case.terms()), 139_392);
    // The whole list has a deviation of 4 bytes for each of two norms.
    assert_eq!(case.kept(), (139_392 + 8) * 8192);
    // One operator after another keeps the rotated and the plain Q and K, SiLU's output, and for each norm a copy in fp32
    // and a rounded one where a fused one reads its input.
    let unfused = Case::new(&llama(8, "tensor = 1", "pointwise = unfused"));
    let more = 2 * (4096 + 1024) + 2 * 14_336 + 2 * (4 + 2 - 2) * 4096;
    assert_eq!(per_token(&unfused.terms()), 139_392 + more);
}

fn llama(devices: u64, parallelism: &str, more: &str) -> String {
    format!(
        "model m extends llama-3-8b {{\n}}\nhardware {{\n device = h100-sxm\n devices = {devices}\n}}\ntraining {{\n \
         precision = bf16\n sequence = 8192\n global_batch = 64 sequences\n micro_batch = 1\n {more}\n parallelism {{\n \
         {parallelism}\n }}\n}}\n"
    )
}

/// 12Lh² + 13Lh parameters or so: 7.5B.
fn seven_and_a_half(zero: u64) -> Case {
    Case::new(&format!(
        "model m {{\n layers = 37\n d_model = 4096\n vocab = 1024\n attention {{\n heads = 32\n }}\n ffn {{\n kind = gelu\n \
         d_ff = 16384\n }}\n}}\nhardware {{\n device = v100-sxm-32gb\n devices = 64\n}}\ntraining {{\n precision = fp16\n \
         gradients = fp16\n optimizer = adam\n sequence = 128\n global_batch = 128 sequences\n micro_batch = 1\n \
         parallelism {{\n zero = {zero}\n }}\n}}\n"
    ))
}

/// Rajbhandari 2020, Figure 1: 120, 31.4, 16.6 and 1.9 GB for 7.5B parameters, Adam in mixed precision, on 64 devices.
#[test]
fn zero_divides_what_its_paper_says() {
    for (zero, expected) in [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.9)] {
        let case = seven_and_a_half(zero);
        let params = llmplan_analysis::folds::params(&case.graph).unwrap().total().unwrap() as f64;
        let parts = case.memory().worst().at(Moment::Update);
        let bytes = (parts.weights + parts.gradients + parts.optimizer) as f64;
        let at_size = bytes / params * 7.5;
        // The paper cuts off what is behind the last digit.
        assert!((at_size - expected).abs() < 0.06, "stage {zero}: {at_size}");
    }
}

/// Megatron's bytes per parameter: 18 with gradients in fp32, and 6 + 12/d with its distributed optimizer.
#[test]
fn megatron_has_18_bytes_or_6_and_12_over_d() {
    for (zero, expected) in [(0, 18.0), (1, 6.0 + 12.0 / 8.0)] {
        let more = "gradients = fp32";
        let case = Case::new(&llama(8, &format!("tensor = 1\n zero = {zero}"), more));
        let parts = case.memory().worst().at(Moment::Update);
        let bytes = (parts.weights + parts.gradients + parts.optimizer) as f64;
        assert!((bytes / 8_030_261_248.0 - expected).abs() < 1e-6, "{bytes}");
    }
}

/// DeepSpeed's bf16 optimizer has a further copy of the gradients in fp32 that nothing divides.
#[test]
fn main_gradients_are_4_bytes_divided_or_not() {
    let optimizer = |more: &str| {
        let case = Case::new(&llama(8, "tensor = 1\n zero = 1", more));
        case.memory().worst().at(Moment::Update).optimizer as f64 / 8_030_261_248.0
    };
    assert!((optimizer("main_gradients = none") - 12.0 / 8.0).abs() < 1e-6);
    assert!((optimizer("main_gradients = sharded") - 16.0 / 8.0).abs() < 1e-6);
    assert!((optimizer("main_gradients = whole") - (12.0 / 8.0 + 4.0)).abs() < 1e-6);
}

/// Hu 2021: only adapters have gradients and states. Dettmers 2023 §3: 4.127 bits for each value of a layer's matrices.
#[test]
fn adapters_alone_are_trained_and_the_rest_is_stored_as_it_says() {
    let states = |more: &str| {
        let case = Case::new(&llama(1, "tensor = 1", more));
        case.memory().worst().at(Moment::Update)
    };
    // Rank 16 on Q and V of 32 layers: r(in + out) each.
    let adapters = 32 * 16 * ((4096 + 4096) + (4096 + 1024));
    let lora = states("gradients = bf16\n lora {\n rank = 16\n targets = qv\n }");
    assert_eq!(lora.weights, 2 * (8_030_261_248 + adapters));
    assert_eq!((lora.gradients, lora.optimizer), (2 * adapters, 12 * adapters));
    let matrices: u64 = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14_336);
    let qlora = states("gradients = bf16\n lora {\n rank = 16\n targets = qv\n base = nf4\n }");
    let expected = 2 * (8_030_261_248 - matrices + adapters) + (matrices * 4127).div_ceil(8000);
    assert!(qlora.weights.abs_diff(expected) < 1000, "{} {expected}", qlora.weights);
    // A frozen product does not keep its input, an adapted one does.
    let kept = |more: &str| Case::new(&llama(1, "tensor = 1", more)).kept();
    let frozen = kept("lora {\n rank = 16\n targets = qv\n }");
    let all = kept("lora {\n rank = 16\n targets = all\n }");
    assert!(frozen < all && all > kept(""));
}

#[test]
fn what_is_offloaded_is_on_the_host() {
    let memory = |offload: &str| Case::new(&llama(8, "tensor = 1\n zero = 3", offload)).memory();
    let (none, optimizer, parameters) =
        (memory("offload = none"), memory("offload = optimizer"), memory("offload = parameters"));
    let at = |memory: &Memory| memory.worst().at(Moment::Forward);
    assert_eq!(optimizer.worst().host, at(&none).optimizer);
    assert_eq!(at(&optimizer).optimizer, 0);
    assert_eq!(parameters.worst().host, at(&none).optimizer + at(&none).weights);
    assert_eq!(at(&parameters).weights, 0);
    let inputs = "checkpointing = full\n offload_activations = true";
    let input = 32 * 8192 * 4096 * 2;
    assert_eq!(memory(inputs).worst().host, input);
}

/// A tied embedding is on the first and on the last stage, and trained on both.
#[test]
fn a_tied_embedding_is_twice_in_a_pipeline() {
    let text = |pipeline: u64| {
        format!(
            "model m {{\n layers = 8\n d_model = 256\n vocab = 32000\n tied_embeddings = true\n attention {{\n heads = 4\n \
             }}\n}}\nhardware {{\n device = h100-sxm\n devices = {pipeline}\n}}\ntraining {{\n sequence = 128\n \
             global_batch = 16 sequences\n micro_batch = 1\n parallelism {{\n pipeline = {pipeline}\n }}\n}}\n"
        )
    };
    let weights = |pipeline| {
        let memory = Case::new(&text(pipeline)).memory();
        memory.stages.iter().map(|stage| stage.at(Moment::Update).weights).sum::<u64>()
    };
    assert_eq!(weights(4) - weights(1), 2 * 32_000 * 256);
}

/// Schedules hold as many micro-batches as they have in flight, and DualPipe two stages of the model.
#[test]
fn schedules_hold_what_they_have_in_flight() {
    let first = |schedule: &str| {
        let memory = Case::new(&llama(4, &format!("pipeline = 4\n schedule = {schedule}"), "")).memory();
        memory.stages[0].at(Moment::Forward)
    };
    let plain = first("one_f_one_b");
    let times = |schedule: &str| first(schedule).activations as f64 / plain.activations as f64;
    assert_eq!((times("gpipe"), times("zb_h1"), times("zb_h2")), (16.0, 1.0, 7.0 / 4.0));
    // The first device has the head as well, of one micro-batch.
    assert!((times("zb_v") - 1.0).abs() < 1e-2);
    let both = first("dualpipe");
    // The first stage has the embedding, the last one the head as well, whose table is as large.
    assert!((both.weights as f64 / plain.weights as f64 - 2.0).abs() < 1e-3);
    assert!((both.activations as f64 / plain.activations as f64 - 5.0 / 4.0).abs() < 1e-2);
}

/// More tensor parallelism than heads of keys and values leaves each device one of them.
#[test]
fn heads_of_keys_and_values_are_not_divided_further_than_there_are() {
    let keys = |tensor: u64| {
        let case = Case::new(&llama(16, &format!("tensor = {tensor}"), ""));
        let layout = case.strategy().layout();
        let terms = case.terms();
        let key = terms.iter().find(|term| term.tag.operator == "attention.rotate_k").unwrap();
        key.split.values(key.bytes, &layout)
    };
    assert_eq!(keys(8), keys(1) / 8);
    assert_eq!(keys(16), keys(8));
}

fn mixture(parallelism: &str) -> Case {
    mixture_of(parallelism, "gradients = bf16")
}

fn mixture_of(parallelism: &str, training: &str) -> Case {
    small(
        "attention {\n heads = 8\n }\n moe {\n experts = 8\n experts_per_token = 2\n d_ff = 96\n }",
        8,
        64,
        parallelism,
        training,
    )
}

/// Experts are divided by expert and by expert-tensor parallelism, and ZeRO divides them over what is left of the devices
/// (Megatron's expert-data parallelism); the rest is not touched.
#[test]
fn experts_are_divided_apart_from_the_rest() {
    let weights = |parallelism: &str| mixture(parallelism).memory().worst().at(Moment::Update).weights;
    let experts = 2 * 8 * 8 * 2 * 128 * 96;
    let whole = weights("expert = 1");
    assert_eq!(whole - weights("expert = 8"), experts - experts / 8);
    assert_eq!(whole - weights("expert = 2\n expert_tensor = 2"), experts - experts / 4);
    let states = |parallelism: &str| mixture(parallelism).memory().worst().at(Moment::Update).optimizer;
    // All devices together have the states once, however experts are divided.
    assert_eq!(states("zero = 1\n expert = 1"), states("zero = 1\n expert = 4"));
}

/// Rows of experts: each token is on the devices of K experts, and a device has as many rows as its own tokens make.
#[test]
fn a_device_has_as_many_rows_of_experts_as_its_tokens_make() {
    let rows = 2 * 2 * 256;
    // Where routes are applied behind the experts, what these give back is kept; else in their activation.
    for (pointwise, given_back) in [("fused", None), ("unfused", Some(rows * 128 * 2))] {
        let case = mixture_of("expert = 4", &format!("gradients = bf16\n pointwise = {pointwise}"));
        let layout = case.strategy().layout();
        let terms = terms_list(&case);
        let bytes = |name: &str| {
            let own = terms.iter().find(|term| format!("{}.{}", term.tag.operator, term.tag.what) == name);
            own.map(|term| term.split.values(term.bytes, &layout))
        };
        assert_eq!(bytes("moe.up.rows"), Some(rows * 128 * 2));
        assert_eq!(bytes("moe.up.output"), Some(rows * 96 * 2));
        assert_eq!(bytes("moe.down.output"), given_back);
        // Their index and weight, in 4 bytes each.
        assert_eq!(bytes("moe.router.output"), Some(rows * 8));
    }
}

/// A ring holds the keys and values of one further device, gathering those of all, exchanging heads those of none.
#[test]
fn keys_and_values_of_others_are_held_as_they_are_exchanged() {
    let held = |kind: &str| {
        let case = Case::new(&llama(8, &format!("context = 8\n context_kind = {kind}"), ""));
        activations(&case.workload(), &case.strategy().layout(), case.layer(), false).unwrap().exchange
    };
    let own = 2 * 2 * (8192 / 8) * 8 * 128;
    assert_eq!((held("ring"), held("all_gather"), held("ulysses")), (own, 7 * own, 0));
}

/// What only products read is kept in a byte; what other operators read as well is kept as it was.
#[test]
fn fp8_products_keep_what_they_alone_read_in_a_byte() {
    let per_token = |more: &str| Case::new(&llama(8, "tensor = 1", more)).kept() / 8192;
    // The inputs of Q, K and V, and of up and gate, and of down; not that of the output, which attention keeps too.
    assert_eq!(per_token("matmul = bf16") - per_token("matmul = fp8"), 4096 + 4096 + 14_336);
}

/// Logits: two tensors that stay and two more, in 16 bits and fp32; in place; or a part of the tokens at a time.
#[test]
fn logits_are_kept_in_place_or_in_chunks() {
    let logits = |kind: &str| {
        let case = Case::new(&llama(8, "tensor = 4", &format!("logits = {kind}")));
        case.memory().worst().at(Moment::Loss).logits
    };
    let values = 8192 * 128_256 / 4;
    assert_eq!(logits("kept"), values * (2 + 4 + 4 + 4));
    assert_eq!(logits("fused"), values * 2);
    assert!(logits("chunked") < logits("fused"));
}

/// Every optimizer's states in the report are those that a single device holds.
#[test]
fn the_report_and_the_device_have_the_same_states() {
    for optimizer in
        ["sgd", "momentum", "adam", "adamw", "adam8bit", "adafactor", "lion", "muon", "shampoo", "soap"]
    {
        for states in ["fp32", "bf16"] {
            let text = format!(
                "model m {{\n layers = 3\n d_model = 128\n vocab = 1000\n attention {{\n heads = 4\n }}\n}}\nhardware \
                 {{\n device = h100-sxm\n devices = 1\n}}\ntraining {{\n precision = bf16\n optimizer = {optimizer}\n \
                 optimizer_states = {states}\n sequence = 128\n global_batch = 4 sequences\n micro_batch = 1\n}}\n"
            );
            let report = support::report(&text);
            formulas_hold(&report);
            let optimizer = u128::from(Case::new(&text).memory().worst().at(Moment::Update).optimizer);
            assert_eq!(support::count(&report, "memory.optimizer"), optimizer, "{text}");
        }
    }
}

/// A small model of any kind of layer.
fn any_model() -> impl proptest::strategy::Strategy<Value = String> {
    prop::sample::select(vec![
        "attention {\n heads = 8\n kv_heads = 2\n }".to_owned(),
        "attention {\n kind = mla\n heads = 8\n q_rank = 48\n kv_rank = 32\n nope_dim = 16\n rope_dim = 8\n }\n moe {\n \
         experts = 8\n experts_per_token = 2\n d_ff = 96\n shared_experts = 1\n }"
            .to_owned(),
        "attention {\n heads = 8\n position = learned\n }\n ffn {\n kind = gelu\n d_ff = 512\n }\n norm {\n kind = \
         layernorm\n }"
            .to_owned(),
    ])
}

fn small(model: &str, devices: u64, batch: u64, parallelism: &str, more: &str) -> Case {
    Case::new(&format!(
        "model m {{\n layers = 8\n d_model = 128\n vocab = 1024\n context = 256\n {model}\n}}\nhardware {{\n device = \
         h100-sxm\n devices = {devices}\n}}\ntraining {{\n sequence = 256\n global_batch = {batch} sequences\n micro_batch \
         = 2\n {more}\n parallelism {{\n {parallelism}\n }}\n}}\n"
    ))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// More replicas never need more memory, whether they share the batch or enlarge it.
    #[test]
    fn doubling_replicas_never_raises_memory(
        model in any_model(),
        zero in 0_u64..4,
        data in 0_u32..4,
        pipeline in 0_u32..3,
        prefetch in 0_u64..4,
        checkpointing in prop::sample::select(vec!["none", "selective", "full"]),
        optimizer in prop::sample::select(vec!["sgd", "adamw", "adam8bit", "muon", "shampoo"]),
        offload in prop::sample::select(vec!["none", "optimizer", "parameters"]),
        gradients in prop::sample::select(vec!["fp32", "bf16"]),
    ) {
        let pipeline = 2_u64.pow(pipeline);
        let more = format!(
            "checkpointing = {checkpointing}\n optimizer = {optimizer}\n offload = {offload}\n gradients = {gradients}"
        );
        let total = |data: u64, batch: u64| {
            let parallelism = format!("pipeline = {pipeline}\n zero = {zero}\n prefetch = {prefetch}");
            small(&model, pipeline * data, batch, &parallelism, &more).memory().total()
        };
        let data = 2_u64.pow(data);
        let one = total(data, data * 8);
        prop_assert!(total(2 * data, data * 8) <= one);
        prop_assert!(total(2 * data, data * 16) <= one);
    }

    /// Parts sum to the total at every instant, and the peak is the most of them.
    #[test]
    fn parts_sum_to_the_total_and_none_is_above_the_peak(model in any_model(), zero in 0_u64..4) {
        let case = small(&model, 8, 64, &format!("pipeline = 4\n zero = {zero}"), "");
        let memory = case.memory();
        for stage in &memory.stages {
            for instant in Moment::ALL {
                let parts = stage.at(instant);
                let sum: u64 = parts.named().iter().map(|(_, bytes)| bytes).sum();
                prop_assert_eq!(sum, parts.total());
                prop_assert!(parts.total() <= stage.peak().total());
            }
            prop_assert!(stage.peak().total() <= memory.total());
        }
    }

    /// What recomputes more keeps less.
    #[test]
    fn each_kind_of_checkpointing_keeps_no_more_than_the_one_before(
        model in any_model(),
        tensor in 0_u32..4,
        attention in prop::sample::select(vec!["flash", "plain"]),
        pointwise in prop::sample::select(vec!["fused", "unfused"]),
        dropout in prop::sample::select(vec!["0%", "10%"]),
        flags in prop::array::uniform5(any::<bool>()),
    ) {
        let tensor = 2_u64.pow(tensor);
        let kept = |checkpointing: &str| {
            let [one, two, three, four, five] = flags;
            let flags = format!(
                "recompute {{\n attention = {one}\n norm = {two}\n activation = {three}\n ffn = {four}\n experts = {five}\n }}"
            );
            let flags = if checkpointing == "modules" { flags } else { String::new() };
            let more = format!(
                "attention = {attention}\n pointwise = {pointwise}\n dropout = {dropout}\n checkpointing = \
                 {checkpointing}\n {flags}"
            );
            small(&model, tensor, 64, &format!("tensor = {tensor}"), &more).kept()
        };
        let none = kept("none");
        prop_assert!(kept("selective") <= none);
        prop_assert!(kept("full") <= kept("selective"));
        prop_assert!(kept("modules") <= none);
        prop_assert!(kept("full") <= kept("modules"));
    }

    /// Every form of parallelism that is 1 divides nothing, and more of it never keeps more in a layer.
    #[test]
    fn dividing_a_layer_never_keeps_more(model in any_model(), parallel in any::<bool>()) {
        let kept = |parallelism: &str| {
            let text = format!("{parallelism}\n sequence_parallel = {parallel}");
            small(&model, 8, 64, &text, "").kept()
        };
        let one = kept("tensor = 1\n data = 8");
        prop_assert_eq!(one, kept("tensor = 1\n context = 1\n expert = 1\n data = 8"));
        let case = small(&model, 8, 64, "tensor = 1", "");
        let whole: u128 = terms_list(&case).iter().map(|term| term.bytes).sum();
        prop_assert_eq!(u128::from(one), whole);
        for degree in [2, 4, 8] {
            let (tensor, context) = (format!("tensor = {degree}"), format!("context = {degree}"));
            prop_assert!(kept(&tensor) < one);
            prop_assert!(kept(&context) <= one / degree + 64);
        }
    }
}

/// All that a layer of a small model keeps, on all devices.
fn terms_list(case: &Case) -> Vec<Term> {
    let training = case.plan.training.as_ref().unwrap();
    let shape = Shape { sequences: 2, tokens: 256, bytes: 2 };
    let rerun = Rerun::of(case.layer(), Checkpointing::None, training.recompute, true);
    terms(case.layer(), training, shape, rerun).unwrap()
}

/// An amount that is no whole number of bytes is one all the same: the fraction of a byte is left out.
#[test]
fn a_reserve_in_tenths_of_a_gibibyte_is_whole_bytes() {
    let plan =
        support::plan(&llama(8, "tensor = 1", "").replace("devices = 8", "devices = 8\n reserve = 2.3 GiB"));
    assert_eq!(plan.hardware.unwrap().operation.reserve, 2_469_606_195);
}
