//! The devices of the catalog against published figures, read through the language as a plan reads them.

use llmplan_analysis::report::Report;
use llmplan_spec::catalog;
use llmplan_spec::plan::{Device, DeviceKind, Origin, Peak, Plan};
use llmplan_tests::{reports, resolved};
use serde_json::Value;

/// Published figures of 24 devices, each with its source. Peaks are dense, links are in one direction.
const PUBLISHED: &str = include_str!("../data/hardware.json");

/// A published row, the catalog's name for it, and GB/s of network for each device: what `inter_node` says, divided.
const ROWS: [(&str, &str, Option<f64>); 24] = [
    // DGX-1: four 100 Gb/s adapters for eight devices.
    ("V100-SXM2-16/32GB", "v100-sxm-32gb", Some(6.25)),
    ("A100-SXM-40GB", "a100-40gb", Some(25.0)),
    ("A100-SXM-80GB", "a100-80gb", Some(25.0)),
    ("H100-SXM-80GB", "h100-sxm", Some(50.0)),
    ("H100-NVL-94GB", "h100-nvl", None),
    ("H200-SXM-141GB", "h200-sxm", Some(50.0)),
    ("H800-SXM-80GB", "h800-sxm", Some(50.0)),
    ("B200-SXM", "b200-sxm", Some(50.0)),
    ("B300-SXM", "b300-sxm", Some(100.0)),
    ("L4", "l4", None),
    ("A10G", "a10g", None),
    ("A40", "a40", None),
    ("RTX-3090", "rtx-3090", None),
    ("RTX-5090", "rtx-5090", None),
    ("MI300X", "mi300x", Some(50.0)),
    ("MI355X", "mi355x", Some(50.0)),
    // 25 GB/s for a host of four.
    ("TPU v4", "tpu-v4", Some(6.25)),
    ("TPU v5p", "tpu-v5p", None),
    ("TPU v7x", "tpu-v7x", None),
    ("Trainium2", "trainium2", Some(25.0)),
    // 3 of its 24 ports of 200 Gb/s: docs.habana.ai, network configuration.
    ("Gaudi3", "gaudi3", Some(75.0)),
    ("Apple M2 Ultra (GPU)", "m2-ultra", None),
    ("Apple M3 Max 40-core (GPU)", "m3-max", None),
    ("AMD EPYC 9654 socket (96c, AVX-512)", "epyc-9654", None),
];

/// Figures that the catalog has otherwise than the row, and why: (device, figure, the catalog's).
const OTHERWISE: [(&str, &str, Option<f64>); 6] = [
    // The row is one of six links; `link` is all of them.
    ("tpu-v4", "link", Some(6.0 * 45e9)),
    ("tpu-v5p", "link", Some(6.0 * 90e9)),
    // The row is all 24 ports; 3 of them leave the node.
    ("gaudi3", "link", Some(600e9 - 75e9)),
    // The row calls its own figure doubtful.
    ("b300-sxm", "int8", None),
    // The row is AMD's figure in fp64: 16 FLOP a cycle and core, where fp32 has 32. Nothing printed is behind its bf16.
    ("epyc-9654", "fp32", Some(10.9e12)),
    ("epyc-9654", "bf16", None),
];

