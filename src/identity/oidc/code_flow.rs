//! The login of a browser: the authorization code flow (OpenID Connect Core 3.1) with PKCE (RFC 7636).
//!
//! What has begun is kept by the browser, in a cookie that no page reads and that only this host sets: the `state` that has to come back
//! ties the answer to that browser, the nonce ties the token to this login, and the verifier ties the code to it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use tracing::{info, warn};

use super::Oidc;
use super::config::Config;
use crate::identity::attempt::Refusal;
use crate::identity::config::Unusable;
use crate::identity::{Person, Scheme, secret};

/// Characters of a path to return to.
const LONGEST_NEXT: usize = 1024;

/// What Hearth is to the provider.
pub(super) struct CodeFlow {
    client_id: String,
    secret: Option<SecretString>,
    redirect: String,
    scopes: String,
}

/// A login that has begun.
pub struct Began {
    /// Where the browser goes.
    pub location: String,
    /// What it brings back.
    pub pending: Pending,
}

/// What a browser keeps of a login that has begun.
pub struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
}

impl Pending {
    /// What the cookie holds.
    #[must_use]
    pub fn to_cookie(&self) -> SecretString {
        let next = URL_SAFE_NO_PAD.encode(&self.next);
        format!("{}.{}.{}.{next}", self.state, self.nonce, self.verifier).into()
    }

    /// What a cookie holds; none when it is not one of ours.
    #[must_use]
    pub fn from_cookie(cookie: &SecretString) -> Option<Self> {
        let mut parts = cookie.expose_secret().split('.').map(str::to_owned);
        let (state, nonce, verifier, next) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
        let is_whole = [&state, &nonce, &verifier].iter().all(|part| part.len() == 43) && parts.next().is_none();
        is_whole.then_some(Self { state, nonce, verifier, next })
    }

    /// The path that the browser returns to, on this host whatever it was asked for.
    #[must_use]
    pub fn next(&self) -> &str {
        local(&self.next)
    }
}

/// A path on this host: what could lead a browser elsewhere becomes `/`.
fn local(next: &str) -> &str {
    let is_plain = next.len() <= LONGEST_NEXT && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_plain && next.starts_with('/') && !next.starts_with("//") { next } else { "/" }
}

#[derive(Deserialize)]
struct Tokens {
    id_token: SecretString,
}

impl CodeFlow {
    /// The flow of a configuration; none without a client's id.
    ///
    /// # Errors
    /// The file with the client's secret cannot be read.
    pub(super) fn new(config: &Config) -> Result<Option<Self>, Unusable> {
        if config.client_id.is_empty() {
            return Ok(None);
        }
        let file = Some(&config.client_secret_file).filter(|file| !file.as_os_str().is_empty());
        Ok(Some(Self {
            client_id: config.client_id.clone(),
            secret: file.map(|file| secret::read("auth.oidc.client_secret_file", file)).transpose()?,
            redirect: config.redirect.clone(),
            scopes: config.scopes.join(" "),
        }))
    }
}

impl Oidc {
    /// Begins a login that returns to `next`.
    ///
    /// # Errors
    /// Browsers do not log in here, or the provider is away.
    pub async fn begin(&self, next: &str) -> Result<Began, Refusal> {
        let flow = self.flow.as_ref().ok_or(Refusal::NotOffered)?;
        let description = self.provider.description().await.map_err(|_| Refusal::Away(Scheme::Bearer))?;
        let endpoint = description.authorization_endpoint.ok_or(Refusal::NotOffered)?;
        let random = || secret::generate("").expose_secret().to_owned();
        let pending = Pending { state: random(), nonce: random(), verifier: random(), next: local(next).to_owned() };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&pending.verifier));
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &flow.client_id)
            .append_pair("redirect_uri", &flow.redirect)
            .append_pair("scope", &flow.scopes)
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        Ok(Began { location: format!("{endpoint}{joint}{query}"), pending })
    }

    /// Ends a login by the query with which the browser has come back: who that is.
    ///
    /// # Errors
    /// The answer is not of the login that this browser began, the provider has refused, or it is away.
    pub async fn finish(&self, pending: &Pending, query: &str) -> Result<Person, Refusal> {
        let flow = self.flow.as_ref().ok_or(Refusal::NotOffered)?;
        let wrong = Refusal::Wrong(Scheme::Bearer);
        let of = |name: &str| {
            let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            found.next().map(|(_, value)| value.into_owned())
        };
        if !bool::from(of("state").unwrap_or_default().as_bytes().ct_eq(pending.state.as_bytes())) {
            return Err(wrong);
        }
        // RFC 9207: an answer of another provider is not taken for one of ours.
        if of("iss").is_some_and(|issuer| issuer != self.issuer) {
            return Err(wrong);
        }
        if let Some(why) = of("error") {
            info!(why, "The OpenID provider has let nobody in");
            return Err(wrong);
        }
        let code = of("code").ok_or(wrong.clone())?;
        let away = Refusal::Away(Scheme::Bearer);
        let description = self.provider.description().await.map_err(|_| away.clone())?;
        let endpoint = description.token_endpoint.ok_or(Refusal::NotOffered)?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", &code)
            .append_pair("redirect_uri", &flow.redirect)
            .append_pair("client_id", &flow.client_id)
            .append_pair("code_verifier", &pending.verifier)
            .finish();
        let client = flow.secret.as_ref().map(|secret| (flow.client_id.as_str(), secret.expose_secret()));
        let tokens: Tokens = self.provider.post(&endpoint, form, client).await.map_err(|e| {
            warn!(error = %e, "The OpenID provider gives no token for a code");
            // It refuses a code that is used, old or made up.
            if matches!(e, super::provider::Error::Status { status: 400..=499, .. }) { wrong.clone() } else { away }
        })?;
        let claims = self.verify(&tokens.id_token, std::slice::from_ref(&flow.client_id)).await?;
        let said = |claim: &str| claims.get(claim).and_then(serde_json::Value::as_str);
        let is_of_this = said("nonce").is_some_and(|nonce| nonce.as_bytes().ct_eq(pending.nonce.as_bytes()).into());
        let is_for_us = said("azp").is_none_or(|party| party == flow.client_id);
        if !is_of_this || !is_for_us {
            return Err(wrong);
        }
        self.person(&claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_returns_to_this_host_alone() {
        assert_eq!(local("/ui/sessions?x=1#a"), "/ui/sessions?x=1#a");
        for elsewhere in ["", "ui", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "/ä"] {
            assert_eq!(local(elsewhere), "/", "{elsewhere:?}");
        }
    }

    #[test]
    fn a_cookie_is_read_as_it_was_written() {
        let part = || secret::generate("").expose_secret().to_owned();
        let pending = Pending { state: part(), nonce: part(), verifier: part(), next: "/ui?a=b.c".into() };
        let read = Pending::from_cookie(&pending.to_cookie()).unwrap();
        assert_eq!((read.state == pending.state, read.next()), (true, "/ui?a=b.c"));
        for odd in ["", "a.b.c.d", "...."] {
            assert!(Pending::from_cookie(&odd.into()).is_none());
        }
    }
}
