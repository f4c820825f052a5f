//! Client certificates: TLS has verified one; here its subject becomes a user.

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::Person;
use super::config::CertificateName;

/// Who a verified certificate names; none when it does not have that part, or names no possible user.
#[must_use]
pub fn person(der: &[u8], by: CertificateName) -> Option<Person> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let name = match by {
        CertificateName::CommonName => {
            // More than one common name would leave open who is meant.
            let mut names = certificate.subject().iter_common_name();
            let first = names.next()?.as_str().ok()?;
            names.next().is_none().then(|| first.to_owned())
        }
        CertificateName::Email => {
            let names = certificate.subject_alternative_name().ok()??;
            names.value.general_names.iter().find_map(|name| match name {
                GeneralName::RFC822Name(address) => Some(address.split('@').next()?.to_owned()),
                _ => None,
            })
        }
    }?;
    super::is_user_name(&name).then(|| Person::named(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn der(names: &[&str], emails: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        for name in names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        for email in emails {
            params.subject_alt_names.push(SanType::Rfc822Name((*email).try_into().unwrap()));
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_configured_part_names_the_user() {
        let by = |der: &[u8], by| person(der, by).map(|person| person.user);
        let both = der(&["ann"], &["bob@example.com"]);
        assert_eq!(by(&both, CertificateName::CommonName).as_deref(), Some("ann"));
        assert_eq!(by(&both, CertificateName::Email).as_deref(), Some("bob"));
        assert_eq!(by(&der(&["ann"], &[]), CertificateName::Email), None);
        assert_eq!(by(&der(&["a b\n"], &[]), CertificateName::CommonName), None);
        assert_eq!(by(b"none", CertificateName::CommonName), None);
    }
}
