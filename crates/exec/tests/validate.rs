//! Plans that are validated: within their limits, and with rows that can fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use std::sync::{Mutex, PoisonError};

use candle_core::Device;
use llmplan_exec::meter::allocator::{self, Counting};
use llmplan_exec::trial;
use llmplan_exec::validate::{
    Extent, Limits, Row, Tolerance, Validation, choose, compare, measurement, needed, scaled, validate,
};
use llmplan_spec::loader::{LoadError, Loader};
use llmplan_spec::plan::Plan;
use llmplan_spec::resolve::{Request, resolve};
use llmplan_spec::source::{Source, SourceKind, Sources};
use llmplan_spec::units::Date;
use llmplan_tests::resolved;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocator counts the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a test with nothing beside it, in a thread that is gone before the next begins: what a thread kept is freed with
/// it.
fn alone(test: impl FnOnce() + Send + 'static) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(panic) = std::thread::spawn(test).join() {
        std::panic::resume_unwind(panic);
    }
}

const MIXED: &str = "model mixed {
  layers = 6
  d_model = 96
  vocab = 1000
  context = 64

  mtp {
    depth = 1
  }

  attention {
    heads = 6
    kv_heads = 2
    window = 16
  }

  ffn {
    kind = swiglu
    d_ff = 200
  }

  layer sparse {
    at = every 3
    moe {
      experts = 8
      experts_per_token = 2
      d_ff = 64
    }
  }
}

training {
  precision = fp32
  optimizer = adam8bit
  sequence = 64
  micro_batch = 2
  checkpointing = selective
}
";

fn plan(text: &str) -> Plan {
    let (_, resolution) = resolved(text);
    assert!(resolution.diagnostics.is_empty(), "{:?}", resolution.diagnostics);
    resolution.plans.into_iter().next().unwrap()
}

fn limits(seconds: f64, memory: u64) -> Limits {
    Limits { seconds, memory, steps: 1, rate: 50e9, fused: true }
}

/// What is announced is kept: the process stays below its limit, and the forecast comes close.
#[test]
fn a_validation_stays_within_its_memory() {
    alone(|| {
        let plan = plan(MIXED);
        let memory = 300 << 20;
        let before = allocator::live();
        allocator::reset_peak();
        let found = validate(&plan, &Device::Cpu, &limits(600.0, memory), &mut |_| ()).unwrap();
        assert_eq!(found.extent, Extent::Whole);
        let out: Vec<&Row> = found.rows().filter(|row| !row.holds).collect();
        assert!(out.is_empty(), "{out:#?}");
        // The last trial's peaks have been reset: the rows say what they were.
        let peaks = found.rows().filter(|row| row.quantity.starts_with("memory.peak"));
        let most = peaks.map(|row| row.measured.real()).fold(0.0, f64::max);
        assert!(most > 0.0 && most + before as f64 <= memory as f64);
        cited(&found);
    });
}

/// The files that a plan cites.
struct File(String);

impl Loader for File {
    fn load(&self, path: &str) -> Result<String, LoadError> {
        if path == "mine.measured.llm" { Ok(self.0.clone()) } else { Err(LoadError::NotFound) }
    }

    fn root(&self) -> String {
        ".".to_owned()
    }
}

/// A measurement is canonical, and a plan that cites it has its numbers.
fn cited(found: &Validation) {
    let text = measurement(found, Date { year: 2026, month: 11, day: 25 }).unwrap();
    let formatted = llmplan_spec::format::format(&text, llmplan_spec::source::FileId(0));
    assert!(formatted.diagnostics.is_empty(), "{:?}\n{text}", formatted.diagnostics);
    assert_eq!(formatted.text, text);
    let model = MIXED.split("training {").next().unwrap();
    let plan = format!(
        "{model}hardware {{\n  device = a100-80gb\n  devices = 1\n  measured = \"mine.measured.llm\"\n}}\n\ntraining {{\n  precision = {}\n}}\n",
        found.precision
    );
    let mut sources = Sources::default();
    let file = sources.add(Source { name: "plan.llm".to_owned(), text: plan, kind: SourceKind::File });
    let resolution = resolve(Request {
        sources: &mut sources,
        file,
        path: "plan.llm",
        loader: &File(text.clone()),
        params: &llmplan_analysis::count,
        set: &[],
    });
    assert!(resolution.diagnostics.is_empty(), "{:?}\n{text}", resolution.diagnostics);
    let read = resolution.plans[0].hardware.as_ref().unwrap().measured.as_ref().unwrap();
    let near = |one: f64, other: f64| (one / other - 1.0).abs() < 1e-3;
    let run = found.runs.last().unwrap();
    assert!(near(read.matmul_peak, found.matmul_peak) && near(read.achieved, run.achieved), "{text}");
    assert_eq!((read.tokens, read.precision.word()), (run.tokens, found.precision));
    assert_eq!(read.classes.len(), run.classes.len());
    assert!(read.memory_overhead.is_some() && read.peak_ratio.is_some());
}

