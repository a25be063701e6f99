//! Ages as people read them, and moments as RFC 3339 writes them, both as Docker prints them.

use crate::engine::files;
use crate::engine::record::UnixNanos;
use crate::error::{Error, Result};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400;
const FIRST_YEAR: u32 = 1970;

/// What an unset moment is printed as: Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A moment in UTC with as many digits of its second as it needs; none is Go's zero.
pub fn moment(at: Option<UnixNanos>) -> String {
    let Some(at) = at else {
        return NEVER.to_owned();
    };
    let text = stamp(at);
    let text = text.trim_end_matches('Z');
    format!("{}Z", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A moment with all nine digits of its second, as logs have it.
pub fn stamp(at: UnixNanos) -> String {
    format!("{}.{:09}Z", to_the_second(at), at % SECOND)
}

/// A moment as Docker's options say one: a time of RFC 3339, or its beginning, in UTC unless it says otherwise; seconds
/// since 1970; or how long ago it was, as Go writes durations.
///
/// # Errors
/// Anything else, with the option's name.
pub fn parse(option: &str, text: &str) -> Result<UnixNanos> {
    let wrong = || {
        Error::new(format_args!(
            "invalid value for \"{}\": failed to parse value as time or duration: \"{text}\": a time as 2026-11-24T07:56:18Z, seconds since 1970, or an age as 1h30m is wanted",
            option.trim_start_matches('-')
        ))
    };
    let ago = ago(text).map(|ago| files::now().saturating_sub(ago));
    ago.or_else(|| seconds(text))
        .or_else(|| date(text))
        .ok_or_else(wrong)
}

fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(nanos)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `1h30m`, `1.5h`, `300ms`.
fn ago(text: &str) -> Option<u64> {
    let (mut rest, mut all) = (text, 0u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(end);
        let length = unit
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(unit.len());
        let (unit, next) = unit.split_at(length);
        let scale = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        // In thousand-millionths of the unit, as a second's digits are read.
        let parts = u128::from(seconds(number)?) * scale / 1_000_000_000;
        all = all.checked_add(u64::try_from(parts).ok()?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(all)
}

/// `2026-11-24T07:56:18.5+01:00` and its beginnings.
fn date(text: &str) -> Option<u64> {
    let (local, sign, zone) = match (text.strip_suffix('Z'), text.len().checked_sub(6)) {
        (Some(local), _) => (local, 0, ""),
        (None, Some(at))
            if (text.contains('T') || text.ends_with("+00:00")) && text.is_char_boundary(at) =>
        {
            match text[at..].chars().next() {
                Some('+') => (&text[..at], -1, &text[at + 1..]),
                Some('-') => (&text[..at], 1, &text[at + 1..]),
                _ => (text, 0, ""),
            }
        }
        _ => (text, 0, ""),
    };
    let whole = match local.len() {
        10 => format!("{local}T00:00:00"),
        13 => format!("{local}:00:00"),
        16 => format!("{local}:00"),
        _ => local.to_owned(),
    };
    let (whole, fraction) = whole.split_once('.').unwrap_or((&whole, ""));
    if !is_digits(fraction) {
        return None;
    }
    let nanos = fraction.get(..9).unwrap_or(fraction);
    let at = seconds(&format!("{}.{nanos}", since_1970(whole)?))?;
    let (hours, minutes) = zone.split_once(':').unwrap_or(("0", "0"));
    // A zone has five characters: no number in it is large.
    let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    at.checked_add_signed(sign * minutes * 60_000_000_000)
}

/// A moment as Go prints one: in UTC, to the second.
pub fn long(at: UnixNanos) -> String {
    format!("{} +0000 UTC", to_the_second(at).replace('T', " "))
}

/// `2026-11-24T07:56:18`, of UTC.
fn to_the_second(at: UnixNanos) -> String {
    let seconds = at / SECOND;
    let (mut days, time) = ((seconds / DAY) as u32, (seconds % DAY) as u32);
    let (mut year, mut month) = (FIRST_YEAR, 1);
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    while days >= days_of_month(year, month) {
        days -= days_of_month(year, month);
        month += 1;
    }
    let (day, hour, minute, second) = (days + 1, time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// The seconds since 1970 of `2026-11-24T07:56:18`, of UTC; a leap second is the one before it.
fn since_1970(text: &str) -> Option<u64> {
    const FORM: &str = "0000-00-00T00:00:00";
    let fits = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'T' => byte == b'T' || byte == b' ',
        _ => byte == form,
    };
    if text.len() != FORM.len() || !text.bytes().zip(FORM.bytes()).all(fits) {
        return None;
    }
    let number = |at: std::ops::Range<usize>| text.get(at)?.parse::<u32>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < FIRST_YEAR || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let years: u32 = (FIRST_YEAR..year).map(days_of_year).sum();
    let months: u32 = (1..month).map(|month| days_of_month(year, month)).sum();
    let time = hour * 3600 + minute * 60 + second.min(59);
    Some(u64::from(years + months + day - 1) * DAY + u64::from(time))
}

fn days_of_year(year: u32) -> u32 {
    337 + days_of_month(year, 2)
}

/// Of a month from 1 on.
fn days_of_month(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A duration in its largest unit (units.HumanDuration of Docker's go-units).
pub fn duration(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".into(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rfc_3339_without_trailing_zeros() {
        assert_eq!(
            moment(Some(1_795_507_004_798_229_928)),
            "2026-11-24T07:56:44.798229928Z"
        );
        assert_eq!(moment(Some(1_500_000_000)), "1970-01-01T00:00:01.5Z");
        assert_eq!(moment(Some(0)), "1970-01-01T00:00:00Z");
        assert_eq!(moment(None), NEVER);
    }

    /// As `date -u -d` has them.
    #[test]
    fn each_year_has_its_days() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (68_255_999, "1972-02-29T23:59:59"),
            (94_694_400, "1973-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (978_307_199, "2000-12-31T23:59:59"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (13_574_563_200, "2400-02-29T00:00:00"),
            (u64::MAX / SECOND, "2554-07-21T23:34:33"),
        ] {
            assert_eq!(to_the_second(seconds * SECOND), text);
            assert_eq!(since_1970(text), Some(seconds));
        }
        for days in (0..200_000).step_by(17) {
            let seconds = days * DAY + days % DAY;
            assert_eq!(since_1970(&to_the_second(seconds * SECOND)), Some(seconds));
        }
        assert_eq!(
            long(1_795_507_004 * SECOND),
            "2026-11-24 07:56:44 +0000 UTC"
        );
    }

    #[test]
    fn moments_are_read_in_all_of_dockers_ways() {
        let second = 1_000_000_000;
        for (text, at) in [
            ("1795507004", 1_795_507_004 * second),
            ("1.5", 1_500_000_000),
            ("2026-11-24T07:56:44Z", 1_795_507_004 * second),
            ("2026-11-24T08:56:44+01:00", 1_795_507_004 * second),
            ("2026-11-24 07:56:44+00:00", 1_795_507_004 * second),
            ("2016-12-31T23:59:60Z", 1_483_228_799 * second),
            ("2026-11-24T07:56:44.7982299289Z", 1_795_507_004_798_229_928),
            ("2026-11-24T07:56:44.798229928Z", 1_795_507_004_798_229_928),
            ("2026-11-24T07:56:44", 1_795_507_004 * second),
            ("2026-11-24T07:56", 1_795_506_960 * second),
            ("2026-11-24", 1_795_478_400 * second),
        ] {
            assert_eq!(parse("--since", text).ok(), Some(at), "{text}");
        }
        for (text, nanos) in [
            ("1h30m", 5_400 * second),
            ("1.5h", 5_400 * second),
            ("300ms", 300_000_000),
            ("10s", 10 * second),
        ] {
            assert_eq!(ago(text), Some(nanos), "{text}");
        }
        for bad in [
            "",
            "x",
            "1d",
            "-1",
            "1h30",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "2026-04-31",
            "2026-11-00",
            "1969-12-31",
            "2600-01-01",
            "2026-11-24T24:00",
            "2026-11-24T07:60",
            "2026-11-24T07:56:61",
            "2026-11-24T07:56:44.5x",
            "2026-11-24T+7:56:44",
            "12:00",
            "2026-11-24T07:56:44+x",
            "é",
            "99999999999999h",
        ] {
            assert!(parse("--since", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ages_are_dockers() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (2 * 3600, "2 hours"),
            (48 * 3600, "2 days"),
            (14 * 86_400, "2 weeks"),
            (60 * 86_400, "2 months"),
            (730 * 86_400, "2 years"),
        ] {
            assert_eq!(duration(seconds * 1_000_000_000), text);
        }
    }
}
