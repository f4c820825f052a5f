//! The provider: its description and its keys, fetched when they are needed and at most so often.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::warn;

use super::config::Config;
use crate::identity::config::Unusable;
use crate::identity::trust;

/// How long one answer of the provider may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of one answer.
const LARGEST: usize = 1024 * 1024;
/// Keys that are looked at.
const MOST_KEYS: usize = 200;
/// Tokens with unknown keys, of whomever, make the provider be asked this often at most.
const PAUSE: Duration = Duration::from_secs(5);
/// How long keys are good without a question whether they still are.
const FRESH: Duration = Duration::from_secs(600);
/// How long they are good while the provider is away.
const STALE: Duration = Duration::from_secs(6 * 3600);

/// Why the provider has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, or breaks off.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
    /// It answers with an error.
    #[error("{url} answers with {status}")]
    Status {
        /// What was asked.
        url: String,
        /// Its answer.
        status: u16,
    },
    /// It answers something else.
    #[error("{0}")]
    Odd(String),
    /// It could not be asked a moment ago.
    #[error("it was away a moment ago")]
    Resting,
}

/// What a provider says of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Debug, Clone, Deserialize)]
pub struct Description {
    issuer: String,
    jwks_uri: String,
    /// Where browsers log in.
    pub authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    pub token_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

struct Found {
    description: Description,
    keys: Vec<Jwk>,
    at: Instant,
}

/// Asks the provider.
pub struct Provider {
    http: reqwest::Client,
    issuer: String,
    found: ArcSwapOption<Found>,
    /// When it was last asked for its keys; whoever holds this asks.
    asked: Mutex<Option<Instant>>,
}

impl Provider {
    /// The provider of a configuration. It may be away for now.
    ///
    /// # Errors
    /// The file with the CA cannot be used.
    pub fn new(config: &Config) -> Result<Self, Unusable> {
        let tls = trust::client("auth.oidc.ca", &config.ca)?;
        let http = reqwest::Client::builder()
            .use_preconfigured_tls(tls)
            .timeout(PATIENCE)
            .redirect(Policy::none())
            .build()
            .map_err(|e| Unusable::Rule(format!("auth.oidc: {e}")))?;
        let issuer = config.issuer.clone();
        Ok(Self { http, issuer, found: ArcSwapOption::empty(), asked: Mutex::new(None) })
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn description(&self) -> Result<Description, Error> {
        match self.found.load_full() {
            Some(found) => Ok(found.description.clone()),
            None => Ok(self.fetch(None).await?.description.clone()),
        }
    }

    /// How many keys it has that can be used.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn count_keys(&self) -> Result<usize, Error> {
        Ok(self.fetch(None).await?.keys.len())
    }

    /// The key that signs by this algorithm and has this id; the only one when the token names none. None when there is no such key.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn key(&self, algorithm: Algorithm, id: Option<&str>) -> Result<Option<DecodingKey>, Error> {
        let known = self.found.load_full();
        if let Some(found) = &known {
            let key = pick(&found.keys, algorithm, id);
            if key.is_some() && found.at.elapsed() < FRESH {
                return Ok(key);
            }
        }
        match self.fetch(known.as_ref()).await {
            Ok(found) => Ok(pick(&found.keys, algorithm, id)),
            Err(e) => {
                let stale = known.filter(|found| found.at.elapsed() < STALE);
                let key = stale.and_then(|found| pick(&found.keys, algorithm, id));
                key.map(Some).ok_or(e)
            }
        }
    }

    /// Fetches the keys, unless another has since `known` or it was asked a moment ago.
    async fn fetch(&self, known: Option<&Arc<Found>>) -> Result<Arc<Found>, Error> {
        let mut asked = self.asked.lock().await;
        let newest = self.found.load_full();
        if let Some(newest) = newest.as_ref().filter(|newest| known.is_none_or(|known| !Arc::ptr_eq(newest, known))) {
            return Ok(newest.clone());
        }
        if asked.is_some_and(|at| at.elapsed() < PAUSE) {
            return newest.filter(|found| found.at.elapsed() < FRESH).ok_or(Error::Resting);
        }
        *asked = Some(Instant::now());
        match self.ask().await {
            Ok(found) => {
                let found = Arc::new(found);
                self.found.store(Some(found.clone()));
                Ok(found)
            }
            Err(e) => {
                warn!(error = %e, issuer = self.issuer, "The OpenID provider cannot be asked");
                Err(e)
            }
        }
    }

    async fn ask(&self) -> Result<Found, Error> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let description: Description = self.get(&url).await?;
        if description.issuer != self.issuer {
            return Err(Error::Odd(format!(
                "the provider calls itself {:?}, not as auth.oidc.issuer does",
                description.issuer
            )));
        }
        let others = [&description.authorization_endpoint, &description.token_endpoint];
        let endpoints = others.into_iter().flatten().chain([&description.jwks_uri]);
        if let Some(open) = endpoints.into_iter().find(|url| !super::is_confidential(url)) {
            return Err(Error::Odd(format!("the provider names {open:?}, which is not https://")));
        }
        let set: KeySet = self.get(&description.jwks_uri).await?;
        // A key of a kind that this version does not know is no reason to know none.
        let keys = set.keys.into_iter().take(MOST_KEYS).filter_map(|key| serde_json::from_value(key).ok());
        Ok(Found { description, keys: keys.collect(), at: Instant::now() })
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, Error> {
        self.send(self.http.get(url)).await
    }

    /// Sends a form, as the client when it has a secret (RFC 6749 2.3.1), and reads the answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        form: String,
        client: Option<(&str, &str)>,
    ) -> Result<T, Error> {
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let request = match client {
            Some((id, secret)) => request.basic_auth(encoded(id), Some(encoded(secret))),
            None => request,
        };
        self.send(request).await
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Error> {
        let mut answer = request.header("accept", "application/json").send().await?;
        let url = answer.url().to_string();
        if !answer.status().is_success() {
            return Err(Error::Status { url, status: answer.status().as_u16() });
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            body.extend_from_slice(&piece);
            if body.len() > LARGEST {
                return Err(Error::Odd(format!("{url} answers more than {LARGEST} bytes")));
            }
        }
        // The error's own words may repeat what was answered, which may be a token.
        let odd =
            |e: serde_json::Error| format!("{url} answers something else (line {}, column {})", e.line(), e.column());
        serde_json::from_slice(&body).map_err(|e| Error::Odd(odd(e)))
    }
}

/// The one key that may sign so.
fn pick(keys: &[Jwk], algorithm: Algorithm, id: Option<&str>) -> Option<DecodingKey> {
    let mut fitting = keys.iter().filter(|key| may_sign(key, algorithm)).filter(|key| match id {
        Some(id) => key.common.key_id.as_deref() == Some(id),
        None => true,
    });
    let key = fitting.next()?;
    if fitting.next().is_some() {
        return None;
    }
    DecodingKey::from_jwk(key).ok()
}

/// Whether a key is of the kind that an algorithm needs, and meant for it: what the token says of its algorithm is not believed.
fn may_sign(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_meant = match &key.common.key_algorithm {
        Some(meant) => *meant == algorithm.into(),
        None => true,
    };
    let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let fits = match (&key.algorithm, algorithm) {
        (
            AlgorithmParameters::RSA(_),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
        ) => true,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES256) => curve.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES384) => curve.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(pair), Algorithm::EdDSA) => pair.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    is_meant && signs && fits
}
