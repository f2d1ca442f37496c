//! Every unit the language knows, and what people coming from other tools write instead.

use super::{Dimension, Noun, Rational, Unit};

/// A named unit.
#[derive(Clone, Copy, Debug)]
pub struct NamedUnit {
    /// Its spelling.
    pub name: &'static str,
    /// What one of it is worth in base units.
    pub scale: Rational,
    /// What it measures.
    pub unit: Unit,
}

const fn row(name: &'static str, above: i128, below: i128, unit: Unit) -> NamedUnit {
    NamedUnit { name, scale: Rational { above, below }, unit }
}

const fn dimension(dimension: Dimension) -> Unit {
    Unit { dimension, noun: None }
}

const HERTZ: Unit = dimension(Dimension::NONE.per_second());
const ENERGY: Unit = dimension(Dimension::ENERGY);
const CARBON: Unit = dimension(Dimension::CARBON);

/// The units, in the order of the reference. Singular and plural of a noun are the same unit.
pub const UNITS: &[NamedUnit] = &[
    row("bytes", 1, 1, Unit::BYTES),
    row("byte", 1, 1, Unit::BYTES),
    row("KB", 1_000, 1, Unit::BYTES),
    row("MB", 1_000_000, 1, Unit::BYTES),
    row("GB", 1_000_000_000, 1, Unit::BYTES),
    row("TB", 1_000_000_000_000, 1, Unit::BYTES),
    row("PB", 1_000_000_000_000_000, 1, Unit::BYTES),
    row("KiB", 1 << 10, 1, Unit::BYTES),
    row("MiB", 1 << 20, 1, Unit::BYTES),
    row("GiB", 1 << 30, 1, Unit::BYTES),
    row("TiB", 1 << 40, 1, Unit::BYTES),
    row("PiB", 1 << 50, 1, Unit::BYTES),
    row("FLOP", 1, 1, Unit::FLOP),
    row("kFLOP", 1_000, 1, Unit::FLOP),
    row("MFLOP", 1_000_000, 1, Unit::FLOP),
    row("GFLOP", 1_000_000_000, 1, Unit::FLOP),
    row("TFLOP", 1_000_000_000_000, 1, Unit::FLOP),
    row("PFLOP", 1_000_000_000_000_000, 1, Unit::FLOP),
    row("EFLOP", 1_000_000_000_000_000_000, 1, Unit::FLOP),
    row("ZFLOP", 1_000_000_000_000_000_000_000, 1, Unit::FLOP),
    row("YFLOP", 1_000_000_000_000_000_000_000_000, 1, Unit::FLOP),
    row("tokens", 1, 1, noun(Noun::Tokens)),
    row("token", 1, 1, noun(Noun::Tokens)),
    row("params", 1, 1, noun(Noun::Params)),
    row("param", 1, 1, noun(Noun::Params)),
    row("devices", 1, 1, noun(Noun::Devices)),
    row("device", 1, 1, noun(Noun::Devices)),
    row("sequences", 1, 1, noun(Noun::Sequences)),
    row("sequence", 1, 1, noun(Noun::Sequences)),
    row("us", 1, 1_000_000, Unit::TIME),
    row("ms", 1, 1_000, Unit::TIME),
    row("s", 1, 1, Unit::TIME),
    row("min", 60, 1, Unit::TIME),
    row("h", 3_600, 1, Unit::TIME),
    row("day", 86_400, 1, Unit::TIME),
    row("days", 86_400, 1, Unit::TIME),
    row("week", 604_800, 1, Unit::TIME),
    row("weeks", 604_800, 1, Unit::TIME),
    row("Hz", 1, 1, HERTZ),
    row("kHz", 1_000, 1, HERTZ),
    row("MHz", 1_000_000, 1, HERTZ),
    row("GHz", 1_000_000_000, 1, HERTZ),
    row("W", 1, 1, Unit::POWER),
    row("kW", 1_000, 1, Unit::POWER),
    row("MW", 1_000_000, 1, Unit::POWER),
    row("GW", 1_000_000_000, 1, Unit::POWER),
    row("J", 1, 1, ENERGY),
    row("Wh", 3_600, 1, ENERGY),
    row("kWh", 3_600_000, 1, ENERGY),
    row("MWh", 3_600_000_000, 1, ENERGY),
    row("GWh", 3_600_000_000_000, 1, ENERGY),
    row("gCO2", 1, 1_000, CARBON),
    row("kgCO2", 1, 1, CARBON),
    row("tCO2", 1_000, 1, CARBON),
];

const fn noun(noun: Noun) -> Unit {
    Unit { dimension: Dimension::NONE, noun: Some(noun) }
}

