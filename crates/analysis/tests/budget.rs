//! Budgets: limits become compute, compute becomes the best model, and that a shape.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use llmplan_analysis::budget::optimum::{Bounds, Supply, best, loss_with};
use llmplan_analysis::budget::shape::{Degrees, NoShape, Shape, TOLERANCE, counted, shape};
use llmplan_analysis::budget::{band, bounds, sequence};
use llmplan_spec::diagnostic::Severity;
use llmplan_spec::plan::{LawParams, Plan};
use support::{diagnostics, model, number, plan, report};

/// The compute of Chinchilla and Gopher (Hoffmann 2022 §4).
const GOPHER: f64 = 5.76e23;

const GPT2: &str = "model m {\n layers = 12\n d_model = 768\n vocab = 50_257\n context = 1024\n tied_embeddings = true\n \
                    output_bias = false\n attention {\n heads = 12\n position = learned\n qkv_bias = true\n output_bias = true\n }\n \
                    ffn {\n kind = gelu\n bias = true\n }\n norm {\n kind = layernorm\n }\n}\n";
const LLAMA: &str = "model m {\n layers = 32\n d_model = 4096\n vocab = 32_000\n attention {\n heads = 32\n kv_heads = 8\n }\n \
                     ffn {\n kind = swiglu\n d_ff = 14_336\n }\n}\n";
const TIED: &str = "model m {\n layers = 26\n d_model = 2304\n vocab = 32_000\n tied_embeddings = true\n attention {\n heads = 8\n \
                    kv_heads = 4\n head_dim = 256\n }\n ffn {\n kind = geglu\n d_ff = 9216\n }\n}\n";
const EXPERTS: &str = "model m {\n layers = 32\n d_model = 4096\n vocab = 32_000\n attention {\n heads = 32\n kv_heads = 8\n }\n \
                       ffn {\n kind = swiglu\n }\n moe {\n experts = 8\n experts_per_token = 2\n d_ff = 14_336\n }\n}\n";

/// Hardware whose time is one device's at 1 PFLOP/s × 40%, without interruptions worth a mention.
const CLUSTER: &str = "hardware {\n device = mine\n devices = 8\n price = $2 / h\n mtbf = 1e9 h\n}\n\
                       device mine {\n memory = 80 GB\n power = 700 W\n peak {\n bf16 = 1000 TFLOP/s\n }\n}\n\
                       training {\n sequence = 2048\n global_batch = 64 sequences\n mfu = 40%\n}\n";

fn law_of(text: &str) -> Plan {
    plan(&format!("{text}budget {{\n compute = {GOPHER} FLOP\n}}\n"))
}

#[test]
fn the_compute_of_chinchilla_is_best_spent_as_its_law_says() {
    let report = report(&format!("{}budget {{\n compute = 5.76e23 FLOP\n}}\n", model(80, 8192, 64, 32_000)));
    let near = |path: &str, expected: f64, tolerance: f64| {
        let found = number(&report, path);
        assert!((found / expected - 1.0).abs() < tolerance, "{path} is {found}, not {expected}");
    };
    near("budget.optimal_params", 73.19e9, 1e-3);
    near("budget.optimal_tokens", 1.312e12, 1e-3);
    near("budget.tokens_per_param", 17.92, 1e-3);
    near("budget.loss", 1.9739, 1e-4);
    near("budget.extrapolation", 5.76e23 / 1.3e22, 1e-9);
    let (low, high) = report.get("budget.optimal_params").unwrap().interval.unwrap();
    assert!(low <= 40.5e9 && high >= 300e9, "the band holds all laws: {low} {high}");
}

/// N* grows as C^a: twice the budget, 2^a times the parameters.
#[test]
fn twice_the_budget_is_a_power_of_two_more_parameters() {
    let plan = law_of(&model(2, 512, 8, 32_000));
    for law in &plan.laws {
        let at = |compute: f64| best(law, compute, &Bounds::default()).unwrap();
        let exponent = |from: f64| (at(2.0 * from).params / at(from).params).log2();
        assert!((exponent(1e20) - exponent(1e24)).abs() < 1e-9, "{}", law.name);
        let spent = 6.0 * at(1e23).params * at(1e23).tokens;
        let own = law.allocation.is_none();
        assert!(!own || (spent / 1e23 - 1.0).abs() < 1e-9, "{} spends {spent}", law.name);
        if law.name == "chinchilla_refit" {
            assert!((exponent(1e22) - 0.513_899).abs() < 1e-5);
        }
    }
}