#[test]
fn published_devices_have_their_figures() {
    let published: Value = serde_json::from_str(PUBLISHED).unwrap();
    let rows = published["hardware"].as_array().unwrap();
    assert_eq!(rows.len(), ROWS.len());
    let (mut compared, mut otherwise) = (0, 0);
    for (row, (label, name, network)) in rows.iter().zip(ROWS) {
        assert_eq!(row["name"], label);
        let (plan, device) = plan(name);
        let mut figures: Vec<(&str, Option<f64>, Option<f64>)> = vec![
            ("memory", scaled(&row["memory_gb"], 1e9), device.memory.map(|bytes| bytes as f64)),
            ("memory_bandwidth", row["mem_bw_bytes_per_s"].as_f64(), device.memory_bandwidth),
            ("link", row["interconnect_bytes_per_s_per_direction"].as_f64(), device.link),
            ("network", network.map(|share| share * 1e9), device.network),
            ("power", row["tdp_w"].as_f64(), device.power),
        ];
        let declared = matches!(plan.setting("device.devices_per_node").unwrap().origin, Origin::Declared(_));
        let per_node = declared.then_some(device.devices_per_node as f64);
        figures.push(("devices_per_node", row["devices_per_node"].as_f64(), per_node));
        if let Some(pcie) = pcie(row["pcie"].as_str()).filter(|_| device.kind == DeviceKind::Accelerator) {
            figures.push(("host_link", Some(pcie), device.host_link));
        }
        figures
            .extend(peaks(&device.peak).map(|(kind, ours)| (kind, row["dense_flops"][kind].as_f64(), ours)));
        for (figure, printed, ours) in figures {
            let exception = OTHERWISE.iter().find(|(device, other, _)| (*device, *other) == (name, figure));
            let expected = match exception {
                Some((_, _, value)) => {
                    otherwise += 1;
                    assert!(printed.is_some() && !same(printed, *value), "{name} {figure} is as printed");
                    *value
                }
                None => printed,
            };
            compared += usize::from(expected.is_some());
            assert!(same(expected, ours), "{name} {figure}: printed {printed:?}, in the catalog {ours:?}");
        }
        prices(name, row, &device);
    }
    assert_eq!(otherwise, OTHERWISE.len());
    assert!(compared > 190, "{compared}");
}

/// The range of list prices is one of those that are printed; none is there where none is printed.
fn prices(name: &str, row: &Value, device: &Device) {
    let printed: Vec<(f64, f64)> = row["price_usd_per_hour"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|range| (range["low"].as_f64().unwrap(), range["high"].as_f64().unwrap()))
        .collect();
    let ours = device.price_low.zip(device.price_high).map(|(low, high)| (low * 3600.0, high * 3600.0));
    match ours {
        None => assert!(printed.is_empty(), "{name} has no price, printed: {printed:?}"),
        Some((low, high)) => {
            let found =
                printed.iter().any(|range| same(Some(range.0), Some(low)) && same(Some(range.1), Some(high)));
            assert!(found, "{name}: {low} to {high}, printed: {printed:?}");
        }
    }
}

/// GB/s in one direction of 16 lanes, as NVIDIA's sheets print it for both.
fn pcie(text: Option<&str>) -> Option<f64> {
    match text? {
        "PCIe3 x16" => Some(16e9),
        "PCIe4 x16" => Some(32e9),
        "PCIe5 x16" | "PCIe5" => Some(64e9),
        _ => None,
    }
}

/// A sheet with sparsity, a link in both directions or a slipped digit breaks one of these.
#[test]
fn figures_of_a_device_fit_together() {
    let names: Vec<&str> = catalog::names("device").collect();
    assert!(names.len() >= 36, "{}", names.len());
    for name in names {
        let (_, device) = plan(name);
        let peak = &device.peak;
        let at_most = |what: &str, small: Option<f64>, large: Option<f64>| {
            if let (Some(small), Some(large)) = (small, large) {
                assert!(small <= large, "{name}: {what}: {small} is above {large}");
            }
        };
        at_most("fp32 and tf32", peak.fp32, peak.tf32);
        at_most("tf32 and bf16", peak.tf32, peak.bf16);
        at_most("fp32 and fp16", peak.fp32, peak.fp16);
        at_most("fp16 and bf16", peak.fp16, peak.bf16);
        at_most("bf16 and fp8", peak.bf16, peak.fp8);
        at_most("bf16 and int8", peak.bf16, peak.int8);
        at_most("fp8 and fp4", peak.fp8, peak.fp4);
        at_most("network and link", device.network, device.link);
        at_most("link and memory", device.link, device.memory_bandwidth);
        at_most("host link and memory", device.host_link, device.memory_bandwidth);
        at_most("prices", device.price_low, device.price_high);
        if nvidia(name) {
            let times = |what: &str, base: Option<f64>, times: f64, value: Option<f64>| {
                if let (Some(base), Some(value)) = (base, value) {
                    let ratio = value / base;
                    assert!((ratio / times - 1.0).abs() < 0.03, "{name}: {what} is {ratio}, not {times}");
                }
            };
            // GeForce halves what accumulates in fp32, and int8 does not.
            let int8 = if name.starts_with("rtx-") { 4.0 } else { 2.0 };
            times("bf16 / tf32", peak.tf32, 2.0, peak.bf16);
            times("bf16 / fp16", peak.fp16, 1.0, peak.bf16);
            times("fp8 / bf16", peak.bf16, 2.0, peak.fp8);
            times("int8 / fp16", peak.fp16, int8, peak.int8);
        }
    }
}

