//! Numbers of the language: exact integers while they stay whole, floats otherwise.

/// A number. Whole results of whole operands stay exact; everything else is a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Exact.
    Int(i128),
    /// Finite.
    Real(f64),
}

/// Why an operation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// An exact result does not fit in 128 bits, or a float is too large.
    Overflow,
    /// A division by zero, or 0 to a negative power.
    DivisionByZero,
    /// A root or logarithm of a negative number, or a fractional power of one.
    Undefined,
}

impl Number {
    /// The number as a float: the nearest one.
    pub fn real(self) -> f64 {
        match self {
            Number::Int(int) => int as f64,
            Number::Real(real) => real,
        }
    }

    /// The number as an exact count; `None` when it is negative or not whole.
    pub fn count(self) -> Option<u128> {
        match self {
            Number::Int(int) => u128::try_from(int).ok(),
            // Beyond 2^53 a float no longer names one integer.
            Number::Real(real) if (0.0..=9_007_199_254_740_992.0).contains(&real) && real.fract() == 0.0 => {
                Some(real as u128)
            }
            Number::Real(_) => None,
        }
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        match self {
            Number::Int(int) => int < 0,
            Number::Real(real) => real < 0.0,
        }
    }

    /// The sum.
    pub fn plus(self, other: Number) -> Result<Number, NumberError> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => {
                a.checked_add(b).map(Number::Int).ok_or(NumberError::Overflow)
            }
            _ => finite(self.real() + other.real()),
        }
    }

    /// The difference.
    pub fn minus(self, other: Number) -> Result<Number, NumberError> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => {
                a.checked_sub(b).map(Number::Int).ok_or(NumberError::Overflow)
            }
            _ => finite(self.real() - other.real()),
        }
    }

    /// The product.
    pub fn times(self, other: Number) -> Result<Number, NumberError> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => {
                a.checked_mul(b).map(Number::Int).ok_or(NumberError::Overflow)
            }
            _ => finite(self.real() * other.real()),
        }
    }

    /// The ratio; exact where it is whole.
    pub fn over(self, other: Number) -> Result<Number, NumberError> {
        if other.real() == 0.0 {
            return Err(NumberError::DivisionByZero);
        }
        match (self, other) {
            // The remainder of i128::MIN / -1 is none: the quotient does not fit.
            (Number::Int(a), Number::Int(b)) if matches!(a.checked_rem(b), Some(0) | None) => {
                a.checked_div(b).map(Number::Int).ok_or(NumberError::Overflow)
            }
            _ => finite(self.real() / other.real()),
        }
    }

    /// The power; exact for a whole base and a whole exponent that is not negative.
    pub fn power(self, exponent: Number) -> Result<Number, NumberError> {
        if let (Number::Int(base), Number::Int(exponent)) = (self, exponent)
            && exponent >= 0
        {
            return match base {
                0 | 1 => Ok(Number::Int(if exponent == 0 { 1 } else { base })),
                -1 => Ok(Number::Int(if exponent % 2 == 0 { 1 } else { -1 })),
                _ => u32::try_from(exponent)
                    .ok()
                    .and_then(|exponent| base.checked_pow(exponent))
                    .map(Number::Int)
                    .ok_or(NumberError::Overflow),
            };
        }
        if self.real() == 0.0 && exponent.is_negative() {
            return Err(NumberError::DivisionByZero);
        }
        finite(libm::pow(self.real(), exponent.real()))
    }

    /// The number with its sign turned.
    pub fn negated(self) -> Result<Number, NumberError> {
        Number::Int(0).minus(self)
    }

    /// Below, above or equal: exact between integers.
    pub fn compare(self, other: Number) -> std::cmp::Ordering {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => a.cmp(&b),
            _ => self.real().total_cmp(&other.real()),
        }
    }
}

/// A float, if it is one that stands for a number.
pub(crate) fn finite(real: f64) -> Result<Number, NumberError> {
    if real.is_nan() {
        Err(NumberError::Undefined)
    } else if real.is_infinite() {
        Err(NumberError::Overflow)
    } else {
        Ok(Number::Real(real))
    }
}

/// A ratio of whole numbers: what one unit is worth in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rational {
    /// Above the line.
    pub above: i128,
    /// Below the line; positive.
    pub below: i128,
}

impl Rational {
    /// One.
    pub const ONE: Rational = Rational { above: 1, below: 1 };

    /// A whole number.
    pub const fn whole(above: i128) -> Rational {
        Rational { above, below: 1 }
    }

    /// The product, in lowest terms.
    pub fn times(self, other: Rational) -> Option<Rational> {
        let above = self.above.checked_mul(other.above)?;
        let below = self.below.checked_mul(other.below)?;
        let divisor = greatest_common_divisor(above.unsigned_abs(), below.unsigned_abs()).max(1) as i128;
        Some(Rational { above: above / divisor, below: below / divisor })
    }

    /// The ratio, in lowest terms.
    pub fn over(self, other: Rational) -> Option<Rational> {
        self.times(Rational { above: other.below, below: other.above })
    }
}

