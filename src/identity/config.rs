//! The section `auth`.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use super::directory::Source;
use super::tenant::Rule as TenantRule;
use super::{DEFAULT_TENANT, Scheme, ldap, negotiate, oidc};
use crate::time::Span;

/// The section `auth`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The schemes that are on; none: the local user. They are tried in a fixed order, whatever theirs is here.
    pub schemes: Vec<Scheme>,
    /// A login ends after this time without a call.
    pub login_idle: Span,
    /// A login ends this long after it began.
    pub login_ttl: Span,
    /// The longest that an API token may live.
    pub token_ttl: Span,
    /// Where the groups of a user come from that the scheme itself does not tell.
    pub groups: Source,
    /// How long they are believed.
    pub groups_cache: Span,
    /// Which tenant a principal belongs to: the first rule that fits.
    pub tenants: Vec<TenantRule>,
    /// Who may speak for others.
    pub proxies: Vec<ProxyRule>,
    /// The section `auth.certificate`.
    pub certificate: Certificate,
    /// The section `auth.negotiate`.
    pub negotiate: negotiate::Config,
    /// The section `auth.ldap`.
    pub ldap: ldap::Config,
    /// The section `auth.oidc`.
    pub oidc: oidc::Config,
}

impl Config {
    /// Whether people of more than one tenant can come.
    #[must_use]
    pub fn has_several_tenants(&self) -> bool {
        let by_claim = self.schemes.contains(&Scheme::Bearer) && !self.oidc.tenant_claim.is_empty();
        by_claim || self.tenants.iter().any(|rule| rule.tenant != DEFAULT_TENANT)
    }
}

/// The section `auth.certificate`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Which part of a client's certificate names the user.
    pub user: CertificateName,
}

/// The part of a certificate that names a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// The subject's common name.
    CommonName,
    /// The first e-mail address among the subject's alternative names, up to its `@`.
    Email,
}

/// One trusted proxy: who may speak for whom, from where (Hadoop's `hadoop.proxyuser.NAME.{users,groups,hosts}`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyRule {
    /// The proxy's own user name.
    pub principal: String,
    /// The users it may speak for; `*`: anybody who is not a proxy.
    #[serde(default)]
    pub users: Vec<String>,
    /// The groups whose members it may speak for.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The tenants whose people it may speak for besides its own; `*`: every tenant.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// The addresses it may do so from, as `10.1.0.0/16` or `10.1.2.3`.
    #[serde(deserialize_with = "networks")]
    pub addresses: Vec<IpNet>,
}

/// Reads addresses and networks.
///
/// # Errors
/// Names the text that is neither.
pub fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<String>::deserialize(from)?
        .into_iter()
        .map(|text| match text.parse::<IpAddr>() {
            Ok(address) => Ok(address.into()),
            Err(_) => text.parse().map_err(|_| {
                serde::de::Error::custom(format!("{text:?} is neither an address nor a network such as 10.1.0.0/16"))
            }),
        })
        .collect()
}

/// The configuration of identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A scheme is on that lacks something.
    #[error("auth.schemes has {scheme:?}, but {lacks}")]
    Lacks {
        /// The scheme.
        scheme: &'static str,
        /// What is missing, and where it goes.
        lacks: String,
    },
    /// A file cannot be read.
    #[error("{} ({key}): {source}", path.display())]
    File {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A rule makes no sense.
    #[error("{0}")]
    Rule(String),
}
