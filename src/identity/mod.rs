//! Who is asking.
//!
//! Every call carries a [`Principal`], made here and nowhere else. The only scheme so far is *the local user*: with nothing
//! configured, whoever reaches the loopback port is the person who started Hearth, and `http::guard` refuses foreign pages
//! and foreign hosts. Other schemes become further ways to make a `Principal`; nothing behind this module changes with them.

use std::sync::Arc;

use nix::unistd::{Uid, User, getgrouplist};

/// Who is asking, after authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user's name, as the cluster knows it.
    pub user: Arc<str>,
    /// Names of the user's groups.
    pub groups: Arc<[String]>,
    /// The organisation or team the user belongs to.
    pub tenant: Arc<str>,
    /// Through whom: the trusted proxy that speaks for the user.
    pub via: Option<Arc<str>>,
}

/// The tenant of principals that no rule places elsewhere.
pub const DEFAULT_TENANT: &str = "default";

impl Principal {
    /// The person who started this process: the only principal while no scheme is configured.
    #[must_use]
    pub fn local() -> Self {
        let uid = Uid::effective();
        let user = User::from_uid(uid).ok().flatten();
        let name = user.as_ref().map_or_else(|| uid.to_string(), |u| u.name.clone());
        let groups = user
            .and_then(|u| {
                let c_name = std::ffi::CString::new(u.name).ok()?;
                getgrouplist(&c_name, u.gid).ok()
            })
            .unwrap_or_default()
            .into_iter()
            .filter_map(|gid| nix::unistd::Group::from_gid(gid).ok().flatten())
            .map(|g| g.name)
            .collect();
        Self { user: name.into(), groups, tenant: DEFAULT_TENANT.into(), via: None }
    }
}
