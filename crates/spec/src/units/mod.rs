//! Quantities: numbers with dimensions. The one place where units are spelled, for plans and for reports alike.

mod date;
pub mod format;
mod number;
pub mod table;

pub use date::Date;
pub use number::{Number, NumberError, Rational, parse_decimal};

/// Exponents of the base dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dimension {
    /// Base unit: byte.
    pub byte: i8,
    /// Base unit: FLOP, one floating-point operation; a multiply-add is two.
    pub flop: i8,
    /// Base unit: second.
    pub second: i8,
    /// Base unit: US dollar.
    pub dollar: i8,
    /// Base unit: joule.
    pub joule: i8,
    /// Base unit: kilogram of CO2 equivalent.
    pub carbon: i8,
}

impl Dimension {
    /// No dimension: a plain number or a count.
    pub const NONE: Dimension = Dimension { byte: 0, flop: 0, second: 0, dollar: 0, joule: 0, carbon: 0 };
    /// Bytes.
    pub const BYTES: Dimension = Dimension { byte: 1, ..Dimension::NONE };
    /// FLOP.
    pub const FLOP: Dimension = Dimension { flop: 1, ..Dimension::NONE };
    /// Seconds.
    pub const TIME: Dimension = Dimension { second: 1, ..Dimension::NONE };
    /// Dollars.
    pub const MONEY: Dimension = Dimension { dollar: 1, ..Dimension::NONE };
    /// Joules.
    pub const ENERGY: Dimension = Dimension { joule: 1, ..Dimension::NONE };
    /// Kilograms of CO2 equivalent.
    pub const CARBON: Dimension = Dimension { carbon: 1, ..Dimension::NONE };

    /// This dimension per second.
    pub const fn per_second(self) -> Dimension {
        Dimension { second: self.second - 1, ..self }
    }

    /// The dimension of a product; `None` when an exponent leaves −128..=127.
    pub fn times(self, other: Dimension) -> Option<Dimension> {
        self.zip(other, i8::checked_add)
    }

    /// The dimension of a ratio; `None` when an exponent leaves −128..=127.
    pub fn over(self, other: Dimension) -> Option<Dimension> {
        self.zip(other, i8::checked_sub)
    }

    /// The dimension of a power; `None` when an exponent leaves −128..=127.
    pub fn power(self, exponent: i8) -> Option<Dimension> {
        self.zip(self, |own, _| own.checked_mul(exponent))
    }

    /// Half the dimension, for a square root; `None` when an exponent is odd.
    pub fn half(self) -> Option<Dimension> {
        self.zip(self, |own, _| (own % 2 == 0).then_some(own / 2))
    }

    fn zip(self, other: Dimension, combine: impl Fn(i8, i8) -> Option<i8>) -> Option<Dimension> {
        Some(Dimension {
            byte: combine(self.byte, other.byte)?,
            flop: combine(self.flop, other.flop)?,
            second: combine(self.second, other.second)?,
            dollar: combine(self.dollar, other.dollar)?,
            joule: combine(self.joule, other.joule)?,
            carbon: combine(self.carbon, other.carbon)?,
        })
    }

    /// Whether counting nouns may be carried: nothing but perhaps time is in it.
    fn carries_noun(self) -> bool {
        Dimension { second: 0, ..self } == Dimension::NONE
    }
}

/// What a count counts. Counts of different things may not be added; they multiply and divide as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Noun {
    /// Tokens.
    Tokens,
    /// Parameters.
    Params,
    /// Accelerators.
    Devices,
    /// Sequences.
    Sequences,
}

impl Noun {
    /// The plural, as plans spell it.
    pub fn word(self) -> &'static str {
        match self {
            Noun::Tokens => "tokens",
            Noun::Params => "params",
            Noun::Devices => "devices",
            Noun::Sequences => "sequences",
        }
    }
}

/// A dimension, and what is counted where something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Unit {
    /// The physical dimension.
    pub dimension: Dimension,
    /// What is counted.
    pub noun: Option<Noun>,
}

