//! Groups of users, where the scheme does not tell them.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use nix::unistd::{Group, User, getgrouplist};
use serde::Deserialize;
use tracing::warn;

use super::attempt::Refusal;
use super::{Scheme, ldap};

/// How long groups are believed.
const BELIEF: Duration = Duration::from_secs(60);
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

/// Looks users up. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    source: Source,
    ldap: Option<ldap::Client>,
    known: Cache<Arc<str>, Told>,
}

impl Directory {
    /// What this source tells; `ldap` is the directory for [`Source::Ldap`].
    #[must_use]
    pub fn new(source: Source, ldap: Option<ldap::Client>) -> Self {
        Self { source, ldap, known: Cache::builder().max_capacity(USERS).time_to_live(BELIEF).build() }
    }

    /// What the source tells of a user; nothing of one whom it does not know, or whom a scheme has asked it about already.
    ///
    /// # Errors
    /// The source is away.
    pub async fn look_up(&self, user: &str, shown_by: Scheme) -> Result<Told, Refusal> {
        let is_told = match self.source {
            Source::None => true,
            Source::Ldap => shown_by == Scheme::Basic,
            Source::Os => false,
        };
        if is_told {
            return Ok(Told::default());
        }
        let name: Arc<str> = user.into();
        let told = self.known.try_get_with(name.clone(), self.ask(name)).await;
        told.map_err(|e: Arc<ldap::Error>| {
            warn!(error = %e, "The directory cannot be asked for groups");
            Refusal::Away(shown_by)
        })
    }

    async fn ask(&self, name: Arc<str>) -> Result<Told, ldap::Error> {
        if let Some(ldap) = self.ldap.as_ref().filter(|_| self.source == Source::Ldap) {
            let entry = ldap.entry(&name).await?.unwrap_or_default();
            return Ok(Told { groups: entry.groups.into(), branch: Some(entry.dn).filter(|dn| !dn.is_empty()) });
        }
        // The system may ask a network directory, and blocks meanwhile.
        let groups = tokio::task::spawn_blocking(move || os_groups(&name).into()).await.unwrap_or_default();
        Ok(Told { groups, branch: None })
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
