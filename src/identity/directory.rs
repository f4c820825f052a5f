//! Groups of users, where the scheme does not tell them.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use nix::unistd::{Group, User, getgrouplist};
use serde::Deserialize;
use tracing::warn;

use super::attempt::Refusal;
use super::{Scheme, ldap};

/// How long what was found is better than nothing while the source is away.
const STALE: Duration = Duration::from_secs(3600);
const USERS: u64 = 50_000;

/// Where groups come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The operating system's: `/etc/group`, or whatever stands behind it.
    Os,
    /// The directory of the section `auth.ldap`.
    Ldap,
    /// Nowhere: users have the groups that their scheme tells.
    None,
}

/// What a source tells of a user.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The groups.
    pub groups: Arc<[String]>,
    /// The distinguished name, where the source has one.
    pub branch: Option<String>,
}

/// A user, and whether LDAP is asked for them too.
type Wanted = (Arc<str>, bool);

/// Looks users up. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    source: Source,
    ldap: Option<ldap::Client>,
    known: Cache<Wanted, Told>,
    last: Cache<Wanted, Told>,
}

impl Directory {
    /// What this source tells, believed for so long; `ldap` is the directory for [`Source::Ldap`], and of those who have shown a password.
    #[must_use]
    pub fn new(source: Source, ldap: Option<ldap::Client>, belief: Duration) -> Self {
        let cache = |time| Cache::builder().max_capacity(USERS).time_to_live(time).build();
        Self { source, ldap, known: cache(belief), last: cache(STALE.max(belief)) }
    }

    /// Whether the groups that a scheme itself tells stay as they are behind a cookie or a token, since there is nobody to be asked again.
    #[must_use]
    pub fn keeps(&self, shown_by: Scheme) -> bool {
        shown_by != Scheme::Basic || !self.asks_by_itself()
    }

    /// Whether LDAP answers without somebody's password.
    fn asks_by_itself(&self) -> bool {
        self.ldap.as_ref().is_some_and(ldap::Client::has_account)
    }

    /// What the source tells of a user who shows now who they are; nothing of one whom it does not know, or whom a scheme has asked it about
    /// already.
    ///
    /// # Errors
    /// The source is away.
    pub async fn look_up(&self, user: &str, shown_by: Scheme) -> Result<Told, Refusal> {
        self.find(user, self.source == Source::Ldap && shown_by != Scheme::Basic, shown_by).await
    }

    /// What the source tells now of a user who has shown before who they are, for whom a cookie or a token stands.
    ///
    /// # Errors
    /// The source is away, and has been for long.
    pub async fn look_again(&self, user: &str, shown_by: Scheme) -> Result<Told, Refusal> {
        let asks_ldap = if shown_by == Scheme::Basic { self.asks_by_itself() } else { self.source == Source::Ldap };
        self.find(user, asks_ldap, shown_by).await
    }

    /// What the source tells of a user who has shown nothing, but is known to be somebody.
    ///
    /// # Errors
    /// The source is away, and has been for long.
    pub async fn of_absent(&self, user: &str) -> Result<Told, Refusal> {
        self.find(user, self.source == Source::Ldap || self.asks_by_itself(), Scheme::Basic).await
    }

    async fn find(&self, user: &str, asks_ldap: bool, shown_by: Scheme) -> Result<Told, Refusal> {
        if self.source != Source::Os && !asks_ldap {
            return Ok(Told::default());
        }
        let wanted: Wanted = (user.into(), asks_ldap);
        let told = self.known.try_get_with(wanted.clone(), self.ask_or_recall(wanted)).await;
        told.map_err(|e: Arc<ldap::Error>| {
            warn!(error = %e, "The directory cannot be asked for groups");
            Refusal::Away(shown_by)
        })
    }

    async fn ask_or_recall(&self, wanted: Wanted) -> Result<Told, ldap::Error> {
        match self.ask(wanted.clone()).await {
            Ok(told) => {
                self.last.insert(wanted, told.clone()).await;
                Ok(told)
            }
            Err(e) => {
                let last = self.last.get(&wanted).await.ok_or(e)?;
                warn!(user = &*wanted.0, "The directory cannot be asked for groups; those it told last are believed");
                Ok(last)
            }
        }
    }

    async fn ask(&self, (name, asks_ldap): Wanted) -> Result<Told, ldap::Error> {
        let entry = match self.ldap.as_ref().filter(|_| asks_ldap) {
            Some(ldap) => ldap.entry(&name).await?.unwrap_or_default(),
            None => ldap::Entry::default(),
        };
        let mut groups = entry.groups;
        if self.source == Source::Os {
            // The system may ask a network directory, and blocks meanwhile.
            groups.extend(tokio::task::spawn_blocking(move || os_groups(&name)).await.unwrap_or_default());
        }
        Ok(Told { groups: groups.into(), branch: Some(entry.dn).filter(|dn| !dn.is_empty()) })
    }
}

/// The groups that the operating system has a user in.
#[must_use]
pub fn os_groups(user: &str) -> Vec<String> {
    let known = User::from_name(user).ok().flatten();
    let ids = known.and_then(|known| {
        let name = std::ffi::CString::new(known.name).ok()?;
        getgrouplist(&name, known.gid).ok()
    });
    let names = ids.unwrap_or_default().into_iter();
    names.filter_map(|gid| Group::from_gid(gid).ok().flatten()).map(|group| group.name).collect()
}