/// Whatever the limits are, what is chosen is forecast to keep them, and less of the plan is run where they are tighter.
#[test]
fn choices_keep_to_their_limits() {
    alone(|| {
        let plan = plan(MIXED);
        let mut extents = Vec::new();
        for memory in [72, 80, 100, 140, 400, 4000] {
            for seconds in [0.05, 1.0, 100.0] {
                let limits = limits(seconds, memory << 20);
                let Ok(choice) = choose(&plan, &limits) else { continue };
                assert!(!choice.runs.is_empty());
                assert!(choice.runs.iter().all(|run| needed(run.forecast.peak) <= u128::from(limits.memory)));
                assert!(choice.extent != Extent::Proxies || choice.runs.len() >= 4, "{}", choice.why);
                extents.push(choice.extent);
            }
        }
        assert!(extents.contains(&Extent::Whole) && extents.contains(&Extent::Proxies), "{extents:?}");
        assert!(choose(&plan, &limits(100.0, 1 << 20)).is_err());
    });
}

/// A slope is a layer, the intercept is what is around them.
#[test]
fn slices_add_up_to_the_whole() {
    alone(|| {
        // Wide and of many layers: it fits in no memory, and two of its layers do.
        let text = "model deep {
  layers = 400
  d_model = 256
  vocab = 2000
  context = 32

  attention {
    heads = 4
  }

  ffn {
    kind = swiglu
    d_ff = 700
  }
}
";
        let plan = plan(text);
        let found = validate(&plan, &Device::Cpu, &limits(1e4, 400 << 20), &mut |_| ()).unwrap();
        assert_eq!(found.extent, Extent::Slices, "{}", found.why);
        assert!(found.holds());
        let whole: Vec<&Row> = found.whole.iter().filter(|row| row.tolerance == Tolerance::Exact).collect();
        assert_eq!(whole.len(), found.whole.len());
        let of = |quantity: &str| whole.iter().find(|row| row.quantity == quantity).unwrap().measured.real();
        // Four matrices of attention, three of the network, two norms; around them two tables and a norm.
        let layer = 4 * 256 * 256 + 3 * 256 * 700 + 2 * 256;
        assert_eq!(of("whole.model.params"), f64::from(400 * layer + 2 * 2000 * 256 + 256));
        assert_eq!(of("whole.memory.optimizer.first_moment"), 4.0 * of("whole.model.params"));
        assert!(of("whole.flops.forward") > 2e8 && of("whole.activations") > 0.0);
    });
}

/// What a trial would do otherwise than the plan says is refused by its name, and nothing runs.
#[test]
fn what_is_not_run_is_refused() {
    let words = |more: &str| {
        let plan = plan(&MIXED.replace("  precision = fp32\n", &format!("  precision = fp32\n  {more}\n")));
        choose(&plan, &limits(600.0, 1 << 30)).err().map(|refused| refused.0)
    };
    assert_eq!(words("loss_scale = 2"), None);
    for (attribute, name) in [
        ("matmul = tf32", "training.matmul = tf32"),
        ("dropout = 10%", "training.dropout"),
        ("main_gradients = whole", "training.main_gradients = whole"),
        ("optimizer_states = bf16", "training.optimizer_states = bf16"),
        ("offload_activations = true", "training.offload_activations = true"),
        ("offload = parameters", "training.offload = parameters"),
    ] {
        let said = words(attribute).unwrap_or_default();
        assert!(said.contains(&format!("`{name}`")), "{attribute}: {said}");
    }
}

/// A graph that is not the one that ran is found out.
#[test]
fn wrong_predictions_fail() {
    alone(|| {
        let plan = plan(MIXED);
        let choice = choose(&plan, &limits(600.0, 1 << 30)).unwrap();
        let run = &choice.runs[0];
        let done = trial(&run.graph, &run.setup, &Device::Cpu, &mut |_| ()).unwrap();
        let out: Vec<Row> = compare(run, &done).into_iter().filter(|row| !row.holds).collect();
        assert!(out.is_empty(), "{out:#?}");
        let mut wrong = run.clone();
        wrong.graph.blocks[1].operators[1].weights[0].columns += 1;
        wrong.setup.sequences += 1;
        let rows = compare(&wrong, &done);
        for path in ["model.params", "model.params.qkv", "flops.forward", "flops.backward", "activations"] {
            assert!(rows.iter().any(|row| row.quantity == path && !row.holds), "{path}");
        }
    });
}

/// Every size of a ladder is smaller than the next, and has all kinds of layers.
#[test]
fn ladders_keep_the_architecture() {
    alone(|| {
        let plan = plan(MIXED);
        let mut before = 0;
        for width in [16, 32, 64, 96] {
            let small = scaled(&plan.model, width, 64);
            assert_eq!(small.kinds.len(), plan.model.kinds.len());
            assert_eq!(small.mtp, 1);
            let graph = llmplan_analysis::graph::lower(&small);
            let params = llmplan_analysis::folds::params(&graph).unwrap().total().unwrap();
            assert!(params > before);
            before = params;
        }
    });
}
