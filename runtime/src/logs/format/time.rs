//! RFC 3339, in UTC, to the microsecond.

/// Appends `2026-11-20T09:15:02.000001Z`.
pub(super) fn write(out: &mut Vec<u8>, unix_nanos: u64) {
    let seconds = unix_nanos / 1_000_000_000;
    let micros = unix_nanos % 1_000_000_000 / 1000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    digits::<4>(out, year);
    out.push(b'-');
    digits::<2>(out, month);
    out.push(b'-');
    digits::<2>(out, day);
    out.push(b'T');
    digits::<2>(out, hour);
    out.push(b':');
    digits::<2>(out, minute);
    out.push(b':');
    digits::<2>(out, second);
    out.push(b'.');
    digits::<6>(out, micros);
    out.push(b'Z');
}

/// So many digits of a number. `write!` takes five times as long, for a third of a line.
fn digits<const N: usize>(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text);
}

/// Year, month and day of a day since 1970, counted from the first of March of the year 0 (Hinnant's `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    fn text(unix_nanos: u64) -> String {
        let mut out = Vec::new();
        super::write(&mut out, unix_nanos);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(text(951_782_400_000_000_000), "2000-02-29T00:00:00.000000Z");
        assert_eq!(text(1_767_225_599_999_999_999), "2025-12-31T23:59:59.999999Z");
        assert_eq!(text(1_795_166_102_000_001_000), "2026-11-20T09:15:02.000001Z");
        assert_eq!(text(4_107_542_400_000_000_000), "2100-03-01T00:00:00.000000Z");
    }
}
