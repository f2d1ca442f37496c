//! Calendar dates.

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// 1..=9999
    pub year: u16,
    /// 1..=12
    pub month: u8,
    /// 1..=31
    pub day: u8,
}

impl Date {
    /// Reads `YYYY-MM-DD`; `None` where it is no such day.
    pub fn parse(text: &str) -> Option<Date> {
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let digits = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
        if parts.next().is_some() || !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
            return None;
        }
        let date = Date { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? };
        (date.year > 0 && (1..=12).contains(&date.month) && (1..=date.days_in_month()).contains(&date.day))
            .then_some(date)
    }

    /// The day that is so many after 1970-01-01. `None` beyond the year 9999.
    pub fn of_day(day: u64) -> Option<Date> {
        let mut left = day;
        let mut date = Date { year: 1970, month: 1, day: 1 };
        // Month by month: fewer than 100,000 steps.
        while date.year <= 9999 {
            let length = u64::from(date.days_in_month());
            match (left < length, date.month) {
                (true, _) => return Some(Date { day: date.day + u8::try_from(left).ok()?, ..date }),
                (false, 12) => date = Date { year: date.year + 1, month: 1, day: 1 },
                (false, _) => date.month += 1,
            }
            left -= length;
        }
        None
    }

    fn days_in_month(self) -> u8 {
        let leap =
            self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn days_are_counted_from_1970() {
        for (day, date) in
            [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_782, "2026-11-25")]
        {
            assert_eq!(Date::of_day(day).unwrap().to_string(), date);
        }
        assert_eq!(Date::of_day(2_932_896).unwrap().to_string(), "9999-12-31");
        assert!(Date::of_day(2_932_897).is_none() && Date::of_day(u64::MAX).is_none());
    }

    #[test]
    fn knows_which_days_exist() {
        assert_eq!(Date::parse("2026-11-01").unwrap().to_string(), "2026-11-01");
        for good in ["2024-02-29", "2000-02-29", "2026-12-31"] {
            assert!(Date::parse(good).is_some(), "{good}");
        }
        for bad in [
            "2026-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-04-31",
            "26-04-30",
            "2026-4-30",
            "2026-01-01-01",
        ] {
            assert!(Date::parse(bad).is_none(), "{bad}");
        }
    }
}
