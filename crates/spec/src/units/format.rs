//! Quantities as people read them. The spelling is the language's own, so that a figure of a report can be written
//! into a plan; only whole counts in tables are grouped by commas.

use super::{Dimension, Noun, Number, Unit};

/// How bytes are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytePrefix {
    /// KB, MB, GB: powers of ten.
    Decimal,
    /// KiB, MiB, GiB: powers of two.
    Binary,
}

const DECIMAL_BYTES: &[(f64, &str)] =
    &[(1.0, "bytes"), (1e3, "KB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"), (1e15, "PB")];
const BINARY_BYTES: &[(f64, &str)] = &[
    (1.0, "bytes"),
    (1024.0, "KiB"),
    (1_048_576.0, "MiB"),
    (1_073_741_824.0, "GiB"),
    (1_099_511_627_776.0, "TiB"),
    (1_125_899_906_842_624.0, "PiB"),
];
const COUNTS: &[(f64, &str)] = &[(1.0, ""), (1e5, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T")];
const MONEY: &[(f64, &str)] = &[(1.0, ""), (1e4, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T")];
const METRIC: &[(f64, &str)] =
    &[(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"), (1e15, "P"), (1e18, "E")];
const TIMES: &[(f64, &str)] =
    &[(1e-6, "us"), (1e-3, "ms"), (1.0, "s"), (120.0, "min"), (7_200.0, "h"), (172_800.0, "days")];

/// A quantity with its unit, to at most `digits` significant digits: `350.2 GB`, `3.14e23 FLOP`, `$4.6M`, `34 days`.
pub fn quantity(number: Number, unit: Unit, digits: usize, bytes: BytePrefix) -> String {
    // Where a scale is no power of ten, rounding waits until after the division.
    let precise = number.real();
    let value = round(precise, digits);
    if value < 0.0 {
        let positive = Number::Real(-precise);
        return format!("-{}", quantity(positive, unit, digits, bytes));
    }
    let byte_scale = if bytes == BytePrefix::Decimal { DECIMAL_BYTES } else { BINARY_BYTES };
    let (dimension, noun) = (unit.dimension, unit.noun);
    let scaled = if bytes == BytePrefix::Decimal { value } else { precise };
    if dimension == Dimension::BYTES {
        return prefixed(scaled, digits, byte_scale, " ", "");
    }
    if dimension == Dimension::BYTES.per_second() {
        return prefixed(scaled, digits, byte_scale, " ", "/s");
    }
    if dimension == Dimension::FLOP {
        return large(value, digits, "FLOP");
    }
    if dimension == Dimension::FLOP.per_second() {
        return large(value, digits, "FLOP/s");
    }
    if dimension == Dimension::TIME {
        return if noun == Some(Noun::Devices) {
            let hours = count(round(precise / 3600.0, digits), digits);
            format!("{hours} device-hours")
        } else {
            time(precise, digits)
        };
    }
    if dimension == Dimension::MONEY {
        return money(value, digits);
    }
    if dimension == Dimension::MONEY.per_second() {
        return format!("{} / h", money(round(precise * 3600.0, digits), digits));
    }
    if dimension == Dimension::ENERGY.per_second() {
        return prefixed(value, digits, METRIC, " ", "W");
    }
    if dimension == Dimension::ENERGY {
        let kilowatt_hours = precise / 3.6e6;
        return if kilowatt_hours < 1e4 {
            format!("{} kWh", plain(kilowatt_hours, digits))
        } else {
            format!("{} MWh", plain(kilowatt_hours / 1e3, digits))
        };
    }
    if dimension == Dimension::CARBON {
        return if value < 1e4 {
            format!("{} kgCO2", plain(value, digits))
        } else {
            format!("{} tCO2", plain(value / 1e3, digits))
        };
    }
    if dimension == (Dimension { carbon: 1, joule: -1, ..Dimension::NONE }) {
        return format!("{} kgCO2 / kWh", plain(precise * 3.6e6, digits));
    }
    if dimension == (Dimension { dollar: 1, byte: -1, second: -1, ..Dimension::NONE }) {
        return format!("{} / TB / (30 days)", money(round(precise * 1e12 * 2_592_000.0, digits), digits));
    }
    // Counts that a person reads digit by digit stay whole, whatever their precision.
    let whole = precise.fract() == 0.0 && precise < 1e5;
    let number = count(if whole { precise } else { value }, digits);
    let tail = match (dimension == Dimension::NONE, noun) {
        (true, None) => String::new(),
        (true, Some(noun)) => format!(" {}", noun.word()),
        _ => format!(" {}", unit.symbol()),
    };
    format!("{number}{tail}")
}

/// A whole number with its digits grouped by commas: `124,439,808`.
pub fn grouped(count: u128) -> String {
    group(count, ',')
}

/// A whole number as a plan spells it: `124_439_808`; short ones are left whole.
pub fn literal(count: u128) -> String {
    if count < 10_000 { count.to_string() } else { group(count, '_') }
}

/// A share as a percentage: `97.3%`, `0.04%`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let text = match percent.abs() {
        // Long numbers of percent are no easier to read, and break tables.
        size if size >= 1e7 => scientific(percent, 3),
        size if size >= 9.95 || size == 0.0 => trimmed(percent, 1),
        size if size >= 0.01 => trimmed(percent, 2),
        _ => format!("{}", round(percent, 2)),
    };
    format!("{text}%")
}

/// A difference relative to something, with its sign: `+2.5%`, `-0.01%`, `0%`.
pub fn signed_percent(share: f64) -> String {
    if share > 0.0 { format!("+{}", percent(share)) } else { percent(share) }
}

/// A plain number to at most `digits` significant digits, without a suffix: `0.4`, `1,024`, `2.5e-7`.
pub fn plain(value: f64, digits: usize) -> String {
    let value = round(value, digits);
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        return scientific(value, digits);
    }
    let whole_digits = if size < 1.0 { 0 } else { decimal_exponent(size) + 1 };
    let text = if size < 1.0 && size > 0.0 {
        trimmed(value, digits.saturating_add_signed(-(decimal_exponent(size) as isize) - 1))
    } else {
        trimmed(value, digits.saturating_sub(whole_digits as usize))
    };
    match text.split_once('.') {
        None => separate(&text),
        Some((whole, fraction)) => format!("{}.{fraction}", separate(whole)),
    }
}

/// A float rounded to so many significant digits: reports and formats never carry noise of the last bits.
pub fn round(value: f64, digits: usize) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value)
}

fn count(value: f64, digits: usize) -> String {
    if value.fract() == 0.0 && value < 1e5 {
        return separate(&format!("{value:.0}"));
    }
    if value >= 1e16 { scientific(value, digits) } else { prefixed(value, digits, COUNTS, "", "") }
}

fn money(dollars: f64, digits: usize) -> String {
    // What one sample or token costs.
    if dollars > 0.0 && dollars < 0.01 {
        return format!("${}", plain(dollars, digits.min(3)));
    }
    if dollars < 100.0 {
        return format!("${dollars:.2}");
    }
    format!("${}", prefixed(dollars, digits, MONEY, "", ""))
}

fn time(seconds: f64, digits: usize) -> String {
    let (scale, name) = pick(seconds, TIMES);
    let unit = match name {
        "min" => 60.0,
        "h" => 3_600.0,
        "days" => 86_400.0,
        _ => scale,
    };
    format!("{} {name}", plain(seconds / unit, digits))
}

fn large(value: f64, digits: usize, unit: &str) -> String {
    // Beyond exa the field writes powers of ten: 3.14e23 FLOP.
    if value >= 9.995e17 {
        return format!("{} {unit}", scientific(value, digits));
    }
    prefixed(value, digits, METRIC, " ", unit)
}

fn prefixed(value: f64, digits: usize, prefixes: &[(f64, &str)], gap: &str, unit: &str) -> String {
    let (scale, prefix) = pick(value, prefixes);
    let scale = if prefix == "k" { 1e3 } else { scale };
    format!("{}{gap}{prefix}{unit}", plain(value / scale, digits))
}

fn pick<'t>(value: f64, prefixes: &[(f64, &'t str)]) -> (f64, &'t str) {
    let fitting = prefixes.iter().rev().find(|(scale, _)| value >= *scale);
    fitting.or(prefixes.first()).copied().unwrap_or((1.0, ""))
}

