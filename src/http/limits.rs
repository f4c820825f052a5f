//! Bounds on what a client may send and hold.

use serde::Deserialize;

use crate::time::Span;

/// The section `http.limits`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest body, bytes.
    pub body: usize,
    /// Longest `?wait`.
    pub wait: Span,
    /// How long a request's head may take.
    pub header_timeout: Span,
    /// How long a client may take nothing of an answer.
    pub stalled_reader: Span,
    /// Open connections at most.
    pub connections: usize,
}
