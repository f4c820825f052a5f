//! What is hashed: each link is the hash of the one before, its place, and every field of its event, each with its length before it, so that
//! no two events look the same.

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::time::Timestamp;

/// A link's hash.
pub type Hash = [u8; 32];

/// The hash before the first link.
pub const START: Hash = [0; 32];

/// An event as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Its number, over all gateways.
    #[serde(rename = "id")]
    pub event_id: i64,
    /// When.
    pub at: Timestamp,
    /// The incarnation that wrote it.
    pub gateway: Uuid,
    /// Its word in the catalogue.
    pub event: String,
    /// `done` or `refused`.
    pub outcome: String,
    /// Tenant of who did it.
    pub tenant: String,
    /// Who did it.
    pub actor: String,
    /// For whom, when the actor is a proxy.
    pub on_behalf_of: Option<String>,
    /// How they showed who they are.
    pub scheme: String,
    /// From where.
    pub address: Option<String>,
    /// In which request.
    pub request: Option<String>,
    /// On what kind of thing.
    pub resource_kind: Option<String>,
    /// On which.
    pub resource_id: Option<String>,
    /// What decided.
    pub policies: Vec<String>,
    /// What else.
    pub detail: Option<String>,
}

/// The link after `before`, at `place`.
#[must_use]
pub fn link(before: &Hash, place: i64, event: &Written) -> Hash {
    let mut hash = Sha256::new_with_prefix(before);
    hash.update(place.to_be_bytes());
    hash.update(event.event_id.to_be_bytes());
    hash.update(event.at.timestamp_micros().to_be_bytes());
    hash.update(event.gateway.as_bytes());
    let mut text = |field: Option<&str>| {
        // No text and the empty text differ.
        let length = field.map_or(u64::MAX, |field| field.len() as u64);
        hash.update(length.to_be_bytes());
        hash.update(field.unwrap_or_default());
    };
    for field in [&event.event, &event.outcome, &event.tenant, &event.actor, &event.scheme] {
        text(Some(field));
    }
    let optional =
        [&event.on_behalf_of, &event.address, &event.request, &event.resource_kind, &event.resource_id, &event.detail];
    for field in optional {
        text(field.as_deref());
    }
    for policy in &event.policies {
        text(Some(policy));
    }
    hash.finalize().into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::audit) fn written(event_id: i64) -> Written {
        Written {
            event_id,
            at: chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            gateway: Uuid::nil(),
            event: "session.created".into(),
            outcome: "done".into(),
            tenant: "acme".into(),
            actor: "ann".into(),
            on_behalf_of: None,
            scheme: "token".into(),
            address: Some("10.0.0.1".into()),
            request: None,
            resource_kind: Some("session".into()),
            resource_id: Some("1".into()),
            policies: vec!["base.owner".into()],
            detail: None,
        }
    }

    #[test]
    fn every_field_counts() {
        let base = written(1);
        let hash = link(&START, 1, &base);
        let some = |text: &str| Some(text.to_owned());
        let others = [
            Written { event_id: 2, ..base.clone() },
            Written { at: base.at + chrono::TimeDelta::microseconds(1), ..base.clone() },
            Written { gateway: Uuid::max(), ..base.clone() },
            Written { event: "login".into(), ..base.clone() },
            Written { outcome: "refused".into(), ..base.clone() },
            Written { tenant: "acm".into(), actor: "eann".into(), ..base.clone() },
            Written { on_behalf_of: some(""), ..base.clone() },
            Written { scheme: "cookie".into(), ..base.clone() },
            Written { address: None, request: some("10.0.0.1"), ..base.clone() },
            Written { resource_kind: None, ..base.clone() },
            Written { resource_id: some("2"), ..base.clone() },
            Written { policies: vec![], detail: some("base.owner"), ..base.clone() },
        ];
        for other in others {
            assert_ne!(link(&START, 1, &other), hash, "{other:?}");
        }
        assert_ne!(link(&START, 2, &base), hash);
        assert_ne!(link(&hash, 1, &base), hash);
        assert_eq!(link(&START, 1, &base), hash);
    }
}
