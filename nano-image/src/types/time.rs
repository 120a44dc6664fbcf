//! Windows file times.

/// 100-nanosecond intervals since 1601-01-01 00:00 UTC (FILETIME, [MS-DTYP] 2.3.3).
///
/// ```
/// assert_eq!(nano_image::FileTime::from_unix_seconds(0).civil(), (1970, 1, 1, 0, 0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub u64);

/// Seconds from 1601-01-01 to 1970-01-01.
const UNIX_EPOCH_SECONDS: u64 = 11_644_473_600;
const TICKS_PER_SECOND: u64 = 10_000_000;

impl FileTime {
    /// The time `seconds` after 1970-01-01 00:00 UTC; saturates.
    pub fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_add(UNIX_EPOCH_SECONDS).saturating_mul(TICKS_PER_SECOND))
    }

    /// Whole seconds since 1970-01-01 00:00 UTC; times before give 0.
    pub fn unix_seconds(self) -> u64 {
        (self.0 / TICKS_PER_SECOND).saturating_sub(UNIX_EPOCH_SECONDS)
    }

    /// Year, month (1–12), day (1–31), hour, minute, second in UTC (Gregorian calendar).
    pub fn civil(self) -> (u32, u8, u8, u8, u8, u8) {
        let seconds = self.0 / TICKS_PER_SECOND;
        let (mut days, second) = (seconds / 86_400, seconds % 86_400);
        // 1601-01-01 begins a 400-year cycle, so the calendar counts from there.
        let cycles = days / 146_097;
        days %= 146_097;
        let centuries = (days / 36_524).min(3);
        days -= centuries * 36_524;
        let fours = days / 1_461;
        days -= fours * 1_461;
        let years = (days / 365).min(3);
        days -= years * 365;
        let year = 1601 + cycles * 400 + centuries * 100 + fours * 4 + years;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let lengths = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 1;
        for length in lengths {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        (year as u32, month, days as u8 + 1, (second / 3600) as u8, (second / 60 % 60) as u8, (second % 60) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_dates() {
        assert_eq!(FileTime(0).civil(), (1601, 1, 1, 0, 0, 0));
        assert_eq!(FileTime::from_unix_seconds(0).civil(), (1970, 1, 1, 0, 0, 0));
        assert_eq!(FileTime::from_unix_seconds(951_782_399).civil(), (2000, 2, 28, 23, 59, 59));
        assert_eq!(FileTime::from_unix_seconds(951_868_799).civil(), (2000, 2, 29, 23, 59, 59));
        assert_eq!(FileTime::from_unix_seconds(1_468_627_200).civil(), (2016, 7, 16, 0, 0, 0));
        assert_eq!(FileTime::from_unix_seconds(1_468_627_200).unix_seconds(), 1_468_627_200);
    }
}