/// Each limit alone allows what its arithmetic says; of all of them the least holds, and is named.
#[test]
fn the_tightest_limit_binds() {
    let rate = 8.0 * 1e15 * 0.4;
    let kept = |report: &llmplan_analysis::report::Report| number(report, "training.goodput");
    let text = |limits: &str| format!("{}{CLUSTER}budget {{\n{limits}}}\n", model(24, 2048, 16, 32_000));
    let cases = [
        ("compute", "1e21 FLOP", 1e21),
        ("device_hours", "800 h", rate * 3600.0 * 100.0),
        ("cost", "$1600", rate * 3600.0 * 100.0),
        ("time", "10 days", rate * 864_000.0),
    ];
    for (word, amount, expected) in cases {
        let report = report(&text(&format!(" {word} = {amount}\n")));
        let goodput = if word == "compute" { 1.0 } else { kept(&report) };
        let found = number(&report, "budget.flops");
        assert!((found / (expected * goodput) - 1.0).abs() < 1e-9, "{word} allows {found}");
        assert_eq!(report.get("budget.limit").unwrap().display, word);
        assert_eq!(number(&report, &format!("budget.allows.{word}")), found);
    }
    let all: String = cases.iter().map(|(word, amount, _)| format!(" {word} = {amount}\n")).collect();
    let report = report(&text(&format!("{all} energy = 1 GWh\n")));
    let least = cases
        .iter()
        .map(|(word, ..)| number(&report, &format!("budget.allows.{word}")))
        .fold(f64::MAX, f64::min);
    assert_eq!(number(&report, "budget.flops"), least);
    assert_eq!(report.get("budget.limit").unwrap().display, "compute");
    assert!(number(&report, "budget.allows.energy") > least);
}

/// Energy over power is time.
#[test]
fn energy_is_time_at_what_the_site_draws() {
    let text = |limit: &str| {
        format!("{}{CLUSTER}data {{\n tokens = 1B\n}}\nbudget {{\n{limit}}}\n", model(24, 2048, 16, 32_000))
    };
    let first = report(&text(" energy = 100 MWh\n"));
    let watts = number(&first, "training.energy") / number(&first, "training.calendar_time");
    let seconds = 100.0 * 3.6e9 / watts;
    let second = report(&text(&format!(" time = {seconds} s\n")));
    let (one, other) = (number(&first, "budget.flops"), number(&second, "budget.flops"));
    assert!((one / other - 1.0).abs() < 1e-9, "{one} {other}");
}

/// What a plan takes is what a budget of that much allows: its share is then all of it.
#[test]
fn a_budget_of_what_the_plan_takes_is_used_up() {
    let text = |budget: &str| {
        format!("{}{CLUSTER}data {{\n tokens = 20B\n}}\n{budget}", model(24, 2048, 16, 32_000))
    };
    let own = report(&text(""));
    assert!(
        own.get("budget.flops").is_none() && own.sections.iter().all(|section| section.title != "Budget")
    );
    let hours = number(&own, "training.device_hours") / 3600.0;
    let cases = [
        format!("cost = ${}", number(&own, "training.cost")),
        format!("device_hours = {hours} h"),
        format!("time = {} s", number(&own, "training.calendar_time")),
        format!("compute = {} FLOP", number(&own, "training.flops")),
        format!("energy = {} kWh", number(&own, "training.energy") / 3.6e6),
    ];
    for limit in cases {
        let found = report(&text(&format!("budget {{\n {limit}\n}}\n")));
        let share = number(&found, "budget.plan_share");
        assert!((share - 1.0).abs() < 1e-6, "{limit}: {share}");
        assert!(number(&found, "budget.loss_of_plan") >= number(&found, "budget.loss"));
        assert!((0.0..1.0).contains(&number(&found, "budget.waste")));
    }
}

