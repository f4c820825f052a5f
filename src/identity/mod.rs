//! Who is asking.
//!
//! Every call carries a [`Principal`], made here and nowhere else. The only scheme so far is *the local user*: with nothing
//! configured, whoever reaches the loopback port is the person who started Hearth, and `http::guard` refuses foreign pages
//! and foreign hosts. Other schemes become further ways to make a `Principal`; nothing behind this module changes with them.

use std::net::IpAddr;
use std::sync::Arc;

use nix::unistd::{Uid, User, getgrouplist};
use serde::{Deserialize, Serialize};

/// How somebody has shown who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// No scheme is configured: whoever reaches the loopback port is the person who started Hearth.
    Local,
    /// A client certificate (mTLS).
    Certificate,
    /// A cookie of an earlier login.
    Cookie,
    /// An API token of Hearth.
    Token,
    /// A JSON Web Token of an OpenID provider.
    Bearer,
    /// Kerberos by SPNEGO (RFC 4559).
    Negotiate,
    /// A name and a password that the directory (LDAP) knows.
    Basic,
}

impl Scheme {
    /// The name, as logs and the audit have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Certificate => "certificate",
            Self::Cookie => "cookie",
            Self::Token => "token",
            Self::Bearer => "bearer",
            Self::Negotiate => "negotiate",
            Self::Basic => "basic",
        }
    }
}

/// The most that a credential may be used for; whose it is may be allowed more by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See, read output and logs.
    View,
    /// Also run code, create sessions, contexts and batches.
    Attach,
    /// Whatever its owner may.
    Manage,
}

impl Scope {
    /// The name, as the API and the database have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Attach => "attach",
            Self::Manage => "manage",
        }
    }
}

/// Where a call came from, for logs and the audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Address of the client, as far as it is known.
    pub address: Option<IpAddr>,
    /// Id of the request.
    pub request: Option<Arc<str>>,
}

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
    /// How the user, or the proxy, has shown who they are.
    pub scheme: Scheme,
    /// The most that the credential may be used for.
    pub scope: Scope,
    /// Where the call came from.
    pub origin: Origin,
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
        Self {
            user: name.into(),
            groups,
            tenant: DEFAULT_TENANT.into(),
            via: None,
            scheme: Scheme::Local,
            scope: Scope::Manage,
            origin: Origin::default(),
        }
    }
}
