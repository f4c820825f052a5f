//! Kerberos by SPNEGO (RFC 4559, RFC 4178), through the host's GSS library.
//!
//! The library takes the keytab from `KRB5_KTNAME` alone, which [`Config::keytab_variable`] tells the process before it does anything else. Any
//! `HTTP/…` entry of the keytab is accepted, so that a gateway may have several names. Replays are refused by the library's own cache.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::attempt::Refusal;
use super::config::Unusable;
use super::{Person, Scheme, is_user_name};

/// The library blocks, on its replay cache and on a name service: so many logins at once, and so long at most.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(10);

/// The section `auth.negotiate`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The keytab with the gateway's `HTTP/host@REALM` entries.
    pub keytab: PathBuf,
}

impl Config {
    /// The environment variable that this process needs for the library, when the scheme is on and this build has it.
    #[must_use]
    pub fn keytab_variable(&self) -> Option<(&'static str, String)> {
        let is_set = cfg!(feature = "kerberos") && !self.keytab.as_os_str().is_empty();
        is_set.then(|| ("KRB5_KTNAME", format!("FILE:{}", self.keytab.display())))
    }
}

/// What a ticket shows, and the server's answer to it.
pub struct Shown {
    /// Who.
    pub person: Person,
    /// For clients that want to know the server too.
    pub reply: Option<Vec<u8>>,
}

/// Accepts tickets. Cheap to clone.
#[derive(Clone)]
pub struct Negotiate {
    acceptor: Arc<gss::Acceptor>,
    places: Arc<Semaphore>,
}

impl Negotiate {
    /// Reads the keytab.
    ///
    /// # Errors
    /// The keytab cannot be used, or this build has no Kerberos.
    pub fn new(config: &Config) -> Result<Self, Unusable> {
        let lacks = |lacks: String| Unusable::Lacks { scheme: Scheme::Negotiate.as_str(), lacks };
        if !cfg!(feature = "kerberos") {
            return Err(lacks(
                "this build has no Kerberos: build it with the feature `kerberos`, where the headers of the \
                host's GSS library are installed"
                    .to_owned(),
            ));
        }
        if config.keytab.as_os_str().is_empty() {
            return Err(lacks("auth.negotiate.keytab names no keytab".to_owned()));
        }
        std::fs::File::open(&config.keytab).map_err(|source| Unusable::File {
            key: "auth.negotiate.keytab",
            path: config.keytab.clone(),
            source,
        })?;
        let acceptor = gss::Acceptor::new()
            .map_err(|why| lacks(format!("the keytab {} cannot be used: {why}", config.keytab.display())))?;
        Ok(Self { acceptor: Arc::new(acceptor), places: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Whose ticket this is. `bindings` bind it to the TLS connection, for clients that bound theirs (RFC 5929).
    ///
    /// # Errors
    /// The ticket is not good, or it takes too long to find out.
    pub async fn accept(&self, token: &[u8], bindings: Option<Arc<[u8]>>) -> Result<Shown, Refusal> {
        let (acceptor, token) = (self.acceptor.clone(), token.to_vec());
        let places = self.places.clone();
        let asked = async move {
            let place = places.acquire_owned().await.ok()?;
            let work = move || {
                let _place = place;
                acceptor.accept(&token, bindings.as_deref())
            };
            tokio::task::spawn_blocking(work).await.ok()
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Some(Ok(accepted))) => known(accepted),
            Ok(Some(Err(why))) => {
                debug!(why, "A Kerberos ticket is refused");
                Err(Refusal::Wrong(Scheme::Negotiate))
            }
            Ok(None) | Err(_) => {
                warn!("A Kerberos ticket cannot be checked in time");
                Err(Refusal::Away(Scheme::Negotiate))
            }
        }
    }
}

fn known(accepted: gss::Accepted) -> Result<Shown, Refusal> {
    let gss::Accepted { principal, local, service, reply } = accepted;
    // A ticket for another service whose key stands in the same keytab (host/, hdfs/) was not meant for a web server.
    if !service.starts_with("HTTP/") {
        debug!(service, "A Kerberos ticket for another service is refused");
        return Err(Refusal::Wrong(Scheme::Negotiate));
    }
    if !is_user_name(&local) {
        debug!(principal, "A Kerberos principal maps to no possible user");
        return Err(Refusal::Wrong(Scheme::Negotiate));
    }
    let realm = principal.rsplit_once('@').map(|(_, realm)| realm.to_owned());
    Ok(Shown { person: Person { realm, ..Person::named(&local) }, reply })
}

#[cfg(feature = "kerberos")]
mod gss {
    //! The calls of the library.

    use libgssapi::context::{SecurityContext as _, ServerCtx};
    use libgssapi::credential::{Cred, CredUsage};
    use libgssapi::oid::{GSS_MECH_KRB5, GSS_MECH_SPNEGO, OidSet};

    /// What a good ticket says.
    pub struct Accepted {
        /// `ann@REALM`.
        pub principal: String,
        /// What `auth_to_local` of krb5.conf makes of it.
        pub local: String,
        /// The service it was for.
        pub service: String,
        pub reply: Option<Vec<u8>>,
    }

    pub struct Acceptor(Cred);

    impl Acceptor {
        /// A credential of every entry of the keytab.
        pub fn new() -> Result<Self, String> {
            let mechanisms = || {
                let mut set = OidSet::singleton(GSS_MECH_SPNEGO)?;
                set.add(GSS_MECH_KRB5)?;
                Ok(set)
            };
            let mechanisms = mechanisms().map_err(|e: libgssapi::error::Error| e.to_string())?;
            Cred::acquire(None, None, CredUsage::Accept, Some(&mechanisms)).map(Self).map_err(|e| e.to_string())
        }

        pub fn accept(&self, token: &[u8], bindings: Option<&[u8]>) -> Result<Accepted, String> {
            // RFC 5929: the name of the kind of binding stands before its value.
            let bindings = bindings.map(|hash| [b"tls-server-end-point:".as_slice(), hash].concat());
            let mut context = ServerCtx::new(Some(self.0.clone()));
            let say = |e: libgssapi::error::Error| e.to_string();
            let reply = context.step(token, bindings.as_deref()).map_err(say)?;
            if !context.is_complete() {
                return Err("the client wants more than one round, which HTTP has no place for".to_owned());
            }
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "a name is not UTF-8".to_owned());
            let name = context.source_name().map_err(say)?;
            Ok(Accepted {
                principal: text(&name.display_name().map_err(say)?)?,
                local: text(&name.local_name(Some(GSS_MECH_KRB5)).map_err(say)?)?,
                service: text(&context.target_name().map_err(say)?.display_name().map_err(say)?)?,
                reply: reply.map(|token| token.to_vec()),
            })
        }
    }
}

#[cfg(not(feature = "kerberos"))]
mod gss {
    //! In place of the library, in a build without it: never reached, since the scheme cannot be configured then.

    pub struct Accepted {
        pub principal: String,
        pub local: String,
        pub service: String,
        pub reply: Option<Vec<u8>>,
    }

    pub struct Acceptor;

    impl Acceptor {
        pub fn new() -> Result<Self, String> {
            Err("this build has no Kerberos".to_owned())
        }

        pub fn accept(&self, _token: &[u8], _bindings: Option<&[u8]>) -> Result<Accepted, String> {
            Err("this build has no Kerberos".to_owned())
        }
    }
}