/// Where data ends, the best along 6ND = C is what a fine scan finds.
#[test]
fn a_data_limited_optimum_is_the_best_of_a_scan() {
    let plan = law_of(&model(2, 512, 8, 32_000));
    for law in plan.laws.iter().chain([&plan.law]) {
        for (compute, unique, epochs) in [(1e22, 10e9, 4.0), (5.76e23, 200e9, 16.0), (1e21, 1e9, 8.0)] {
            let supply = Supply::single(unique, epochs);
            let bounds = Bounds { supply: Some(supply.clone()), served: 0.0 };
            let found = best(law, compute, &bounds).unwrap();
            assert!(found.tokens <= supply.most() * (1.0 + 1e-9), "{}", law.name);
            let Some(loss) = found.loss.filter(|_| found.free_tokens > unique) else { continue };
            let scan = (1..=4000_u32).map(|at| unique * epochs.powf(f64::from(at) / 4000.0));
            let at = |tokens: f64| loss_with(law, Some(&supply), compute / 6.0 / tokens, tokens).unwrap();
            let least = scan.map(at).fold(f64::INFINITY, f64::min);
            assert!(loss <= least + 1e-9, "{}: {loss} is above {least}", law.name);
            assert!(least - loss < 1e-3, "{}: {loss} is below {least}", law.name);
        }
    }
}

/// Muennighoff 2023 §5: for the compute of 8.67B parameters on 178B tokens and 25B distinct ones, about 27% fewer parameters
/// on 242B tokens, 9.7 epochs, are best, where the law without repetition says 8.67B.
#[test]
fn few_distinct_tokens_are_best_seen_more_often_by_a_smaller_model() {
    let plan = law_of(&model(2, 512, 8, 32_000));
    let compute = 6.0 * 8.67e9 * 178e9;
    for name in ["muennighoff", "chinchilla_refit"] {
        let law = plan.laws.iter().find(|law| law.name == name).unwrap();
        let free = best(law, compute, &Bounds::default()).unwrap();
        let bounds = Bounds { supply: Some(Supply::single(25e9, 40.0)), served: 0.0 };
        let found = best(law, compute, &bounds).unwrap();
        assert!((found.params / 6.34e9 - 1.0).abs() < 0.1, "{name}: {found:?}");
        assert!((found.epochs.unwrap() / 9.7 - 1.0).abs() < 0.1, "{name}: {found:?}");
        assert!((0.65..0.85).contains(&(found.params / free.params)), "{name}: {free:?}");
    }
}

/// The report has that optimum, not the one without repetition, and the same loss of the plan as its scaling.
#[test]
fn a_report_has_the_optimum_of_the_data_that_there_is() {
    for unique in ["25B", "100B", "160B", "200B"] {
        let text = format!(
            "{}data {{\n tokens = 200B\n source web {{\n raw = {unique}\n weight = 100%\n }}\n}}\nbudget {{\n compute = 9.26e21 \
             FLOP\n}}\n",
            model(48, 4096, 32, 32_000)
        );
        let (plan, report) = (plan(&text), report(&text));
        let found = best(&plan.law, 9.26e21, &bounds(&plan, false)).unwrap();
        for (path, value) in [
            ("budget.optimal_params", found.params),
            ("budget.optimal_tokens", found.tokens),
            ("budget.loss", found.loss.unwrap()),
            ("budget.epochs", found.epochs.unwrap()),
            ("budget.loss_of_plan", number(&report, "scaling.loss")),
        ] {
            let shown = number(&report, path);
            assert!((shown / value - 1.0).abs() < 1e-9, "{path} of {unique}: {shown}, not {value}");
        }
    }
}