/// The unit of a name.
pub fn lookup(name: &str) -> Option<&'static NamedUnit> {
    UNITS.iter().find(|unit| unit.name == name)
}

/// What a magnitude suffix multiplies by: `k M B T`.
pub fn magnitude(suffix: &str) -> Option<i128> {
    match suffix {
        "k" => Some(1_000),
        "M" => Some(1_000_000),
        "B" => Some(1_000_000_000),
        "T" => Some(1_000_000_000_000),
        _ => None,
    }
}

/// What to write for a unit that other tools spell differently: the advice, ready to print.
pub fn advice(name: &str) -> Option<String> {
    let rows: &[(&[&str], &str)] = &[
        (&["TFLOPS", "TFLOPs", "Tflops", "tflops"], "write `TFLOP/s` for a rate, `TFLOP` for an amount"),
        (&["GFLOPS", "GFLOPs", "gflops"], "write `GFLOP/s` for a rate, `GFLOP` for an amount"),
        (&["PFLOPS", "PFLOPs", "pflops"], "write `PFLOP/s` for a rate, `PFLOP` for an amount"),
        (&["EFLOPS", "EFLOPs", "eflops"], "write `EFLOP/s` for a rate, `EFLOP` for an amount"),
        (&["FLOPS", "FLOPs", "flops", "flop"], "write `FLOP/s` for a rate, `FLOP` for an amount"),
        (
            &[
                "Kb", "kb", "Mb", "Gb", "Tb", "Kbit", "Mbit", "Gbit", "Kbps", "Mbps", "Gbps", "Tbps", "bits",
                "bit",
            ],
            "bits are not a unit here: divide by 8 and write bytes, such as `25 GB/s` for 200 Gb/s",
        ),
        (&["B"], "`B` is billion and is attached to the digits, as in `7B`; bytes are `7 bytes` or `7 GB`"),
        (
            &["K", "Ki"],
            "a thousand is `k`, attached to the digits: `128k` is 128,000; write 131,072 out as `131_072`",
        ),
        (&["k", "M", "T"], "a magnitude is attached to the digits, as in `15T`"),
        (&["b"], "a billion is `B`, as in `7B`; bytes are `7 bytes` or `7 GB`"),
        (&["m"], "a million is `M`, as in `7M`; a minute is `min`"),
        (&["t"], "a trillion is `T`, as in `15T`"),
        (&["hr", "hrs", "hour", "hours", "H"], "write `h`"),
        (&["sec", "secs", "second", "seconds", "S"], "write `s`"),
        (&["minute", "minutes", "mins"], "write `min`"),
        (&["d", "D", "Days", "Day"], "write `days`"),
        (&["w", "wk", "wks"], "write `weeks`"),
        (&["month", "months", "mo"], "months differ in length: write `days` or `weeks`"),
        (&["year", "years", "yr"], "years differ in length: write `365 days` or `52 weeks`"),
        (&["usd", "USD", "dollars", "dollar", "Usd"], "write `$` before the number, as in `$2.00 / h`"),
        (&["eur", "EUR", "euro", "euros", "GBP", "CNY"], "money is in US dollars: `$2.00 / h`"),
        (&["percent", "pct"], "write `%`"),
        (&["gb", "Gib", "gib"], "write `GB` (10^9 bytes) or `GiB` (2^30 bytes)"),
        (&["mb", "Mib", "mib"], "write `MB` (10^6 bytes) or `MiB` (2^20 bytes)"),
        (&["kB", "kib", "Kib"], "write `KB` (1,000 bytes) or `KiB` (1,024 bytes)"),
        (&["tb", "Tib", "tib"], "write `TB` (10^12 bytes) or `TiB` (2^40 bytes)"),
        (&["tok", "toks", "Tokens", "Token"], "write `tokens`"),
        (&["parameters", "parameter", "Params"], "write `params`"),
        (&["gpu", "gpus", "GPU", "GPUs", "chips", "tpus", "cards"], "write `devices`"),
        (&["seq", "seqs", "samples", "sample"], "write `sequences`"),
        (&["watt", "watts", "Watt"], "write `W`"),
        (&["µs", "usec"], "write `us`"),
    ];
    rows.iter().find(|(names, _)| names.contains(&name)).map(|(_, advice)| (*advice).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_advice_is_for_names_that_are_no_units() {
        for (at, unit) in UNITS.iter().enumerate() {
            assert!(UNITS[..at].iter().all(|other| other.name != unit.name), "{} twice", unit.name);
            assert!(unit.scale.above > 0 && unit.scale.below > 0);
        }
        for name in ["TFLOPS", "Gb", "B", "hours", "USD", "GPUs"] {
            assert!(lookup(name).is_none() && advice(name).is_some(), "{name}");
        }
    }
}
