//! OpenID Connect: tokens of a provider (JWT, RFC 7519), and the login of browsers there.

mod claims;
mod code_flow;
mod config;
mod provider;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use moka::sync::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use tracing::{debug, warn};

use self::claims::Claims;
use self::code_flow::CodeFlow;
pub use self::code_flow::{Began, Pending};
pub use self::config::Config;
use self::provider::Provider;
use super::attempt::Refusal;
use super::config::Unusable;
use super::secret::{self, Hash};
use super::{Credential, Person, Scheme};
use crate::time;

/// How far clocks may be apart, seconds.
const LEEWAY: i64 = 60;
/// How long a token is believed after it was verified.
const BELIEF: Duration = Duration::from_secs(60);
const REMEMBERED: u64 = 20_000;
/// Characters of a key's id.
const LONGEST_KEY_ID: usize = 256;

/// Verifies tokens, and logs browsers in.
pub struct Oidc {
    provider: Provider,
    issuer: String,
    audience: Vec<String>,
    algorithms: Vec<Algorithm>,
    claims: Claims,
    flow: Option<CodeFlow>,
    known: Cache<Hash, (Arc<Person>, i64)>,
}

impl Oidc {
    /// Checks the configuration. The provider may be away for now.
    ///
    /// # Errors
    /// What the configuration lacks.
    pub fn new(config: &Config) -> Result<Self, Unusable> {
        config.check()?;
        Ok(Self {
            provider: Provider::new(config)?,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            algorithms: config.algorithms.clone(),
            claims: Claims::new(config),
            flow: CodeFlow::new(config)?,
            known: Cache::builder().max_capacity(REMEMBERED).time_to_live(BELIEF).build(),
        })
    }

    /// Whether browsers log in there.
    #[must_use]
    pub fn has_login(&self) -> bool {
        self.flow.is_some()
    }

    /// Asks the provider what it says of itself and for its keys; how many it has that can be used.
    ///
    /// # Errors
    /// Why there is no answer, for people.
    pub async fn reach(&self) -> Result<usize, String> {
        let keys = self.provider.count_keys().await.map_err(|e| chained(&e))?;
        if keys == 0 { Err("it has no key that this version knows".to_owned()) } else { Ok(keys) }
    }

    /// Whose bearer token this is.
    ///
    /// # Errors
    /// It is nobody's, or the provider is away.
    pub async fn check(&self, token: &SecretString) -> Result<Arc<Person>, Refusal> {
        let hash = secret::hash(token.expose_secret());
        let now = time::now().timestamp();
        if let Some((person, end)) = self.known.get(&hash)
            && now <= end
        {
            return Ok(person);
        }
        let claims = self.verify(token, &self.audience).await?;
        let end = claims.get("exp").and_then(Value::as_i64).unwrap_or(now).saturating_add(LEEWAY);
        let credential = chrono::DateTime::from_timestamp(end, 0).map(Credential::Until);
        let person = Arc::new(Person { credential, ..self.person(&claims)? });
        self.known.insert(hash, (person.clone(), end));
        Ok(person)
    }

    /// Whose token this claims to be, which nobody has verified: good to tell those apart who show wrong ones, and for nothing else.
    #[must_use]
    pub fn claimed_name(&self, token: &SecretString) -> Option<String> {
        let payload = token.expose_secret().split('.').nth(1)?;
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        self.claims.person(&claims).ok().map(|person| person.user)
    }

    fn person(&self, claims: &Map<String, Value>) -> Result<Person, Refusal> {
        self.claims.person(claims).map_err(|why| {
            debug!(%why, "A token names nobody");
            Refusal::Wrong(Scheme::Bearer)
        })
    }

    /// The claims of a token of the provider that is for one of this audience, and good now.
    async fn verify(&self, token: &SecretString, audience: &[String]) -> Result<Map<String, Value>, Refusal> {
        let token = token.expose_secret();
        let wrong = |why: &str| {
            debug!(why, "A token is refused");
            Refusal::Wrong(Scheme::Bearer)
        };
        let header = decode_header(token).map_err(|e| wrong(&e.to_string()))?;
        if !self.algorithms.contains(&header.alg) {
            return Err(wrong("its algorithm is none of auth.oidc.algorithms"));
        }
        // What has to be understood is not (RFC 7515 4.1.11).
        if header.crit.is_some() {
            return Err(wrong("it has critical parameters"));
        }
        if header.kid.as_ref().is_some_and(|id| id.len() > LONGEST_KEY_ID) {
            return Err(wrong("the id of its key is too long"));
        }
        let key = self.provider.key(header.alg, header.kid.as_deref()).await.map_err(|e| {
            warn!(error = %e, "A token cannot be checked: its key is not known");
            Refusal::Away(Scheme::Bearer)
        })?;
        let key = key.ok_or_else(|| wrong("the provider has no such key"))?;
        let mut rules = Validation::new(header.alg);
        rules.leeway = LEEWAY.unsigned_abs();
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(audience);
        let claims = decode::<Map<String, Value>>(token, &key, &rules).map_err(|e| wrong(&e.to_string()))?.claims;
        let issued = claims.get("iat").and_then(Value::as_i64);
        if issued.is_some_and(|at| at > time::now().timestamp().saturating_add(LEEWAY)) {
            return Err(wrong("it is issued in the future"));
        }
        Ok(claims)
    }
}

/// An error with all that led to it.
fn chained(e: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(e.source(), |cause| cause.source());
    causes.fold(e.to_string(), |told, cause| format!("{told}: {cause}"))
}

/// Whether what goes to an address cannot be read on its way: TLS, or this host.
fn is_confidential(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !host.is_empty() && (url.scheme() == "https" || url.scheme() == "http" && is_here)
}