/// A mixture of two halves that last equally long is one source.
#[test]
fn sources_that_last_equally_long_are_one() {
    let text = |sources: &str| {
        let data = format!("data {{\n tokens = 400B\n{sources}}}\n");
        plan(&format!(
            "{}{data}budget {{\n compute = {GOPHER} FLOP\n max_epochs = 8\n}}\n",
            model(2, 512, 8, 32_000)
        ))
    };
    let one = text(" source a {\n raw = 100B\n weight = 100%\n }\n");
    let two = text(
        " source a {\n raw = 75B\n weight = 75%\n }\n source b {\n raw = 50B\n filter = keep 50%\n weight = 25%\n }\n",
    );
    let of = |plan: &Plan| best(&plan.law, GOPHER, &bounds(plan, false)).unwrap();
    let (one, two) = (of(&one), of(&two));
    assert!((one.tokens / two.tokens - 1.0).abs() < 1e-6 && (one.params / two.params - 1.0).abs() < 1e-6);
    assert!(one.epochs.unwrap() > 1.0 && one.epochs.unwrap() <= 8.0 + 1e-9);
}

/// Serving from the same compute makes models smaller, and nothing on the line of equal compute is better.
#[test]
fn what_is_served_makes_the_best_model_smaller() {
    let plan = law_of(&model(2, 512, 8, 32_000));
    let law = &plan.law;
    let mut before = best(law, GOPHER, &Bounds::default()).unwrap();
    for served in [1e11, 1e12, 1e13] {
        let found = best(law, GOPHER, &Bounds { supply: None, served }).unwrap();
        assert!(found.params < before.params && found.loss > before.loss);
        let spent = found.params * (6.0 * found.tokens + 2.0 * served);
        assert!((spent / GOPHER - 1.0).abs() < 1e-9);
        for factor in [0.9, 0.999, 1.001, 1.1] {
            let params = found.params * factor;
            let tokens = (GOPHER / params - 2.0 * served) / 6.0;
            assert!(loss_with(law, None, params, tokens).unwrap() > found.loss.unwrap());
        }
        before = found;
    }
}

/// A shape is within the tolerance, keeps what the plan's model is, and is what can be divided.
#[test]
fn shapes_come_within_one_percent_of_every_size() {
    let degrees = [(1, 1), (8, 1), (4, 8)].map(|(tensor, pipeline)| Degrees { tensor, pipeline });
    for (text, least) in [(GPT2, 8e7), (LLAMA, 5e7), (TIED, 5e7), (EXPERTS, 3e8)] {
        let plan = plan(text);
        for degrees in degrees {
            let mut params = least * degrees.tensor as f64 * degrees.pipeline as f64;
            while params < 2e12 {
                let found = shape(&plan.model, params, LawParams::Total, sequence(&plan), degrees)
                    .unwrap_or_else(|none| panic!("{params} with {degrees:?} of {text}: {none:?}"));
                sound(&plan, &found, params, degrees);
                params *= 2.7;
            }
        }
    }
}

fn sound(plan: &Plan, found: &Shape, params: f64, degrees: Degrees) {
    let words = format!("{} of {params}: {} × {}", plan.name, found.layers, found.d_model);
    assert!(found.gap(params).abs() <= TOLERANCE, "{words}: {}", found.gap(params));
    assert_eq!(counted(&found.model, LawParams::Total, sequence(plan)), Some(found.counted), "{words}");
    assert_eq!(found.counted, llmplan_analysis::count(&found.model).unwrap().1, "{words}");
    assert_eq!(found.layers % degrees.pipeline, 0, "{words}");
    assert_eq!(found.heads % degrees.tensor, 0, "{words}");
    assert_eq!(found.heads % found.kv_heads, 0, "{words}");
    assert_eq!(found.d_model % 64, 0, "{words}");
    assert_eq!(found.d_ff.unwrap() % (64 * degrees.tensor), 0, "{words}");
    let aspect = found.d_model as f64 / found.layers as f64;
    assert!((20.0..=500.0).contains(&aspect), "{words}: {aspect}");
    let (own, new) = (&plan.model, &found.model);
    assert_eq!((own.vocab, own.tied_embeddings, own.norm), (new.vocab, new.tied_embeddings, new.norm));
}

