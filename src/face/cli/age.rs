//! Ages as people read them, and moments as RFC 3339 writes them, both as Docker prints them.

use crate::engine::record::UnixNanos;
use std::time::{Duration, UNIX_EPOCH};

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

/// A moment as Go prints one: in UTC, to the second.
pub fn long(at: UnixNanos) -> String {
    let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(at)).to_string();
    format!("{} +0000 UTC", text.replace('T', " ").trim_end_matches('Z'))
}

/// A duration in its largest unit (units.HumanDuration of Docker's go-units).
pub fn duration(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (minutes, hours) = (seconds / 60, (seconds as f64 / 3600.0).round() as u64);
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
