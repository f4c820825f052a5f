//! Whom the gateway believes when it asks others over TLS: the directory, the OpenID provider.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::config::Unusable;

/// TLS towards a server whose certificate one of the CAs in `file` has signed; without a file, one of the host's own. `key` is the
/// configuration key that names the file.
///
/// # Errors
/// The file cannot be read or has no certificate, or the host has no CAs.
pub fn client(key: &'static str, file: &Path) -> Result<ClientConfig, Unusable> {
    let mut roots = RootCertStore::empty();
    if file.as_os_str().is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let source = |source| Unusable::File { key, path: file.to_path_buf(), source };
        let text = std::fs::read(file).map_err(source)?;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let added = certificate.map_err(|e| e.to_string()).and_then(|c| roots.add(c).map_err(|e| e.to_string()));
            added.map_err(|why| Unusable::Rule(format!("{key}: {}: {why}", file.display())))?;
        }
    }
    if roots.is_empty() {
        return Err(Unusable::Rule(format!(
            "{key}: {}; name a PEM file with the CA of the server",
            if file.as_os_str().is_empty() { "this host has no CA certificates" } else { "it has no certificate" }
        )));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Unusable::Rule(e.to_string()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
