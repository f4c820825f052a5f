//! Who is asking.
//!
//! Every call carries a [`Principal`], made here and nowhere else. With nothing configured the only scheme is *the local user*:
//! whoever reaches the loopback port is the person who started Hearth, and `http::guard` refuses foreign pages and foreign hosts.
//! Otherwise [`chain`] asks the configured schemes, in a fixed order.
//!
//! - [`attempt`]: what a request shows; [`chain`]: who that is; [`config`]: the section `auth`
//! - schemes: [`certificate`], [`login`] (the cookie), [`token`], [`oidc`] (bearer tokens, the login of browsers), [`negotiate`],
//!   `basic` (names and passwords, by the directory)
//! - [`keytab`]: whose keys a keytab has, for people who look for what is wrong
//! - [`proxy`]: who may speak for others; [`tenant`], [`directory`], [`ldap`]: where a person belongs; [`brake`]: slows those who guess

pub mod attempt;
mod basic;
pub mod brake;
pub mod certificate;
pub mod chain;
pub mod config;
pub mod directory;
pub mod keytab;
pub mod ldap;
pub mod login;
pub mod negotiate;
pub mod oidc;
pub mod proxy;
pub mod secret;
mod store;
pub mod tenant;
pub mod token;
mod trust;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};

use self::config::ProxyRule;
use self::secret::Hash;
use crate::time::Timestamp;

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
    /// Every scheme.
    pub const ALL: [Self; 7] =
        [Self::Local, Self::Certificate, Self::Cookie, Self::Token, Self::Bearer, Self::Negotiate, Self::Basic];

    /// Reads the name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str() == name)
    }

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
    /// By which rule the principal may speak for others, when it is a trusted proxy that speaks in its own name now.
    pub speaks_for: Option<Arc<ProxyRule>>,
    /// Where the call came from.
    pub origin: Origin,
    /// Which of the groups stay as they were told.
    pub kept: Kept,
    /// What was shown that may be taken back, or that ends.
    pub credentials: Arc<[Credential]>,
}

/// The groups of somebody that no directory tells anew: those of a token's claims, or of a directory that is asked by a password alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The groups.
    pub groups: Arc<[String]>,
    /// The scheme by which somebody has shown who they are, behind a cookie or an API token too. None: it is not known, and all groups stay.
    pub shown_by: Option<Scheme>,
}

/// Something that was shown and that does not hold for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A login, by the hash of its cookie.
    Login(Hash),
    /// An API token, by its hash.
    Token(Hash),
    /// Something that is believed until a moment.
    Until(Timestamp),
}

/// What a scheme tells of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The user's name, as the cluster knows it.
    pub user: String,
    /// Groups that the scheme itself tells.
    pub groups: Vec<String>,
    /// The tenant that the scheme itself tells.
    pub tenant: Option<String>,
    /// The Kerberos realm.
    pub realm: Option<String>,
    /// The distinguished name in the directory.
    pub branch: Option<String>,
    /// The most that the credential may be used for.
    pub scope: Scope,
    /// How they had shown who they are, where a cookie or a token stands for it and its row says so.
    pub shown_by: Option<Scheme>,
    /// What of it may be taken back, or ends.
    pub credential: Option<Credential>,
}

impl Person {
    /// Somebody of whom the name alone is known.
    #[must_use]
    pub fn named(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            groups: Vec::new(),
            tenant: None,
            realm: None,
            branch: None,
            scope: Scope::Manage,
            shown_by: None,
            credential: None,
        }
    }
}

/// How long a cookie, a token or a grant is believed after it was looked up: what is revoked is over within this time everywhere.
const BELIEF: Duration = Duration::from_secs(1);

/// Whether a text can be the name of a user, a group or a tenant: what directories, Kerberos and operating systems allow, and nothing
/// that could be taken for markup, a path, an option, or another line.
#[must_use]
pub fn is_user_name(name: &str) -> bool {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '$');
    !name.is_empty() && name.len() <= 128 && name.chars().all(fine) && !name.starts_with(['-', '.'])
}

/// The tenant of principals that no rule places elsewhere.
pub const DEFAULT_TENANT: &str = "default";

impl Principal {
    /// Somebody who has not shown who they are, for the audit: by the name that they claim, if any.
    #[must_use]
    pub fn unknown(claimed: Option<&str>, scheme: Scheme, origin: &Origin) -> Self {
        let name: String = claimed.unwrap_or("unknown").chars().filter(|c| !c.is_control()).take(128).collect();
        Self {
            user: name.into(),
            groups: Arc::default(),
            tenant: DEFAULT_TENANT.into(),
            via: None,
            scheme,
            scope: Scope::View,
            speaks_for: None,
            origin: origin.clone(),
            kept: Kept::default(),
            credentials: Arc::default(),
        }
    }

    /// The person who started this process: the only principal while no scheme is configured.
    #[must_use]
    pub fn local() -> Self {
        let uid = Uid::effective();
        let user = User::from_uid(uid).ok().flatten();
        let name = user.as_ref().map_or_else(|| uid.to_string(), |u| u.name.clone());
        let groups = directory::os_groups(&name).into();
        Self {
            user: name.into(),
            groups,
            tenant: DEFAULT_TENANT.into(),
            via: None,
            scheme: Scheme::Local,
            scope: Scope::Manage,
            speaks_for: None,
            origin: Origin::default(),
            kept: Kept::default(),
            credentials: Arc::default(),
        }
    }

    /// Whether some of the groups are those of when the credential was made: what its owner has joined or left since is not known.
    #[must_use]
    pub fn keeps_groups(&self) -> bool {
        !self.kept.groups.is_empty()
    }
}
