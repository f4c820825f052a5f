//! Cookies: written so that no page reads them and no other host sets them.

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

/// What a cookie is called.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    /// Over TLS. With the prefix `__Host-` a browser keeps it to this host and to TLS.
    secure: &'static str,
    /// Without TLS, where that prefix would be refused.
    plain: &'static str,
}

/// The cookie of a login.
pub const LOGIN: Name = Name { secure: "__Host-hearth", plain: "hearth" };
/// The cookie of a login that has begun at a provider.
pub const PENDING: Name = Name { secure: "__Host-hearth-login", plain: "hearth-login" };

impl Name {
    fn of(self, is_secure: bool) -> &'static str {
        if is_secure { self.secure } else { self.plain }
    }
}

/// The value of a cookie, if the request has it.
#[must_use]
pub fn read(headers: &HeaderMap, name: Name, is_secure: bool) -> Option<SecretString> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(';'));
    let mut ours = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(key, _)| *key == name.of(is_secure));
    ours.next().map(|(_, value)| value.into())
}

/// Gives the client a cookie for `max_age` seconds. Lax, not Strict: the way back from an OpenID provider begins on the provider's page.
pub fn set(headers: &mut HeaderMap, name: Name, value: &SecretString, max_age: u64, is_secure: bool) {
    write(headers, name, value.expose_secret(), max_age, is_secure);
}

/// Takes a cookie away from the client.
pub fn clear(headers: &mut HeaderMap, name: Name, is_secure: bool) {
    write(headers, name, "", 0, is_secure);
}

fn write(headers: &mut HeaderMap, name: Name, value: &str, max_age: u64, is_secure: bool) {
    let (name, secure) = (name.of(is_secure), if is_secure { "; Secure" } else { "" });
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        value.set_sensitive(true);
        headers.append(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "a=b; hearth=secret; __Host-hearth=other; hearth-login=x".parse().unwrap());
        let of = |name, is_secure| read(&headers, name, is_secure).map(|value| value.expose_secret().to_owned());
        assert_eq!(of(LOGIN, false).as_deref(), Some("secret"));
        assert_eq!(of(LOGIN, true).as_deref(), Some("other"));
        assert_eq!(of(PENDING, false).as_deref(), Some("x"));
        assert_eq!(of(PENDING, true), None);
    }
}