fn greatest_common_divisor(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Reads `12_288`, `1.4`, `2.5e21`, `2.5E-3` (no sign, no suffix) and scales it: exact when the result is whole.
/// `None` when the text is not such a number.
pub fn parse_decimal(text: &str, scale: Rational) -> Option<Result<Number, NumberError>> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !grouped_digits(whole) || (mantissa.contains('.') && !grouped_digits(fraction)) {
        return None;
    }
    let exponent: i32 = match exponent {
        None => 0,
        Some(text) => {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            // An exponent of more than nine digits is out of range however it is read.
            text.parse().unwrap_or(if text.starts_with('-') { -999_999 } else { 999_999 })
        }
    };
    Some(scaled(whole, fraction, exponent, scale))
}

/// Digits in which single underscores may separate groups.
fn grouped_digits(text: &str) -> bool {
    !text.is_empty()
        && text.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()))
}

fn scaled(whole: &str, fraction: &str, exponent: i32, scale: Rational) -> Result<Number, NumberError> {
    let digits: String = whole.chars().chain(fraction.chars()).filter(|&c| c != '_').collect();
    let places = fraction.bytes().filter(|byte| byte.is_ascii_digit()).count();
    let power = i64::from(exponent) - places as i64;
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(Number::Int(0));
    }
    // Trailing zeros move into the power of ten, so that 1.50 and 1.5 are the same exact number.
    let trimmed = significant.trim_end_matches('0');
    let power = power + (significant.len() - trimmed.len()) as i64;
    if let Some(exact) = exact(trimmed, power, scale) {
        return Ok(Number::Int(exact));
    }
    if power + trimmed.len() as i64 > 38 {
        return Err(NumberError::Overflow);
    }
    // A scale below the line that is a power of ten moves the point: 20.2% is the float nearest to 0.202.
    let mut below = scale.below;
    let mut power = power;
    while below > 1 && below % 10 == 0 {
        below /= 10;
        power -= 1;
    }
    let real: f64 = format!("{trimmed}e{power}").parse().unwrap_or(f64::INFINITY);
    finite(real * scale.above as f64 / below as f64)
}

fn exact(digits: &str, power: i64, scale: Rational) -> Option<i128> {
    let mantissa: i128 = digits.parse().ok()?;
    let ten = |power: i64| u32::try_from(power).ok().and_then(|power| 10_i128.checked_pow(power));
    let decimal = if power >= 0 {
        Rational { above: ten(power)?, below: 1 }
    } else {
        Rational { above: 1, below: ten(-power)? }
    };
    let value = Rational::whole(mantissa).times(decimal)?.times(scale)?;
    (value.below == 1).then_some(value.above)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, scale: i128) -> Number {
        parse_decimal(text, Rational::whole(scale)).unwrap().unwrap()
    }

    #[test]
    fn whole_results_are_exact() {
        assert_eq!(read("1.4", 1_000_000_000_000), Number::Int(1_400_000_000_000));
        assert_eq!(read("2.5e21", 1), Number::Int(2_500_000_000_000_000_000_000));
        assert_eq!(read("12_288", 1), Number::Int(12_288));
        assert_eq!(read("3.35", 1_000_000_000_000), Number::Int(3_350_000_000_000));
        assert_eq!(read("0.1", 1), Number::Real(0.1));
        assert_eq!(parse_decimal("40", Rational { above: 1, below: 100 }), Some(Ok(Number::Real(0.4))));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in ["", "1_", "_1", "1__0", "1.", ".5", "1e", "1e+", "1.2.3", "1e5e5"] {
            assert!(parse_decimal(bad, Rational::ONE).is_none(), "{bad}");
        }
        for huge in ["1e400", "1e999999999999", "9e40"] {
            assert_eq!(parse_decimal(huge, Rational::ONE), Some(Err(NumberError::Overflow)), "{huge}");
        }
        assert_eq!(parse_decimal("1e-999999999999", Rational::ONE), Some(Ok(Number::Real(0.0))));
    }

    #[test]
    fn overflow_is_an_error_and_never_wraps() {
        let large = Number::Int(i128::MAX);
        assert_eq!(large.times(Number::Int(2)), Err(NumberError::Overflow));
        assert_eq!(large.plus(Number::Int(1)), Err(NumberError::Overflow));
        assert_eq!(Number::Int(i128::MIN).over(Number::Int(-1)), Err(NumberError::Overflow));
        assert_eq!(Number::Real(1e308).times(Number::Int(10)), Err(NumberError::Overflow));
        assert_eq!(Number::Int(1).over(Number::Int(0)), Err(NumberError::DivisionByZero));
        assert_eq!(Number::Int(2).power(Number::Int(1_000_000_000_000)), Err(NumberError::Overflow));
        assert_eq!(Number::Int(-4).power(Number::Real(0.5)), Err(NumberError::Undefined));
        assert_eq!(Number::Int(0).power(Number::Int(-1)), Err(NumberError::DivisionByZero));
    }
}
