//! Groups of users, where the scheme does not tell them.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use nix::unistd::{Group, User, getgrouplist};
use serde::Deserialize;

/// How long groups are believed.
const BELIEF: Duration = Duration::from_secs(60);
const USERS: u64 = 50_000;

/// Where groups come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The operating system's: `/etc/group`, or whatever stands behind it.
    Os,
    /// Nowhere: users have the groups that their scheme tells.
    None,
}

/// Looks groups up. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    source: Source,
    known: Cache<Arc<str>, Arc<[String]>>,
}

impl Directory {
    /// Groups from this source.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self { source, known: Cache::builder().max_capacity(USERS).time_to_live(BELIEF).build() }
    }

    /// The groups of a user; none for a user that the source does not know.
    pub async fn groups(&self, user: &str) -> Arc<[String]> {
        if self.source == Source::None {
            return Arc::default();
        }
        let name: Arc<str> = user.into();
        let ask = {
            let name = name.clone();
            // The system may ask a network directory, and blocks meanwhile.
            async move { tokio::task::spawn_blocking(move || os_groups(&name).into()).await.unwrap_or_default() }
        };
        self.known.get_with(name, ask).await
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
