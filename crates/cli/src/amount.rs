//! Amounts on the command line, in the units of the language.

use llmplan_spec::units::table::lookup;
use llmplan_spec::units::{Number, Unit, parse_decimal};

/// A time, more than none, in seconds: `60s`, `2.5 min`.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let seconds = amount(text, Unit::TIME, "60s")?.real();
    if seconds > 0.0 { Ok(seconds) } else { Err("there must be some time".to_owned()) }
}

/// A whole number of bytes: `8GiB`, `1.5 GB`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let bytes = amount(text, Unit::BYTES, "8GiB")?.count().ok_or("that is no whole number of bytes")?;
    u64::try_from(bytes).map_err(|_| "that is too large".to_owned())
}

/// An amount of computation, more than none, in FLOP: `5.76e23 FLOP`.
pub(crate) fn flops(text: &str) -> Result<f64, String> {
    let flops = amount(text, Unit::FLOP, "5.76e23 FLOP")?.real();
    if flops > 0.0 { Ok(flops) } else { Err("there must be some computation".to_owned()) }
}

/// A number and the name of its unit, which must be of the same kind as `unit`.
fn amount(text: &str, unit: Unit, example: &str) -> Result<Number, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let name = text.get(digits.len()..).unwrap_or_default();
    if name.is_empty() {
        return Err(format!("there is no unit; write `{example}`"));
    }
    let named = lookup(name)
        .filter(|named| named.unit == unit)
        .ok_or_else(|| format!("`{name}` is no unit for this; write `{example}`"))?;
    match parse_decimal(digits.trim_end(), named.scale) {
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err("that is too large".to_owned()),
        None => Err(format!("`{}` is no number; write `{example}`", digits.trim_end())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a panic is how a test fails
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_units_of_the_language() {
        assert_eq!(seconds("60s"), Ok(60.0));
        assert_eq!(seconds("2min"), Ok(120.0));
        assert_eq!(seconds(" 1.5 h "), Ok(5400.0));
        assert_eq!(seconds("250ms"), Ok(0.25));
        assert_eq!(bytes("8GiB"), Ok(8 << 30));
        assert_eq!(bytes("1.5GB"), Ok(1_500_000_000));
        assert_eq!(bytes("1e3 bytes"), Ok(1000));
        assert_eq!(flops("5.76e23 FLOP"), Ok(5.76e23));
        assert_eq!(flops("2ZFLOP"), Ok(2e21));
    }

    #[test]
    fn other_texts_are_refused_with_an_example() {
        for text in ["", "60", "s", "60 sec", "60GB", "-1s", "1..5s", "0s", "1e999s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        for text in ["8", "8GB/s", "8s", "0.5bytes", "1e30 PB", "8 gb"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        for text in ["5e23", "0 FLOP", "5e23 FLOP/s", "1e999 FLOP"] {
            assert!(flops(text).is_err(), "{text}");
        }
        assert_eq!(seconds("60").unwrap_err(), "there is no unit; write `60s`");
        assert_eq!(bytes("8 gb").unwrap_err(), "`gb` is no unit for this; write `8GiB`");
    }
}
