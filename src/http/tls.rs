//! TLS by rustls: versions 1.2 and 1.3, HTTP/1.1 and HTTP/2, client certificates where a CA for them is configured.
//!
//! The files are looked at every few seconds. A changed certificate serves the connections that come, those that are open keep theirs; a
//! broken one is told in the log and the last good one stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tracing::{info, warn};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::home;
use crate::life::Life;
use crate::time::Timestamp;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The section `http.tls`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// PEM file with the gateway's certificate and those between it and its CA; empty: no TLS.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// PEM file with the CAs of clients' certificates; empty: clients need none and none is asked for.
    pub client_ca: PathBuf,
}

impl Config {
    /// Whether TLS is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}

/// A certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, or holds no PEM of that sort.
    #[error("{key} = {}: {why}", path.display())]
    File {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Key and certificate do not fit, or the like.
    #[error("http.tls: {0}")]
    Unusable(String),
}

/// The name by which drivers ask for the certificate that they know the gateway by (`Pinned.scala`). It is in no DNS.
const DRIVER_NAME: &str = "driver.hearth.internal";
/// Where that certificate and its key are kept in the state folder: drivers outlive the gateway that started them.
const DRIVER_FILE: &str = "driver-door.pem";

/// Shows drivers the certificate that is for them, everybody else the public one.
#[derive(Debug)]
struct Shown {
    public: Arc<CertifiedKey>,
    driver: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_driver = hello.server_name() == Some(DRIVER_NAME);
        Some(if is_driver { &self.driver } else { &self.public }.clone())
    }
}

/// The certificate for drivers, made where there is none.
fn driver_key(home: &Path) -> Result<CertifiedKey, Error> {
    let path = home.join(DRIVER_FILE);
    let unusable = |why: &dyn std::fmt::Display| wrong("the certificate for drivers", &path, why);
    if !path.is_file() {
        let made = rcgen::generate_simple_self_signed([DRIVER_NAME.to_owned()]).map_err(|e| unusable(&e))?;
        let text = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
        home::write_private(&path, text.as_bytes()).map_err(|e| unusable(&e))?;
    }
    let key = PrivateKeyDer::from_pem_file(&path).map_err(|e| unusable(&e))?;
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|e| unusable(&e))?;
    Ok(CertifiedKey::new(certificates("the certificate for drivers", &path)?, key))
}

/// What a connection that comes now is served with.
pub struct Current {
    /// For the handshake.
    pub config: Arc<ServerConfig>,
    /// `tls-server-end-point` (RFC 5929, section 4): the hash of the certificate.
    pub bindings: Arc<[u8]>,
}

/// The certificate, reloaded when its files change.
pub struct Tls {
    files: Config,
    driver: Arc<CertifiedKey>,
    current: ArcSwap<Current>,
}

impl Tls {
    /// Loads the files, and the certificate for drivers from the state folder.
    ///
    /// # Errors
    /// Names the key, the file and what is wrong with it.
    pub fn load(files: Config, home: &Path) -> Result<Arc<Self>, Error> {
        let driver = Arc::new(driver_key(home)?);
        let current = ArcSwap::from_pointee(read(&files, &driver)?);
        Ok(Arc::new(Self { files, driver, current }))
    }

    /// Whether the files can be used.
    ///
    /// # Errors
    /// Names the key, the file and what is wrong with it.
    pub fn check(files: &Config) -> Result<(), Error> {
        public_key(files).and_then(|_| clients(files)).map(drop)
    }

    /// The SHA-256, in hexadecimal, by which drivers know the gateway.
    #[must_use]
    pub fn driver_fingerprint(&self) -> String {
        let hash = self.driver.cert.first().map(Sha256::digest).unwrap_or_default();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What serves a connection now.
    #[must_use]
    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// Looks at the files until the gateway stops.
    pub async fn watch(self: Arc<Self>, life: Life) {
        let stopping = life.stopping();
        let mut seen = self.stamps();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = self.stamps();
            if now == seen {
                continue;
            }
            seen = now;
            match read(&self.files, &self.driver) {
                Ok(current) => {
                    self.current.store(Arc::new(current));
                    info!("The certificate has been reloaded");
                }
                Err(e) => warn!(error = %e, "The changed certificate cannot be used; the last good one stays"),
            }
        }
    }

    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let stamp = |path: &PathBuf| {
            let data = fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        };
        [&self.files.certificate, &self.files.key, &self.files.client_ca].map(stamp).into()
    }
}

/// From when until when the certificate is good.
///
/// # Errors
/// It cannot be read.
pub fn valid(files: &Config) -> Result<(Timestamp, Timestamp), Error> {
    let chain = certificates("http.tls.certificate", &files.certificate)?;
    let unusable = |why: &str| wrong("http.tls.certificate", &files.certificate, &why);
    let leaf = chain.first().ok_or_else(|| unusable("there is no certificate in it"))?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| unusable("it cannot be read"))?;
    let moment = |at: i64| chrono::DateTime::from_timestamp(at, 0).ok_or_else(|| unusable("its dates make no sense"));
    let validity = leaf.validity();
    Ok((moment(validity.not_before.timestamp())?, moment(validity.not_after.timestamp())?))
}

fn read(files: &Config, driver: &Arc<CertifiedKey>) -> Result<Current, Error> {
    let public = public_key(files)?;
    let bindings = public.cert.first().map(|leaf| end_point(leaf)).unwrap_or_default();
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| Error::Unusable(e.to_string()))?;
    let builder = match clients(files)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Shown { public: Arc::new(public), driver: driver.clone() }));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Current { config: Arc::new(config), bindings })
}

/// The public certificate with its key, which must fit.
fn public_key(files: &Config) -> Result<CertifiedKey, Error> {
    let chain = certificates("http.tls.certificate", &files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| wrong("http.tls.key", &files.key, &e))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|e| Error::Unusable(e.to_string()))
}

/// What verifies clients' certificates, where a CA for them is configured. Clients without one are let in, and are known otherwise.
fn clients(files: &Config) -> Result<Option<Arc<dyn ClientCertVerifier>>, Error> {
    if files.client_ca.as_os_str().is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for root in certificates("http.tls.client_ca", &files.client_ca)? {
        roots.add(root).map_err(|e| wrong("http.tls.client_ca", &files.client_ca, &e))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).allow_unauthenticated();
    builder.build().map(Some).map_err(|e| Error::Unusable(e.to_string()))
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = || -> Result<Vec<_>, rustls::pki_types::pem::Error> { CertificateDer::pem_file_iter(path)?.collect() };
    match read() {
        Ok(found) if found.is_empty() => Err(wrong(key, path, &"there is no certificate in it")),
        Ok(found) => Ok(found),
        Err(e) => Err(wrong(key, path, &e)),
    }
}

fn wrong(key: &'static str, path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::File { key, path: path.to_path_buf(), why: why.to_string() }
}

/// The hash of the certificate by its own signature's hash, but never a weaker one than SHA-256 (RFC 5929, section 4.1).
fn end_point(leaf: &[u8]) -> Arc<[u8]> {
    const SHA_384: [&str; 2] = ["1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3"];
    const SHA_512: [&str; 2] = ["1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4"];
    let signature = X509Certificate::from_der(leaf).map(|(_, cert)| cert.signature_algorithm.algorithm.to_id_string());
    match signature.as_deref().unwrap_or_default() {
        id if SHA_384.contains(&id) => Sha384::digest(leaf).to_vec().into(),
        id if SHA_512.contains(&id) => Sha512::digest(leaf).to_vec().into(),
        _ => Sha256::digest(leaf).to_vec().into(),
    }
}
