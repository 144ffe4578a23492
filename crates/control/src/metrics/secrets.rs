//! Rotations of secrets and certificates, and when certificates end.

use super::encode::{Encoder, Unit};
use events::snapshot::SecretFigures;

pub(super) fn families(e: &mut Encoder, figures: &SecretFigures) {
    let mut family = e.counters(
        "plimsoll_secret_rotations",
        Unit::None,
        "Secrets and certificates that were read again and taken into service.",
    );
    for (kind, count) in &figures.rotations {
        family.add(&[("kind", *kind)], *count);
    }
    let mut family = e.counters(
        "plimsoll_secret_refusals",
        Unit::None,
        "New secrets and certificates that could not be used; the old stayed in service.",
    );
    for (reason, count) in &figures.refused {
        family.add(&[("reason", *reason)], *count);
    }
    let mut family = e.gauges(
        "plimsoll_certificate_expiry_timestamp_seconds",
        Unit::Seconds,
        "When a certificate in service ends, in seconds since 1970 UTC: the first of a chain, the last of several authorities.",
    );
    for row in &figures.certificates {
        let labels = [
            ("side", row.side),
            ("role", row.role),
            ("file", row.file.as_str()),
        ];
        family.add(&labels, u64::try_from(row.expires_at).unwrap_or(0));
    }
}
