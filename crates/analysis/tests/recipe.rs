//! The recipe: published recommendations come out, a miss costs what was measured, a study and a teacher cost what their
//! runs add up to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use llmplan_analysis::recipe::{Miss, lost};
use llmplan_analysis::report::{Grade, Report, Section};
use llmplan_analysis::scaling::Parametric;
use llmplan_spec::diagnostic::{Diagnostic, Severity};
use llmplan_tests::formulas::formulas_hold;
use support::{count, diagnostics, model, number, report};

/// Zhang 2024: 2.6M tokens for 100B, 7.7M for 1T, 27.7M for 15T.
#[test]
fn published_critical_batches_come_out() {
    for (tokens, batch) in [(1e11, 2.63e6), (1e12, 7.75e6), (15e12, 27.7e6)] {
        let actual = critical_batch(tokens);
        assert!((actual / batch - 1.0).abs() < 3e-3, "{actual} for {batch}");
    }
    // Kaplan 2020: 2e8 / L^4.76.
    close(kaplan_critical_batch(2.0), 2e8 / 2_f64.powf(1.0 / 0.21), 1e-12);
    assert_eq!(format!("{:.2}", 1.0 / 0.21), "4.76");
}

/// Worked out by powers of ten: 1e9 parameters, 1e11 tokens; 1e20 FLOP.
#[test]
fn published_learning_rates_and_batches_come_out() {
    close(step_law_rate(1e9, 1e11), 1.79 * 10_f64.powf(-9.0 * 0.713 + 11.0 * 0.307), 1e-12);
    assert_eq!(format!("{:.2e}", step_law_rate(1e9, 1e11)), "1.63e-3");
    assert_eq!(format!("{:.2e}", step_law_batch(1e11)), "1.11e6");
    assert_eq!(format!("{:.2e}", deepseek_rate(1e20)), "9.86e-4");
    assert_eq!(format!("{:.2e}", deepseek_batch(1e20)), "1.02e6");
}

#[test]
fn what_the_report_says_is_what_the_functions_say() {
    for (layers, d_model, tokens) in [(4, 256, "2B"), (12, 1024, "50B"), (48, 4096, "15T")] {
        let text = format!(
            "{}data {{\n tokens = {tokens}\n}}\ntraining {{\n sequence = 2048\n global_batch = 1M tokens\n learning_rate = 1e-3\n}}\n",
            model(layers, d_model, 16, 50_000)
        );
        let (report, _) = warned(&text);
        let value = |path: &str| number(&report, path);
        let (n, d, c) =
            (value("model.non_embedding_params"), value("training.tokens"), value("recipe.compute"));
        close(value("recipe.learning_rate.step_law"), step_law_rate(n, d), 1e-9);
        close(value("recipe.batch.step_law"), step_law_batch(d), 1e-9);
        close(value("recipe.learning_rate.deepseek"), deepseek_rate(c), 1e-9);
        close(value("recipe.batch.deepseek"), deepseek_batch(c), 1e-9);
        close(value("recipe.critical_batch"), critical_batch(d), 1e-9);
        let loss = value("scaling.loss");
        close(value("recipe.critical_batch.kaplan"), kaplan_critical_batch(loss), 1e-9);
        let critical = critical_batch(d);
        close(value("recipe.batch.extra_tokens_share"), tokens_over_least(1e6, critical, 0.2) - 1.0, 1e-9);
        close(value("recipe.batch.extra_steps_share"), steps_over_least(1e6, critical, 0.2) - 1.0, 1e-9);
        for path in ["recipe.learning_rate", "recipe.batch"] {
            let quantity = report.get(path).unwrap();
            let (low, high) = quantity.interval.unwrap();
            let ends = ["step_law", "deepseek"].map(|law| value(&format!("{path}.{law}")));
            assert_eq!((low, high), (ends[0].min(ends[1]), ends[0].max(ends[1])));
            assert_eq!(quantity.grade, Grade::Fitted);
            let miss = value(&format!("{path}.miss"));
            let which = if path.ends_with("rate") { Miss::LearningRate } else { Miss::Batch };
            close(value(&format!("{path}.loss_share")), lost(which, miss), 1e-9);
            let again = compute_for_lost(loss, number(&report, "law.e"), power(&report), lost(which, miss));
            close(value(&format!("{path}.compute")), again, 1e-9);
        }
        assert!(formulas_hold(&report) > 50);
    }
}

