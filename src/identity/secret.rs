//! Secrets: those that Hearth makes (random, shown once, kept as hashes) and those that files hold.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::config::Unusable;

/// What an API token begins with, so that scanners for leaked secrets know it.
pub const TOKEN_PREFIX: &str = "hearth_";

/// The SHA-256 of a secret: enough for a secret of 256 random bits, which nobody can guess.
pub type Hash = [u8; 32];

/// A secret of 256 bits in 43 characters of base64url, after `prefix`.
#[must_use]
pub fn generate(prefix: &str) -> SecretString {
    let bytes: [u8; 32] = rand::random();
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)).into()
}

/// What is stored of a secret, and what it is looked up by. The lookup compares hashes, whose timing tells nothing of the secret.
#[must_use]
pub fn hash(secret: &str) -> Hash {
    Sha256::digest(secret).into()
}

/// The secret that a file holds, without the line's end that editors leave. `key` is the configuration key that names the file.
///
/// # Errors
/// The file cannot be read, or is empty.
pub fn read(key: &'static str, file: &Path) -> Result<SecretString, Unusable> {
    let text = std::fs::read_to_string(file).map_err(|source| Unusable::File { key, path: file.into(), source })?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Unusable::Rule(format!("{key}: {} is empty", file.display())));
    }
    Ok(secret.into())
}
