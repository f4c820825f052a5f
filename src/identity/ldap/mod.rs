//! The directory (LDAP version 3, RFC 4511): whether a password is right, who that is, and in which groups.
//!
//! Every question has a connection of its own, which ends with it; answers are remembered by those who ask.

mod config;

use std::pin::pin;
use std::sync::Arc;

use ldap3::{Ldap, LdapConnAsync, LdapResult, Scope, SearchEntry, SearchOptions};
use secrecy::{ExposeSecret as _, SecretString};
use tracing::debug;

pub use self::config::Config;
use self::config::{Find, Setup, filter};
use super::config::Unusable;
use super::is_user_name;

/// Groups of one user at most: with more, the answer is refused, since what is cut off could be what forbids something.
const MOST_GROUPS: i32 = 5000;

/// Result codes (RFC 4511 appendix A.2).
mod code {
    pub const SUCCESS: u32 = 0;
    pub const SIZE_LIMIT_EXCEEDED: u32 = 4;
    pub const NO_SUCH_OBJECT: u32 = 32;
    /// What a directory says of a wrong password, an unknown or impossible name, a locked or expired account.
    pub const NOT_ACCEPTED: &[u32] = &[19, NO_SUCH_OBJECT, 34, 48, 49, 50, 53];
}

/// Why the directory has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, or breaks off.
    #[error(transparent)]
    Broken(#[from] ldap3::LdapError),
    /// It takes too long.
    #[error("it does not answer in time (auth.ldap.timeout)")]
    Slow,
    /// It ends the connection.
    #[error("it has closed the connection")]
    Closed,
    /// It refuses the question.
    #[error("{doing}: result {code} {text:?}")]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// Its code (RFC 4511 appendix A.2).
        code: u32,
        /// What it says.
        text: String,
    },
    /// An entry is not as it has to be.
    #[error("{0}")]
    Entry(String),
}

/// Somebody's entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The user's name as the directory writes it, whatever the spelling that it was asked by.
    pub user: String,
    /// The distinguished name.
    pub dn: String,
    /// Names of groups.
    pub groups: Vec<String>,
}

/// Asks the directory. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Setup>);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.0.url)
    }
}

impl Client {
    /// Checks the configuration. The directory itself may be away for now.
    ///
    /// # Errors
    /// What the configuration lacks.
    pub fn new(config: &Config) -> Result<Self, Unusable> {
        Ok(Self(Arc::new(Setup::new(config)?)))
    }

    /// Whether it can be asked as an account of the gateway's own.
    #[must_use]
    pub fn has_account(&self) -> bool {
        self.0.account.is_some()
    }

    /// Reaches it, over TLS where that is configured, and as the account where there is one.
    ///
    /// # Errors
    /// It has no answer, or does not take the account.
    pub async fn reach(&self) -> Result<(), Error> {
        self.ask(async |mut ldap| self.bind_account(&mut ldap).await).await
    }

    /// Whose password this is; none when it is nobody's.
    ///
    /// # Errors
    /// The directory has no answer.
    pub async fn verify(&self, user: &str, password: &SecretString) -> Result<Option<Entry>, Error> {
        // An empty password is no password: directories answer it with success, for anonymous (RFC 4513 5.1.2).
        if !is_user_name(user) || password.expose_secret().is_empty() {
            return Ok(None);
        }
        self.ask(async |mut ldap| {
            let searched = match self.0.find.dn(user) {
                Some(_) => None,
                None => {
                    self.bind_account(&mut ldap).await?;
                    let Some(found) = self.find(&mut ldap, user).await? else { return Ok(None) };
                    Some(found)
                }
            };
            let Some(dn) = searched.as_ref().map(|(dn, _)| dn.clone()).or_else(|| self.0.find.dn(user)) else {
                return Ok(None);
            };
            let bound = ldap.simple_bind(&dn, password.expose_secret()).await?;
            if code::NOT_ACCEPTED.contains(&bound.rc) {
                debug!(dn, code = bound.rc, text = bound.text, "The directory refuses a password");
                return Ok(None);
            }
            good("binding as a user", bound)?;
            if self.0.account.is_some() {
                self.bind_account(&mut ldap).await?;
            }
            let (dn, user) = match searched {
                Some(found) => found,
                None => self.find(&mut ldap, user).await?.ok_or_else(|| {
                    Error::Entry(format!(
                        "the entry {dn:?} has no attribute {:?} that may be read (auth.ldap.user_name, auth.ldap.bind_dn)",
                        self.0.user_name
                    ))
                })?,
            };
            let groups = self.groups(&mut ldap, &user, &dn).await?;
            Ok(Some(Entry { user, dn, groups }))
        })
        .await
    }

    /// What the directory says of a user whom another scheme has shown; none when it has no such user.
    ///
    /// # Errors
    /// The directory has no answer.
    pub async fn entry(&self, user: &str) -> Result<Option<Entry>, Error> {
        if !is_user_name(user) {
            return Ok(None);
        }
        self.ask(async |mut ldap| {
            self.bind_account(&mut ldap).await?;
            let Some((dn, user)) = self.find(&mut ldap, user).await? else { return Ok(None) };
            let groups = self.groups(&mut ldap, &user, &dn).await?;
            Ok(Some(Entry { user, dn, groups }))
        })
        .await
    }

