//! Efficiency × resources: the table multiplies to the run's FLOPs times its gains, gains become loss by the law, and the
//! progress of recipes is what was published.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod support;

use llmplan_analysis::efficiency::{doubling, progress};
use llmplan_analysis::report::Grade;
use llmplan_tests::formulas::formulas_hold;
use support::{diagnostics, model, number, report};

const MUON: &str = "gain muon {\n compute = 1.2\n lever = optimizer\n source = \"a test\"\n}\n";
const DATA: &str = "gain data {\n compute = 1.5\n lever = data\n source = \"another test\"\n}\n";
const WORSE: &str = "gain rush {\n compute = 0.8\n source = \"a third\"\n}\n";
const HARDWARE: &str = "hardware {\n device = h100-sxm\n devices = 64\n price = $2 / h\n}\n";

#[test]
fn effective_compute_is_the_runs_flops_times_the_gains() {
    for convention in ["", "convention {\n flops = executed\n}\n"] {
        for checkpointing in ["none", "full"] {
            for (gains, product) in [(MUON.to_owned(), 1.2), ([MUON, DATA, WORSE].concat(), 1.44)] {
                let training = format!("mfu = 40%\n checkpointing = {checkpointing}");
                let report = report(&plan(HARDWARE, &training, &format!("{convention}{gains}")));
                let value = |path: &str| number(&report, path);
                close(value("efficiency.gains"), product);
                let resources = value("efficiency.peak") * value("efficiency.hours");
                let all = resources * value("efficiency.mfu") * value("efficiency.goodput") * product;
                close(value("efficiency.effective_compute"), all);
                close(value("efficiency.effective_compute"), value("training.flops") * product);
                assert!(formulas_hold(&report) > 60);
            }
        }
    }
}

#[test]
fn without_hardware_the_flops_are_still_worth_what_gains_say() {
    let report = report(&plan("", "", MUON));
    close(number(&report, "efficiency.effective_compute"), number(&report, "training.flops") * 1.2);
    assert!(report.get("efficiency.peak").is_none());
}

/// At the law's optimum a gain is worth what so many times the compute is: L* at C·gain.
#[test]
fn a_gain_moves_the_loss_as_compute_does() {
    let gain = "gain all {\n compute = 2\n source = \"a test\"\n}\n";
    let law = "law mine {\n e = 1.8\n a = 480\n b = 2100\n alpha = 0.35\n beta = 0.37\n source = \"a test\"\n compute_high = 1e26 FLOP\n}\n";
    let text = |tokens: &str| {
        format!(
            "{}data {{\n tokens = {tokens}\n}}\ntraining {{\n}}\n{law}{gain}",
            model(12, 1024, 16, 50_000)
        )
    };
    let first = report(&text("5B"));
    let (n, e) = (number(&first, "scaling.params"), 1.8);
    let tokens = (0.37 * 2100.0 / (0.35 * 480.0) * n.powf(0.35)).powf(1.0 / 0.37);
    let report = report(&text(&format!("{}", tokens.round())));
    let g = 0.35 * 0.37 / (0.35 + 0.37);
    let (before, after) = (number(&report, "scaling.loss"), number(&report, "efficiency.loss"));
    close((before - e) / (after - e), 2_f64.powf(g));
    // The optimum of twice the compute, by the closed form: N* grows as C^(β/(α+β)).
    let (big_n, big_d) = (n * 2_f64.powf(0.37 / 0.72), tokens.round() * 2_f64.powf(0.35 / 0.72));
    let optimum = e + 480.0 / big_n.powf(0.35) + 2100.0 / big_d.powf(0.37);
    assert!((after - optimum).abs() < 1e-9, "{after} for {optimum}");
    assert_eq!(report.get("efficiency.loss").unwrap().grade, Grade::Fitted);
}

#[test]
fn near_the_floor_and_far_from_its_runs_a_law_says_nothing_of_gains() {
    let law = |a: &str, b: &str, high: &str| {
        format!(
            "law mine {{\n e = 1.8\n a = {a}\n b = {b}\n alpha = 0.35\n beta = 0.37\n source = \"a test\"\n compute_high = {high}\n}}\n"
        )
    };
    for (law, words) in [
        (law("10", "2", "1e30 FLOP"), "above the floor"),
        (law("480", "2100", "1e17 FLOP"), "is extrapolated ×"),
    ] {
        let found = report(&plan("", "", &format!("{law}{MUON}")));
        assert!(found.get("scaling.loss").is_some() && found.get("efficiency.loss").is_none());
        let table = found.sections.iter().find(|section| section.title == "Efficiency × resources").unwrap();
        assert!(table.notes.iter().any(|note| note.contains(words)), "{table:?}");
    }
    let within = report(&plan("", "", &format!("{}{MUON}", law("480", "2100", "1e18 FLOP"))));
    assert!(within.get("efficiency.loss").is_some());
}

#[test]
fn the_table_is_there_where_it_has_something_to_say() {
    let has = |text: &str| {
        let report = report(text);
        let table = report.sections.iter().find(|section| section.title == "Efficiency × resources");
        table.map_or(0, |table| table.rows.len())
    };
    assert_eq!(has(&plan(HARDWARE, "mfu = 40%", "")), 0);
    assert_eq!(has(&plan(HARDWARE, "mfu = 40%\n recipe_year = 2024", "")), 1);
    let most = [MUON, DATA, WORSE].concat();
    assert_eq!(has(&plan(HARDWARE, "mfu = 40%\n recipe_year = 2024", &most)), 10);
    let many: String = (0..6).map(|at| MUON.replace("muon", &format!("g{at}"))).collect();
    assert_eq!(has(&plan(HARDWARE, "mfu = 40%\n recipe_year = 2024", &many)), 8);
}