/// At a loss of 2.2 under the default law a learning rate twice too high costs 1.30 times the compute, half of it 1.11.
#[test]
fn a_miss_is_worth_compute() {
    let law =
        Parametric { e: 1.817218148, a: 477.826102, b: 2143.415382, alpha: 0.347310532, beta: 0.36717239 };
    for (factor, compute) in [(2.0, "1.30"), (0.5, "1.11"), (1.0, "1.00")] {
        let lost = lost(Miss::LearningRate, factor);
        let actual = compute_for_lost(2.2, law.e, law.gain_exponent(), lost);
        assert_eq!(format!("{actual:.2}"), compute, "{factor}");
    }
    // Too high is worse than too low.
    assert!([2.0, 4.0].iter().all(|f| lost(Miss::LearningRate, *f) > lost(Miss::LearningRate, 1.0 / f)));
}

/// McCandlish 2018: (S/S_min − 1)(E/E_min − 1) = 1.
#[test]
fn steps_and_tokens_are_traded_along_one_curve() {
    for overhead in [0.2, 1.0] {
        for batch in [1e3, 1e6, 1e9] {
            let (tokens, steps) =
                (tokens_over_least(batch, 2e6, overhead), steps_over_least(batch, 2e6, overhead));
            close((tokens - 1.0) * (steps - 1.0), 1.0, 1e-9);
        }
        close(tokens_over_least(2e6, 2e6, overhead), 1.0 + overhead, 1e-12);
    }
}

#[test]
fn what_is_far_off_is_warned_of() {
    let of = |batch: &str, rate: f64| {
        let training = format!("global_batch = {batch}\n learning_rate = {rate}");
        diagnostics(&plan("20B", &training, ""))
    };
    let (report, _) = warned(&plan("20B", "global_batch = 512 sequences", ""));
    let step = number(&report, "recipe.learning_rate.step_law");
    let other = number(&report, "recipe.learning_rate.deepseek");
    let (low, high) = (step.min(other), step.max(other));
    let critical = number(&report, "recipe.critical_batch");
    let small = "512 sequences";
    assert!(
        of(small, low / 3.9).is_empty() && of(small, high * 3.9).is_empty() && of(small, high).is_empty()
    );
    for (rate, side) in [(low / 4.1, "below"), (high * 4.1, "above")] {
        let found = of(small, rate);
        assert_eq!(codes(&found), ["unusual-recipe"]);
        assert!(found[0].title.contains(side) && found[0].severity == Severity::Warning, "{found:?}");
    }
    let found = of(&format!("{} sequences", (critical * 1.2 / 2048.0).ceil()), high);
    assert_eq!(codes(&found), ["unusual-recipe"]);
    assert!(of(&format!("{} sequences", (critical / 2048.0).floor()), high).is_empty());
}

/// Laws of learning rates are of AdamW, and of pretraining.
#[test]
fn other_optimizers_and_adapters_have_no_recommendation() {
    let muon = report(&plan("20B", "optimizer = muon", ""));
    assert!(muon.get("recipe.learning_rate").is_none() && muon.get("recipe.batch").is_some());
    assert!(table(&muon).unwrap().notes.iter().any(|note| note.contains("muon")));
    let lora = report(&plan("20B", "lora {\n rank = 8\n }", ""));
    assert!(lora.get("recipe.batch").is_none() && table(&lora).is_none());
    let alone = report(&model(12, 1024, 16, 50_000));
    assert!(table(&alone).is_none());
}

/// Replicas of one micro-batch each are as many as the critical batch has sequences.
#[test]
fn replicas_end_where_the_batch_is_critical() {
    let report = report(&plan("20B", "micro_batch = 4", ""));
    let expected = (number(&report, "recipe.critical_batch") / (4.0 * 2048.0)).floor();
    assert_eq!(count(&report, "recipe.data_parallel"), expected as u128);
}

/// Every point by itself: a cosine run for each, or a run with cool-downs.
#[test]
fn a_study_costs_what_its_runs_add_up_to() {
    for points in [1_u64, 4, 10] {
        let of = |schedule: &str, cooldown: &str| {
            let study =
                format!("sweep {{\n runs = 12\n params = 300M\n tokens = 20B\n points = {points}\n }}");
            let training = format!("learning_rate_schedule = {schedule}\n {cooldown} {study}\n mfu = 40%");
            let hardware = "hardware {\n device = h100-sxm\n devices = 8\n price = $2 / h\n}\n";
            let (report, _) = warned(&plan("200B", &training, hardware));
            close(
                number(&report, "training.sweep.share"),
                number(&report, "training.sweep.flops") / number(&report, "training.flops"),
                1e-9,
            );
            close(
                number(&report, "training.sweep.cost"),
                number(&report, "training.sweep.share") * number(&report, "training.cost"),
                1e-9,
            );
            number(&report, "training.sweep.flops")
        };
        let each = 6.0 * 3e8 * 12.0;
        let lengths = (1..=points).map(|at| 20e9 * at as f64 / points as f64);
        close(of("cosine", ""), each * lengths.clone().sum::<f64>(), 1e-9);
        close(of("linear", ""), each * lengths.clone().sum::<f64>(), 1e-9);
        close(of("constant", ""), each * 20e9, 1e-9);
        for (written, share) in [("", 0.2), ("cooldown = 10%\n", 0.1)] {
            let cool_downs: f64 = lengths.clone().map(|length| length * share).sum();
            close(of("wsd", written), each * (20e9 * (1.0 - share) + cool_downs), 1e-9);
        }
    }
}