    /// Has a conversation on a connection of its own, within the time that the directory may take.
    async fn ask<T>(&self, talk: impl AsyncFnOnce(Ldap) -> Result<T, Error>) -> Result<T, Error> {
        let conversation = async {
            let (connection, ldap) = LdapConnAsync::with_settings(self.0.settings.clone(), &self.0.url).await?;
            let mut closer = ldap.clone();
            let mut carried = pin!(connection.drive());
            let told = tokio::select! {
                biased;
                told = talk(ldap) => told,
                ended = &mut carried => return Err(ended.map_or_else(Into::into, |()| Error::Closed)),
            };
            // What was told stands, whether or not the goodbye arrives.
            tokio::select! {
                _ = closer.unbind() => {}
                _ = &mut carried => {}
            }
            told
        };
        tokio::time::timeout(self.0.timeout, conversation).await.unwrap_or(Err(Error::Slow))
    }

    async fn bind_account(&self, ldap: &mut Ldap) -> Result<(), Error> {
        let Some((dn, password)) = &self.0.account else { return Ok(()) };
        good("binding as auth.ldap.bind_dn", ldap.simple_bind(dn, password.expose_secret()).await?)
    }

    /// The distinguished name and the user's name of the one entry of this user.
    async fn find(&self, ldap: &mut Ldap, user: &str) -> Result<Option<(String, String)>, Error> {
        let (base, scope, wanted) = match (&self.0.find, self.0.find.dn(user)) {
            (Find::Search { base, filter: template }, _) => (base.clone(), Scope::Subtree, filter(template, user, "")),
            (Find::Template(_), dn) => (dn.unwrap_or_default(), Scope::Base, "(objectClass=*)".to_owned()),
        };
        // Two are enough to know that the name is not one person's.
        ldap.with_search_options(SearchOptions::new().sizelimit(2));
        let (found, result) = search(ldap, (&base, scope, &wanted), &self.0.user_name).await?;
        match result.rc {
            code::NO_SUCH_OBJECT => return Ok(None),
            code::SIZE_LIMIT_EXCEEDED => {}
            _ => good("searching a user", result)?,
        }
        let mut entries = found.into_iter();
        match (entries.next(), entries.next()) {
            (None, _) => Ok(None),
            (Some(_), Some(_)) => {
                debug!(user, "The directory has more than one entry of this user");
                Ok(None)
            }
            (Some((dn, names)), None) => Ok(own_name(&names, user).map(|name| (dn, name))),
        }
    }

    async fn groups(&self, ldap: &mut Ldap, user: &str, dn: &str) -> Result<Vec<String>, Error> {
        let Some(groups) = &self.0.groups else { return Ok(Vec::new()) };
        let wanted = filter(&groups.filter, user, dn);
        ldap.with_search_options(SearchOptions::new().sizelimit(MOST_GROUPS));
        let (found, result) = search(ldap, (&groups.base, Scope::Subtree, &wanted), &groups.name).await?;
        good("searching groups", result)?;
        let names = found.into_iter().filter_map(|(_, names)| names.into_iter().next());
        Ok(names.filter(|name| is_user_name(name)).collect())
    }
}

/// The entries that a search finds: their names, and the values of one attribute.
async fn search(
    ldap: &mut Ldap,
    (base, scope, filter): (&str, Scope, &str),
    attribute: &str,
) -> Result<(Vec<(String, Vec<String>)>, LdapResult), Error> {
    let ldap3::SearchResult(found, result) = ldap.search(base, scope, filter, vec![attribute]).await?;
    // References to other directories are not followed.
    let entries = found.into_iter().filter(|found| !found.is_ref() && !found.is_intermediate());
    let read = entries.map(SearchEntry::construct).map(|entry| {
        // An attribute may come back in another spelling.
        let values = entry.attrs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        (entry.dn, values.map(|(_, values)| values).unwrap_or_default())
    });
    Ok((read.collect(), result))
}

/// The name among those of an entry that somebody asked by, as the directory writes it; the only one when they asked by something else.
fn own_name(names: &[String], asked: &str) -> Option<String> {
    let same = |name: &&String| name.to_lowercase() == asked.to_lowercase();
    let name = match names {
        [only] => only,
        several => several.iter().find(same)?,
    };
    is_user_name(name).then(|| name.clone())
}

fn good(doing: &'static str, result: LdapResult) -> Result<(), Error> {
    match result.rc {
        code::SUCCESS => Ok(()),
        code => Err(Error::Refused { doing, code, text: result.text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_name_that_the_directory_writes() {
        let of = |names: &[&str], asked| own_name(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(), asked);
        assert_eq!(of(&["ann"], "ANN").as_deref(), Some("ann"));
        assert_eq!(of(&["ann"], "ann@example.com").as_deref(), Some("ann"));
        assert_eq!(of(&["b", "ann"], "Ann").as_deref(), Some("ann"));
        assert_eq!(of(&["b", "ann"], "ann@example.com"), None);
        assert_eq!(of(&["a b"], "ann"), None);
        assert_eq!(of(&[], "ann"), None);
    }
}