/// GPU-hours and emissions of the model cards of Llama 2, 3 and 3.1, and GPU-hours of DeepSeek-V3's report: 6ND over all hours
/// and dense 16-bit peaks is an MFU of 14% to 43%; emissions over hours × TDP are what `hardware.carbon` rests on.
#[test]
fn published_runs_come_out() {
    let runs = [
        ("llama-2-7b", "2T", "a100-80gb", 184_320.0, 39.1, Some(31.22)),
        ("llama-2-13b", "2T", "a100-80gb", 368_640.0, 37.7, Some(62.44)),
        ("llama-2-70b", "2T", "a100-80gb", 1_720_320.0, 42.9, Some(291.42)),
        ("llama-3-8b", "15T", "h100-sxm", 1.3e6, 15.6, Some(390.0)),
        ("llama-3-70b", "15T", "h100-sxm", 6.4e6, 27.9, Some(1900.0)),
        ("llama-3.1-8b", "15T", "h100-sxm", 1.46e6, 13.9, Some(420.0)),
        ("llama-3.1-70b", "15T", "h100-sxm", 7.0e6, 25.5, Some(2040.0)),
        ("llama-3.1-405b", "15.6T", "h100-sxm", 3.084e7, 34.5, Some(8930.0)),
        ("deepseek-v3", "14.8T", "h800-sxm", 2.664e6, 34.9, None),
    ];
    for (model, tokens, device, hours, mfu, tons) in runs {
        let text = format!(
            "plan p {{\n model = {model}\n}}\ndata {{\n tokens = {tokens}\n}}\nhardware {{\n device = {device}\n devices = 8\n}}\n"
        );
        let device = support::plan(&text).hardware.unwrap().device;
        let capacity = hours * 3600.0 * device.peak.bf16.unwrap();
        let own = number(&report(&text), "scaling.compute") / capacity;
        assert!((own * 100.0 / mfu - 1.0).abs() < 0.015, "{model}: {own}, not {mfu}%");
        let Some(tons) = tons else { continue };
        let each = tons * 1e3 / (hours * device.power.unwrap() / 1e3);
        assert!((0.410..0.430).contains(&each), "{model}: {each} kg of CO2 for a kWh");
    }
}

/// Hernandez 2020: 44 times over the 7 years from 2012, "doubling every 16 months": 44 times is every 15.4 months, and 16
/// months are 38 times.
#[test]
fn published_progress_comes_out() {
    assert_eq!(format!("{:.1}", doubling(84.0, 44.0)), "15.4");
    assert_eq!(format!("{:.0}", progress(84.0, 16.0)), "38");
    for (months, times) in [(8.0, 8.0), (22.0, 2.13), (2.0, 4096.0)] {
        let actual = progress(24.0, months);
        assert!((actual / times - 1.0).abs() < 1e-3, "{actual} at {months}");
        close(doubling(24.0, actual), months);
    }
}

#[test]
fn the_year_of_a_recipe_is_context_and_changes_nothing() {
    let (without, with) = (
        report(&plan(HARDWARE, "mfu = 40%", MUON)),
        report(&plan(HARDWARE, "mfu = 40%\n recipe_year = 2024", MUON)),
    );
    let progress = with.get("efficiency.algorithmic_progress").unwrap();
    close(progress.value.number().unwrap(), 8.0);
    let (low, high) = progress.interval.unwrap();
    assert!((low - 2.13).abs() < 1e-2 && (high - 4096.0).abs() < 1e-6, "{low} to {high}");
    assert_eq!(progress.grade, Grade::Assumed);
    for quantity in &without.quantities {
        assert_eq!(with.get(&quantity.path).unwrap().value, quantity.value, "{}", quantity.path);
    }
    let declared =
        report(&plan("", "recipe_year = 2019\n recipe_base = 2012\n recipe_doubling = 487 days", ""));
    let progress = declared.get("efficiency.algorithmic_progress").unwrap();
    assert_eq!(format!("{:.0}", progress.value.number().unwrap()), "38");
    assert_eq!(progress.interval, None);
}

#[test]
fn conditions_see_gains_by_name() {
    let gains = format!("{MUON}require {{\n efficiency.gain.muon >= 1.1\n efficiency.gains < 1.3\n}}\n");
    let found = report(&plan("", "", &gains));
    assert!(found.requirements.iter().all(|requirement| requirement.holds), "{found:#?}");
    let lacks = diagnostics(&plan("", "", "require {\n efficiency.gains > 1\n}\n"));
    assert_eq!(lacks[0].code.as_str(), "not-computable");
    assert!(format!("{lacks:?}").contains("gain"), "{lacks:?}");
}

fn plan(hardware: &str, training: &str, rest: &str) -> String {
    let model = model(12, 1024, 16, 50_000);
    format!(
        "{model}data {{\n tokens = 20B\n}}\n{hardware}training {{\n sequence = 2048\n {training}\n}}\n{rest}"
    )
}

fn close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= 1e-9 * expected.abs(), "{actual} for {expected}");
}
