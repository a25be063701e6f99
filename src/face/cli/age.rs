//! Ages as people read them, and moments as RFC 3339 writes them, both as Docker prints them.

use crate::engine::record::UnixNanos;
use crate::error::{Error, Result};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What an unset moment is printed as: Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A moment in UTC with as many digits of its second as it needs; none is Go's zero.
pub fn moment(at: Option<UnixNanos>) -> String {
    let Some(at) = at else {
        return NEVER.to_owned();
    };
    let text = humantime::format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(at)).to_string();
    let text = text.trim_end_matches('Z');
    format!("{}Z", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A moment with all nine digits of its second, as logs have it.
pub fn stamp(at: UnixNanos) -> String {
    humantime::format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(at)).to_string()
}

/// Now.
pub fn now() -> UnixNanos {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
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
    let ago = ago(text).map(|ago| now().saturating_sub(ago));
    ago.or_else(|| seconds(text))
        .or_else(|| date(text))
        .ok_or_else(wrong)
}

fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(nanos)
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
        (None, Some(at)) if text.contains('T') && text.is_char_boundary(at) => {
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
    let at = humantime::parse_rfc3339_weak(&whole).ok()?;
    let at = at.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    let (hours, minutes) = zone.split_once(':').unwrap_or(("0", "0"));
    // A zone has five characters: no number in it is large.
    let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    let at = u64::try_from(at).ok()?;
    at.checked_add_signed(sign * minutes * 60_000_000_000)
}

/// A moment as Go prints one: in UTC, to the second.
pub fn long(at: UnixNanos) -> String {
    let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(at)).to_string();
    format!("{} +0000 UTC", text.replace('T', " ").trim_end_matches('Z'))
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

    #[test]
    fn moments_are_read_in_all_of_dockers_ways() {
        let second = 1_000_000_000;
        for (text, at) in [
            ("1795507004", 1_795_507_004 * second),
            ("1.5", 1_500_000_000),
            ("2026-11-24T07:56:44Z", 1_795_507_004 * second),
            ("2026-11-24T08:56:44+01:00", 1_795_507_004 * second),
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