#[test]
fn a_teacher_runs_with_every_token_or_once_over_the_distinct_ones() {
    let of = |logits: &str| {
        let teacher = format!("distillation {{\n teacher_params = 70B\n logits = {logits}\n top_k = 64\n }}");
        let data = "data {\n tokens = 200B\n source all {\n raw = 50B\n weight = 100%\n }\n}\n";
        report(&format!("{}{data}training {{\n {teacher}\n}}\n", model(12, 1024, 16, 50_000)))
    };
    let online = of("online");
    close(number(&online, "training.distillation.flops"), 2.0 * 70e9 * 200e9, 1e-12);
    assert!(online.get("training.distillation.storage").is_none());
    let cached = of("cached");
    close(number(&cached, "training.distillation.flops"), 2.0 * 70e9 * 50e9, 1e-12);
    close(number(&cached, "training.distillation.storage"), 50e9 * 64.0 * 6.0, 1e-12);
    for report in [&online, &cached] {
        close(
            number(report, "training.distillation.total"),
            number(report, "training.flops") + number(report, "training.distillation.flops"),
            1e-12,
        );
        assert!(formulas_hold(report) > 40);
    }
}

#[test]
fn the_schedule_has_its_parts() {
    let report = report(&plan("20B", "learning_rate_schedule = wsd\n warmup = 200M\n z_loss = true", ""));
    close(number(&report, "recipe.warmup_share"), 0.01, 1e-12);
    close(number(&report, "recipe.cooldown_tokens"), 4e9, 1e-12);
    assert!(table(&report).unwrap().notes.iter().any(|note| note.starts_with("z-loss adds no")));
    let long = diagnostics(&plan("20B", "warmup = 21B", ""));
    assert_eq!(codes(&long), ["out-of-range"]);
}

/// z-loss and schedules change no number of a run.
#[test]
fn what_the_loss_is_made_of_costs_nothing_more() {
    let training = "learning_rate_schedule = wsd\n z_loss = true";
    let (plain, with) = (report(&plan("20B", "", "")), report(&plan("20B", training, "")));
    for quantity in &plain.quantities {
        assert_eq!(with.get(&quantity.path).unwrap().value, quantity.value, "{}", quantity.path);
    }
}

#[test]
fn multi_token_prediction_has_its_share() {
    let model = "model m {\n layers = 12\n d_model = 1024\n vocab = 50_000\n attention {\n heads = 16\n }\n mtp {\n depth = 1\n }\n}\n";
    let report = report(&format!("{model}data {{\n tokens = 20B\n}}\ntraining {{\n sequence = 2048\n}}\n"));
    let own = number(&report, "flops.forward.mtp")
        + report.get("flops.forward.mtp_attention").map_or(0.0, |part| part.value.number().unwrap());
    close(number(&report, "recipe.mtp_share"), own / number(&report, "flops.forward"), 1e-9);
    assert!(number(&report, "recipe.mtp_share") > 0.05);
}

#[test]
fn the_table_is_short() {
    let sweep = "sweep {\n runs = 12\n params = 300M\n tokens = 20B\n }";
    let teacher = "distillation {\n teacher_params = 70B\n }";
    let training = format!(
        "global_batch = 512 sequences\n micro_batch = 1\n learning_rate = 1e-3\n learning_rate_schedule = wsd\n warmup = 1B\n \
         {sweep}\n {teacher}"
    );
    let (report, _) = warned(&plan("20B", &training, ""));
    let rows = &table(&report).unwrap().rows;
    assert_eq!(rows.len(), 11, "{rows:#?}");
}

fn plan(tokens: &str, training: &str, rest: &str) -> String {
    let model = model(12, 1024, 16, 50_000);
    format!("{model}data {{\n tokens = {tokens}\n}}\ntraining {{\n sequence = 2048\n {training}\n}}\n{rest}")
}

