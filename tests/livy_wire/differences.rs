//! Where Hearth answers otherwise than the Livy that was recorded, and why that is right for its clients.

use std::collections::BTreeSet;

/// Recordings that nothing is compared with, by name: what this version does not offer, or offers otherwise.
const EXEMPT: [&str; 9] =
    ["metrics", "ping", "healthcheck", "root", "ui-redirect", "connect", "job-unknown", "version", "denied-"];

/// A difference that is meant.
struct Difference {
    /// Name of the recording, or its beginning and `*`.
    recording: &'static str,
    /// The difference as [`crate::shape`] tells it, or its beginning and `*`.
    what: &'static str,
    /// Why, and the client that was looked at.
    because: &'static str,
}

const DIFFERENCES: &[Difference] = &[];

/// Whether a recording needs no comparison.
pub fn is_exempt(name: &str) -> bool {
    EXEMPT.iter().any(|exempt| name == *exempt || (exempt.ends_with('-') && name.starts_with(exempt)))
}

/// Fails when something differs that is not in the table, or the table tells of what no longer differs.
pub fn check(found: &BTreeSet<(String, String)>) {
    let unmeant: Vec<_> = found
        .iter()
        .filter(|(name, what)| !DIFFERENCES.iter().any(|d| matches(d.recording, name) && matches(d.what, what)))
        .collect();
    let stale: Vec<_> = DIFFERENCES
        .iter()
        .filter(|d| !found.iter().any(|(name, what)| matches(d.recording, name) && matches(d.what, what)))
        .map(|d| (d.recording, d.what, d.because))
        .collect();
    assert!(unmeant.is_empty() && stale.is_empty(), "not meant: {unmeant:#?}\nno longer there: {stale:#?}");
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}