#[test]
fn every_device_says_what_it_is_and_where_its_figures_are_from() {
    for entry in catalog::ENTRIES.iter().filter(|entry| entry.kind == "device") {
        let name = entry.name;
        let (plan, device) = plan(name);
        assert!(plan.setting("device.source").is_some(), "{name} has no source");
        assert!(device.memory_bandwidth.is_some(), "{name} has no memory bandwidth");
        assert!(
            device.memory.is_some() || device.kind == DeviceKind::Host,
            "{name} has no memory, and is no host"
        );
        assert_eq!(device.price_low.is_some(), device.price_high.is_some(), "{name}: half a range of prices");
        assert_eq!(device.price_low.is_some(), device.price_as_of.is_some(), "{name}: a price has a date");
        let comment = entry.text.lines().next().unwrap_or_default();
        assert!(comment.starts_with("# ") && comment.contains("(20"), "{name}: a name and a year come first");
    }
}

/// What the catalog says beyond a plan's needs is not held against the plan; what the plan itself says is shown.
#[test]
fn a_report_lists_what_the_user_declares_without_effect_and_not_what_the_catalog_does() {
    const TITLE: &str = "Declared, without effect on these numbers";
    let listed = |report: &Report| {
        let notes = report.sections.iter().filter(|section| section.title == TITLE);
        notes.flat_map(|section| section.notes.clone()).collect::<Vec<_>>()
    };
    let text = text("h100-sxm");
    assert_eq!(listed(&only(&text)), Vec::<String>::new());
    let own = "device mine extends h100-sxm {\n  peak {\n    int8 = 1 PFLOP/s\n  }\n}\n";
    let notes = listed(&only(&(text.replace("device = h100-sxm", "device = mine") + own)));
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("`device.peak.int8`"), "{notes:?}");
}

/// A plan may take its price from the catalog.
#[test]
fn a_list_price_can_be_the_price() {
    let text = text("h100-sxm").replace("devices = 1", "devices = 1\n  price = device.price_high");
    let (_, resolution) = resolved(&text);
    assert!(resolution.diagnostics.is_empty(), "{:?}", resolution.diagnostics);
    let hardware = resolution.plans[0].hardware.as_ref().unwrap();
    assert!(same(hardware.price, Some(5.0 / 3600.0)), "{:?}", hardware.price);
}

fn text(device: &str) -> String {
    format!(
        "model tiny {{\n  layers = 2\n  d_model = 64\n  vocab = 1000\n\n  attention {{\n    heads = 4\n  }}\n}}\n\
         hardware {{\n  device = {device}\n  devices = 1\n}}\n"
    )
}

fn plan(device: &str) -> (Plan, Device) {
    let (_, mut resolution) = resolved(&text(device));
    assert!(resolution.diagnostics.is_empty(), "{device}: {:?}", resolution.diagnostics);
    let plan = resolution.plans.remove(0);
    let device = plan.hardware.as_ref().unwrap().device.clone();
    (plan, device)
}

fn only(text: &str) -> Report {
    reports(text).unwrap_or_else(|diagnostics| panic!("{text}\n{diagnostics:#?}")).remove(0)
}

fn peaks(peak: &Peak) -> [(&'static str, Option<f64>); 7] {
    [
        ("fp32", peak.fp32),
        ("tf32", peak.tf32),
        ("fp16", peak.fp16),
        ("bf16", peak.bf16),
        ("fp8", peak.fp8),
        ("fp4", peak.fp4),
        ("int8", peak.int8),
    ]
}

fn nvidia(name: &str) -> bool {
    let families = ["v100", "a100", "a800", "h100", "h200", "h800", "gh200", "b200", "b300", "gb200", "rtx-"];
    families.iter().any(|family| name.starts_with(family))
        || ["t4", "l4", "l40", "l40s", "a10", "a10g", "a40"].contains(&name)
}

fn scaled(value: &Value, scale: f64) -> Option<f64> {
    value.as_f64().map(|value| value * scale)
}

/// Equal, but for the last bits of a float.
fn same(expected: Option<f64>, found: Option<f64>) -> bool {
    match (expected, found) {
        (Some(expected), Some(found)) => (found / expected - 1.0).abs() < 1e-12,
        (None, None) => true,
        _ => false,
    }
}
