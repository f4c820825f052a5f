//! The section `auth.oidc`.

use std::path::PathBuf;

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer};

use crate::identity::Scheme;
use crate::identity::config::Unusable;

/// The section `auth.oidc`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The provider: what `iss` says, and where its description is found (OpenID Connect Discovery 1.0).
    pub issuer: String,
    /// PEM file with the CA of the provider's certificate; empty: those of the host.
    pub ca: PathBuf,
    /// Whom a bearer token may be meant for (`aud`).
    pub audience: Vec<String>,
    /// Signatures that are good.
    #[serde(deserialize_with = "asymmetric")]
    pub algorithms: Vec<Algorithm>,
    /// The claim with the user's name.
    pub user_claim: String,
    /// The claim with the groups; empty: tokens do not tell them.
    pub groups_claim: String,
    /// The claim with the tenant; empty: tokens do not tell it.
    pub tenant_claim: String,
    /// The id by which the provider knows Hearth, for logins of browsers; empty: there are none.
    pub client_id: String,
    /// The file with the client's secret; empty: the client is a public one.
    pub client_secret_file: PathBuf,
    /// The address of `/login/callback` as browsers reach it.
    pub redirect: String,
    /// What a browser's login asks the provider for.
    pub scopes: Vec<String>,
}

impl Config {
    /// Checks what every use of the provider needs.
    ///
    /// # Errors
    /// Names what is missing or makes no sense.
    pub(super) fn check(&self) -> Result<(), Unusable> {
        let lacks = |lacks: &str| Err(Unusable::Lacks { scheme: Scheme::Bearer.as_str(), lacks: lacks.to_owned() });
        if !super::is_confidential(&self.issuer) {
            return lacks("auth.oidc.issuer is not https://host/path");
        }
        if self.audience.iter().all(String::is_empty) && self.client_id.is_empty() {
            return lacks("auth.oidc has neither audience nor client_id: whom are its tokens for?");
        }
        if self.algorithms.is_empty() {
            return lacks("auth.oidc.algorithms is empty");
        }
        if self.user_claim.is_empty() {
            return lacks("auth.oidc.user_claim is empty");
        }
        if !self.client_id.is_empty()
            && (!super::is_confidential(&self.redirect) || !self.redirect.ends_with("/login/callback"))
        {
            return lacks("auth.oidc.redirect is not https://host/login/callback");
        }
        if !self.client_id.is_empty() && !self.scopes.iter().any(|scope| scope == "openid") {
            return lacks("auth.oidc.scopes does not have \"openid\"");
        }
        Ok(())
    }
}

/// Reads signature algorithms, none of which has a secret that both sides know, or none at all.
fn asymmetric<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Algorithm>, D::Error> {
    let read = |name: String| match name.parse() {
        Ok(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) | Err(_) => Err(serde::de::Error::custom(format!(
            "{name:?} is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
        ))),
        Ok(algorithm) => Ok(algorithm),
    };
    Vec::<String>::deserialize(from)?.into_iter().map(read).collect()
}
