//! Numbers of layers, as few ranges.

use std::fmt;
use std::ops::Range;

/// Ranges of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl From<Range<u64>> for Ranges {
    fn from(range: Range<u64>) -> Ranges {
        Ranges(vec![range])
    }
}

impl Ranges {
    /// The lowest number.
    pub(super) fn first(&self) -> u64 {
        self.0.first().map_or(0, |range| range.start)
    }

    /// Behind the highest number.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |range| range.end)
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).fold(0, u64::saturating_add)
    }

    /// Adds numbers, in any order; [`Ranges::sorted`] puts it right.
    pub(super) fn add(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.0.push(range),
        }
    }

    /// The same numbers in ascending order, in as few ranges as can be.
    pub(super) fn sorted(mut self) -> Ranges {
        self.0.sort_by_key(|range| range.start);
        let mut sorted = Ranges(Vec::with_capacity(self.0.len()));
        self.0.into_iter().for_each(|range| sorted.add(range));
        sorted
    }

    /// The first and the last number of each range.
    pub(super) fn bounds(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|range| (range.start, range.end.saturating_sub(1)))
    }
}

/// `0`, `0–31`, `0–2, 7`; of many ranges the first.
impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.bounds().enumerate() {
            if at == 4 {
                return write!(f, ", …");
            }
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{first}")?;
            if last != first {
                write!(f, "–{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_few_ranges() {
        let mut ranges = Ranges::from(4..5);
        [5..6, 9..10, 0..2, 2..3].into_iter().for_each(|range| ranges.add(range));
        let ranges = ranges.sorted();
        assert_eq!((ranges.to_string().as_str(), ranges.count()), ("0–2, 4–5, 9", 6));
        assert_eq!((ranges.first(), ranges.end()), (0, 10));
        let mut many = Ranges::from(0..1);
        (1..9).for_each(|at| many.add(2 * at..2 * at + 1));
        assert_eq!(many.to_string(), "0, 2, 4, 6, …");
    }
}