/// A report and what is warned of beside it.
fn warned(text: &str) -> (Report, Vec<Diagnostic>) {
    let (report, found) = support::analyzed(text);
    (report.unwrap_or_else(|| panic!("{text}\n{found:#?}")), found)
}

fn table(report: &Report) -> Option<&Section> {
    report.sections.iter().find(|section| section.title == "Recipe")
}

/// 1/g of the plan's law.
fn power(report: &Report) -> f64 {
    1.0 / number(report, "law.alpha") + 1.0 / number(report, "law.beta")
}

fn codes(found: &[Diagnostic]) -> Vec<&'static str> {
    found.iter().map(|diagnostic| diagnostic.code.as_str()).collect()
}

fn close(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance * expected.abs(), "{actual} for {expected}");
}

/// What is recommended never keeps a plan from being judged.
#[test]
fn no_plan_fails_by_what_is_recommended() {
    let law = "law mine {\n a = 1e37\n b = 1e37\n alpha = 0.1\n beta = 0.1\n source = \"a test\"\n}\n";
    for (tokens, training, rest) in [
        ("1", "", ""),
        ("1", "global_batch = 1\n micro_batch = 1\n learning_rate = 1e-30", ""),
        ("900_000T", "global_batch = 1\n learning_rate = 1e37", ""),
        ("20B", "recipe_year = 1_000_000_000_000", ""),
        ("20B", "recipe_year = 1950\n recipe_base = 2024\n recipe_doubling = 1 us", ""),
        ("20B", "learning_rate = 1e-3", law),
    ] {
        let (report, found) = warned(&plan(tokens, training, rest));
        assert!(found.iter().all(|diagnostic| diagnostic.severity == Severity::Warning), "{found:#?}");
        assert!(report.quantities.iter().all(|quantity| quantity.value.number().is_none_or(f64::is_finite)));
    }
}

// What the formulas of the report say, written down a second time from the papers.

/// The learning rate that Step Law recommends: 1.79 N^-.713 D^.307, N without embeddings (Li 2025). Its runs have 215M to
/// 1.07B parameters and 4B to 100B tokens, and were trained by AdamW.
fn step_law_rate(params: f64, tokens: f64) -> f64 {
    1.79 * libm::pow(params, -0.713) * libm::pow(tokens, 0.307)
}

/// The batch in tokens that Step Law recommends: 0.58 D^.571 (Li 2025).
fn step_law_batch(tokens: f64) -> f64 {
    0.58 * libm::pow(tokens, 0.571)
}

/// The learning rate that DeepSeek's law recommends: 0.3118 C^-.125, C in FLOP, non-embedding FLOPs per token × D (DeepSeek
/// LLM 2024 equation 1). Its runs have 1e17 to 2e19 FLOP.
fn deepseek_rate(compute: f64) -> f64 {
    0.3118 * libm::pow(compute, -0.125)
}

/// The batch in tokens that DeepSeek's law recommends: 0.2920 C^.3271 (DeepSeek LLM 2024 equation 1).
fn deepseek_batch(compute: f64) -> f64 {
    0.292 * libm::pow(compute, 0.3271)
}

/// The batch in tokens that takes 20 % more tokens than the least: 22.91 (D/1M)^.47 sequences of 512 tokens (Zhang 2024, on
/// models of 85M to 1.2B parameters).
fn critical_batch(tokens: f64) -> f64 {
    22.91 * libm::pow(tokens / 1e6, 0.47) * 512.0
}

/// The batch in tokens that takes twice the least tokens: 2e8 / L^(1/.21), L in nats per token (Kaplan 2020 §5.1).
fn kaplan_critical_batch(loss: f64) -> f64 {
    2e8 * libm::pow(loss, -1.0 / 0.21)
}

/// Tokens of a run over the least that reach its loss, where `overhead` is what the critical batch adds: 1 + o·B/B_crit
/// (McCandlish 2018 equation 2.11, whose critical batch has an overhead of 1).
fn tokens_over_least(batch: f64, critical: f64, overhead: f64) -> f64 {
    1.0 + overhead * batch / critical
}

/// Steps of a run over the least that reach its loss: 1 + B_crit/(o·B), the other side of [`tokens_over_least`].
fn steps_over_least(batch: f64, critical: f64, overhead: f64) -> f64 {
    1.0 + critical / (overhead * batch)
}

/// The compute that makes up for a share of the loss that is lost, over the run's: (r_after/r_before)^(1/g), with r the loss
/// above the law's floor and `power` the law's 1/g.
fn compute_for_lost(loss: f64, floor: f64, power: f64, lost: f64) -> f64 {
    libm::pow((loss * (1.0 + lost) - floor) / (loss - floor), power)
}