impl Unit {
    /// A plain number.
    pub const NONE: Unit = Unit { dimension: Dimension::NONE, noun: None };
    /// Bytes.
    pub const BYTES: Unit = Unit { dimension: Dimension::BYTES, noun: None };
    /// Bytes per second.
    pub const BYTES_PER_SECOND: Unit = Unit { dimension: Dimension::BYTES.per_second(), noun: None };
    /// FLOP.
    pub const FLOP: Unit = Unit { dimension: Dimension::FLOP, noun: None };
    /// FLOP per second.
    pub const FLOP_PER_SECOND: Unit = Unit { dimension: Dimension::FLOP.per_second(), noun: None };
    /// Seconds.
    pub const TIME: Unit = Unit { dimension: Dimension::TIME, noun: None };
    /// Dollars.
    pub const MONEY: Unit = Unit { dimension: Dimension::MONEY, noun: None };
    /// Dollars per second.
    pub const MONEY_PER_TIME: Unit = Unit { dimension: Dimension::MONEY.per_second(), noun: None };
    /// Watts.
    pub const POWER: Unit = Unit { dimension: Dimension::ENERGY.per_second(), noun: None };
    /// Tokens.
    pub const TOKENS: Unit = Unit { dimension: Dimension::NONE, noun: Some(Noun::Tokens) };
    /// Tokens per second.
    pub const TOKENS_PER_SECOND: Unit =
        Unit { dimension: Dimension::NONE.per_second(), noun: Some(Noun::Tokens) };
    /// Parameters.
    pub const PARAMS: Unit = Unit { dimension: Dimension::NONE, noun: Some(Noun::Params) };
    /// Devices.
    pub const DEVICES: Unit = Unit { dimension: Dimension::NONE, noun: Some(Noun::Devices) };
    /// Sequences.
    pub const SEQUENCES: Unit = Unit { dimension: Dimension::NONE, noun: Some(Noun::Sequences) };

    /// The base unit as text: `bytes`, `FLOP/s`, `tokens/s`, `$`, `1`.
    pub fn symbol(self) -> String {
        let Dimension { byte, flop, second, dollar, joule, carbon } = self.dimension;
        let mut above = String::new();
        let mut below = String::new();
        if let Some(noun) = self.noun {
            above.push_str(noun.word());
        }
        let parts =
            [("bytes", byte), ("FLOP", flop), ("$", dollar), ("J", joule), ("kgCO2", carbon), ("s", second)];
        for (symbol, exponent) in parts {
            let side = if exponent > 0 { &mut above } else { &mut below };
            if exponent == 0 {
                continue;
            }
            if !side.is_empty() {
                side.push('*');
            }
            side.push_str(symbol);
            if exponent.unsigned_abs() > 1 {
                side.push('^');
                side.push_str(&exponent.unsigned_abs().to_string());
            }
        }
        match (above.is_empty(), below.is_empty()) {
            (true, true) => "1".to_owned(),
            (false, true) => above,
            (true, false) => format!("1/{below}"),
            (false, false) => format!("{above}/{below}"),
        }
    }

    /// What a person would call it: `bytes`, `a plain number`, `FLOP/s`.
    pub fn words(self) -> String {
        if self == Unit::NONE { "a plain number".to_owned() } else { format!("`{}`", self.symbol()) }
    }

    /// The unit of a product: nouns survive multiplication with a plain number only.
    pub fn times(self, other: Unit) -> Option<Unit> {
        let dimension = self.dimension.times(other.dimension)?;
        let noun = match (self.noun, other.noun) {
            (Some(noun), None) | (None, Some(noun)) if dimension.carries_noun() => Some(noun),
            _ => None,
        };
        Some(Unit { dimension, noun })
    }

    /// The unit of a ratio: a noun survives above the line, and leaves with a second one below.
    pub fn over(self, other: Unit) -> Option<Unit> {
        let dimension = self.dimension.over(other.dimension)?;
        let noun = match (self.noun, other.noun) {
            (Some(noun), None) if dimension.carries_noun() => Some(noun),
            _ => None,
        };
        Some(Unit { dimension, noun })
    }
}

/// A number with its unit, in SI base units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    /// How much.
    pub number: Number,
    /// Of what.
    pub unit: Unit,
}