/// The shape that a plan has already is what its own parameters give, or one as near.
#[test]
fn the_same_question_has_the_same_answer() {
    let plan = plan(LLAMA);
    let ask =
        || shape(&plan.model, 7.2e9, LawParams::Total, sequence(&plan), Degrees { tensor: 1, pipeline: 1 });
    let found = ask().unwrap();
    assert_eq!(found, ask().unwrap());
    assert_eq!((found.heads / found.kv_heads, found.head_dim), (4, 128));
}

#[test]
fn what_cannot_be_scaled_says_why() {
    let latent = plan("plan p {\n model = deepseek-v3\n}\n");
    let one = Degrees { tensor: 1, pipeline: 1 };
    let found = shape(&latent.model, 1e10, LawParams::Total, sequence(&latent), one);
    assert!(matches!(found, Err(NoShape::Kinds(_))), "{found:?}");
    let wide = plan(&model(12, 768, 12, 4_000_000));
    let found = shape(&wide.model, 1e7, LawParams::Total, sequence(&wide), one);
    assert!(matches!(found, Err(NoShape::None(_))), "{found:?}");
}

/// The conventions of laws count one model in their own ways.
#[test]
fn parameters_are_counted_as_the_law_does() {
    let plan = plan(LLAMA);
    let count = |params| counted(&plan.model, params, sequence(&plan)).unwrap();
    let tables = 2 * 32_000 * 4096;
    assert_eq!(count(LawParams::Total) - count(LawParams::NonEmbedding), tables);
    // 6N of products and the scores over 2048 tokens: 4·L·T·d for each token of a forward pass.
    let scores = 4 * 32 * 2048 * 4096 / 2;
    let norms = 4096 * 65;
    assert_eq!(count(LawParams::FlopsPerToken), count(LawParams::NonEmbedding) - norms + scores);
}

#[test]
fn what_does_not_fit_or_is_short_is_told_with_its_arithmetic() {
    let base = model(12, 768, 12, 50_257);
    let told = |rest: &str| {
        let found = diagnostics(&format!("{base}{rest}"));
        assert_eq!(found.len(), 1, "{found:#?}");
        (found[0].code.as_str(), found[0].severity, found[0].notes.join("; "))
    };
    let (code, severity, note) = told("budget {\n compute = 1e14 FLOP\n}\n");
    assert_eq!((code, severity), ("budget-too-small", Severity::Error));
    assert!(note.contains("50,257 words"), "{note}");
    let (code, severity, note) = told(&format!("{CLUSTER}budget {{\n time = 1 ms\n}}\n"));
    assert_eq!((code, severity), ("budget-too-small", Severity::Error));
    assert!(note.contains("a step takes 131.1k tokens"), "{note}");
    let data = "data {\n tokens = 400B\n source web {\n raw = 200B\n weight = 100%\n }\n}\n";
    let (code, severity, note) =
        told(&format!("{data}budget {{\n compute = 5.76e23 FLOP\n max_epochs = 4\n}}\n"));
    assert_eq!((code, severity), ("data-short", Severity::Warning));
    assert!(note.contains("1.31T tokens; 200B tokens distinct × 4 epochs = 800B tokens"), "{note}");
    let (code, severity, _) = told("budget {\n compute = 1e27 FLOP\n}\n");
    assert_eq!((code, severity), ("extrapolated", Severity::Warning));
}

/// Where sources do not last equally long, the epochs that are told are of the one that is seen most often.
#[test]
fn epochs_are_of_the_scarcest_source() {
    let text = format!(
        "{LLAMA}data {{\n tokens = 100B\n source few {{\n raw = 100B\n weight = 60%\n }}\n source many {{\n raw = 10T\n weight = 40%\n \
         }}\n}}\nbudget {{\n compute = 1e23 FLOP\n max_epochs = 4\n}}\n"
    );
    let report = report(&text);
    let epochs = 0.6 * number(&report, "budget.optimal_tokens") / 100e9;
    assert!(number(&report, "budget.epochs") < 0.1 && epochs > 2.0, "{epochs}");
    let told = |cell: &String| cell.contains(&format!("{epochs:.2} epochs of `few`"));
    assert!(report.sections.iter().any(|own| own.rows.iter().any(|row| row.cells.iter().any(told))));
}

