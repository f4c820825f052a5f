//! Who signs heads and checkpoints: a key of this state folder (Ed25519).
//!
//! Whoever can write the database alone can rewrite rows, and even seals; they cannot sign a head. Whoever verifies elsewhere keeps the
//! public key, which `hearth audit verify` prints and may be given.

use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::chain::Hash;
use crate::home;

/// The key's file in the state folder.
const FILE: &str = "audit.key";

/// A place of a chain, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The chain.
    pub gateway: Uuid,
    /// The place.
    pub place: i64,
    /// The hash there.
    #[serde(with = "hex_hash")]
    pub hash: Hash,
    /// Who signed.
    #[serde(with = "hex_bytes")]
    pub public_key: Vec<u8>,
    /// The signature.
    #[serde(with = "hex_bytes")]
    pub signature: Vec<u8>,
}

impl Signed {
    fn message(gateway: Uuid, place: i64, hash: &Hash) -> Vec<u8> {
        [b"hearth audit 1\0".as_slice(), gateway.as_bytes(), &place.to_be_bytes(), hash].concat()
    }

    /// Whether the signature is that of its public key.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        let message = Self::message(self.gateway, self.place, &self.hash);
        UnparsedPublicKey::new(&ED25519, &self.public_key).verify(&message, &self.signature).is_ok()
    }
}

/// Signs.
pub struct Key(Ed25519KeyPair);

impl Key {
    /// The key of a state folder, made where there is none.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds no key.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let broken = |_| io::Error::new(io::ErrorKind::InvalidData, format!("{} holds no key", path.display()));
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(io::Error::other)?;
                home::write_private(&path, made.as_ref())?;
                made.as_ref().to_vec()
            }
            Err(e) => return Err(e),
        };
        Ed25519KeyPair::from_pkcs8(&text).map(Self).map_err(broken)
    }

    /// Signs a place of a chain.
    #[must_use]
    pub fn sign(&self, gateway: Uuid, place: i64, hash: Hash) -> Signed {
        let signature = self.0.sign(&Signed::message(gateway, place, &hash)).as_ref().to_vec();
        Signed { gateway, place, hash, public_key: self.public().to_vec(), signature }
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }
}

/// Bytes as two hexadecimal digits each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from two hexadecimal digits each; none when they are not.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::hex(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        super::unhex(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not hexadecimal"))
    }
}

mod hex_hash {
    use serde::{Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(hash: &super::Hash, to: S) -> Result<S::Ok, S::Error> {
        super::hex_bytes::serialize(hash, to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<super::Hash, D::Error> {
        super::hex_bytes::deserialize(from)?.try_into().map_err(|_| D::Error::custom("not a hash"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_what_was_signed() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::open(folder.path()).unwrap();
        let signed = key.sign(Uuid::max(), 7, [3; 32]);
        assert!(signed.is_genuine());
        assert!(!Signed { place: 8, ..signed.clone() }.is_genuine());
        assert!(!Signed { hash: [4; 32], ..signed.clone() }.is_genuine());
        assert_eq!(Key::open(folder.path()).unwrap().public(), key.public(), "it is kept");
        let text = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<Signed>(&text).unwrap(), signed);
    }
}