/// What stands for a number that a float cannot hold: no report has a word that no plan can.
const TOO_LARGE: &str = "over 1.7e308";

fn scientific(value: f64, digits: usize) -> String {
    if value.is_infinite() {
        return TOO_LARGE.to_owned();
    }
    let text = format!("{value:.*e}", digits.saturating_sub(1));
    match text.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => {
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

fn trimmed(value: f64, places: usize) -> String {
    if value.is_infinite() {
        return TOO_LARGE.to_owned();
    }
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn decimal_exponent(size: f64) -> i32 {
    let text = format!("{size:e}");
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

fn separate(digits: &str) -> String {
    match digits.strip_prefix('-') {
        Some(digits) => format!("-{}", separate(digits)),
        None => digits.parse().map_or_else(|_| digits.to_owned(), grouped),
    }
}

fn group(count: u128, separator: char) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(value: f64, unit: Unit) -> String {
        quantity(Number::Real(value), unit, 4, BytePrefix::Decimal)
    }

    #[test]
    fn reads_as_the_field_writes() {
        assert_eq!(show(140e9, Unit::BYTES), "140 GB");
        assert_eq!(show(999.96e6, Unit::BYTES), "1 GB");
        assert_eq!(quantity(Number::Int(24_159_191_040), Unit::BYTES, 4, BytePrefix::Binary), "22.5 GiB");
        assert_eq!(show(3.14159e23, Unit::FLOP), "3.142e23 FLOP");
        assert_eq!(show(350e9, Unit::FLOP), "350 GFLOP");
        assert_eq!(show(312e12, Unit::FLOP_PER_SECOND), "312 TFLOP/s");
        assert_eq!(show(174_604_000_000.0, Unit::PARAMS), "174.6B params");
        assert_eq!(show(2048.0, Unit::NONE), "2,048");
        assert_eq!(show(0.4, Unit::NONE), "0.4");
        assert_eq!(show(300e9, Unit::TOKENS), "300B tokens");
        assert_eq!(show(123_456.0, Unit::TOKENS_PER_SECOND), "123.5k tokens/s");
        assert_eq!(show(34.0 * 86_400.0, Unit::TIME), "34 days");
        assert_eq!(show(0.0125, Unit::TIME), "12.5 ms");
        assert_eq!(show(2.0 / 3600.0, Unit::MONEY_PER_TIME), "$2.00 / h");
        assert_eq!(show(4_600_000.0, Unit::MONEY), "$4.6M");
        assert_eq!(show(-41_000.0, Unit::MONEY), "-$41k");
        assert_eq!(show(0.0, Unit::BYTES), "0 bytes");
        assert_eq!(show(2.5e-7, Unit::NONE), "2.5e-7");
        assert_eq!(show(f64::INFINITY, Unit::TOKENS), "over 1.7e308 tokens");
        let carbon = Unit { dimension: Dimension { carbon: 1, joule: -1, ..Dimension::NONE }, noun: None };
        assert_eq!(show(0.42 / 3.6e6, carbon), "0.42 kgCO2 / kWh");
        let storage = Dimension { dollar: 1, byte: -1, second: -1, ..Dimension::NONE };
        let storage = Unit { dimension: storage, noun: None };
        assert_eq!(show(0.02 / 1e9 / 2_592_000.0, storage), "$20.00 / TB / (30 days)");
        let device_hours = Unit { noun: Some(Noun::Devices), ..Unit::TIME };
        assert_eq!(show(3.552e6 * 3600.0, device_hours), "3.552M device-hours");
    }

    #[test]
    fn shares_and_counts() {
        assert_eq!(percent(0.9731), "97.3%");
        assert_eq!(percent(0.00041), "0.04%");
        assert_eq!(percent(0.0), "0%");
        assert_eq!(percent(14.358), "1435.8%");
        assert_eq!(percent(2_804_679.631), "2.8e8%");
        assert_eq!(percent(f64::INFINITY), "over 1.7e308%");
        assert_eq!(signed_percent(0.025), "+2.5%");
        assert_eq!(signed_percent(-0.0001), "-0.01%");
        assert_eq!(grouped(124_439_808), "124,439,808");
        assert_eq!(literal(12_288), "12_288");
        assert_eq!(literal(2048), "2048");
    }
}