/// Where serving would take all of the budget there is no model that it leaves anything for, and adapters have no best model:
/// both are said in the table.
#[test]
fn no_model_is_made_of_what_is_not_left() {
    let notes = |rest: &str| {
        let report =
            report(&format!("{LLAMA}data {{\n tokens = 1T\n}}\n{rest}budget {{\n compute = 1e21 FLOP\n}}\n"));
        let section = report.sections.iter().find(|section| section.title == "Budget").unwrap();
        (report.get("budget.lifetime.params").is_some(), section.notes.join(" "))
    };
    let (some, none) = ("inference {\n demand = 100B\n}\n", "inference {\n demand = 1e18\n}\n");
    assert!(notes(some).0 && !notes(some).1.contains("leaves no compute"));
    assert!(!notes(none).0 && notes(none).1.contains("leaves no compute"), "{:?}", notes(none));
    let report = report(&format!("{LLAMA}data {{\n tokens = 1T\n}}\nbudget {{\n compute = 1e21 FLOP\n}}\n"));
    assert_eq!(number(&report, "budget.waste"), 0.0);
    assert!(report.sections.iter().any(|section| {
        section
            .rows
            .iter()
            .any(|row| row.cells.iter().any(|cell| cell == "that loss takes more than the budget"))
    }));
    assert!(notes("training {\n lora {\n rank = 8\n }\n}\n").1.contains("with adapters"));
}

/// What serves divides a shape as what trains does.
#[test]
fn a_shape_is_divided_by_those_that_serve() {
    let text =
        format!("{LLAMA}inference {{\n tensor = 8\n}}\ntraining {{\n parallelism {{\n tensor = 4\n }}\n}}\n");
    let plan = plan(&text);
    let degrees = Degrees::of(&plan);
    assert_eq!((degrees.tensor, degrees.pipeline), (8, 1));
    let found = shape(&plan.model, 44.8e9, LawParams::Total, sequence(&plan), degrees).unwrap();
    assert!(found.heads.is_multiple_of(8));
    assert!(found.kv_heads.is_multiple_of(8) || 8_u64.is_multiple_of(found.kv_heads), "{found:?}");
}

/// Every law has a place in the band, and the plan's own once.
#[test]
fn the_band_has_every_law() {
    let plan = law_of(&model(2, 512, 8, 32_000));
    let found = band(&plan, GOPHER, &Bounds::default());
    assert_eq!(found.len(), plan.laws.len());
    assert!(found.windows(2).all(|pair| pair[0].1.params <= pair[1].1.params));
    assert_eq!(found.iter().filter(|(law, _)| law.name == plan.law.name).count(), 1);
}

/// No number of a plan makes a question run on or overflow.
#[test]
fn absurd_questions_have_answers() {
    let wide = "model m {\n layers = 1000000000000\n d_model = 1000000000000\n vocab = 1000000000000\n attention {\n \
                heads = 1000000000000\n head_dim = 1000000000000\n }\n}\n";
    for text in [wide, LLAMA] {
        let plan = plan(text);
        for degrees in [1, 7, 1 << 40, u64::MAX].map(|degree| Degrees { tensor: degree, pipeline: degree }) {
            for params in [0.0, 1.0, 1e15, 1e17, 1e30, f64::INFINITY, f64::NAN] {
                let found = shape(&plan.model, params, LawParams::Total, sequence(&plan), degrees);
                assert!(found.is_err() || found.unwrap().gap(params).abs() <= TOLERANCE, "{params}");
            }
        }
    }
    let plan = law_of(LLAMA);
    for law in &plan.laws {
        for compute in [1e-300, 1.0, 1e60, 1e300] {
            for (unique, served) in [(1.0, 0.0), (1e300, 1e300), (1e12, 1.0)] {
                let bounds = Bounds { supply: Some(Supply::single(unique, 4.0)), served };
                let _ = best(law, compute, &bounds);
            }
        }
    }
}
