//! Roles beyond ownership and grants: what `[access]` in the configuration makes of somebody.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::identity::{Principal, Scheme, is_user_name};

/// The section `access`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the site's own policies; empty: none.
    pub policies: String,
    /// The tenant whose users and groups `operators` and `auditors` name.
    pub home_tenant: String,
    /// Who see and manage everything of every tenant.
    pub operators: Vec<Subject>,
    /// Who read the audit and the policies.
    pub auditors: Vec<Subject>,
    /// Who see and manage everything of a tenant, by tenant.
    pub tenant_admins: BTreeMap<String, Vec<Subject>>,
}

/// A role that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Sees and manages everything of every tenant.
    Operator,
    /// Reads the audit and the policies.
    Auditor,
    /// Sees and manages everything of their own tenant.
    TenantAdmin,
}

impl Role {
    /// The word in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::TenantAdmin => "tenantAdmin",
        }
    }
}

/// A user or a group, written `user:NAME` or `group:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user by name.
    User(String),
    /// A group by name.
    Group(String),
}

/// The group that everybody in a tenant is in.
pub(super) const EVERYBODY: &str = "*";

/// A text that names neither a user nor a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names nobody: write user:NAME or group:NAME, a name of letters, digits and . _ - @ $, 128 bytes at most"
)]
pub struct BadSubject(String);

impl Subject {
    /// A user of this name.
    ///
    /// # Errors
    /// When it can be no name.
    pub fn user(name: &str) -> Result<Self, BadSubject> {
        checked(name).map(Self::User)
    }

    /// A group of this name; `*` is everybody's.
    ///
    /// # Errors
    /// When it can be no name.
    pub fn group(name: &str) -> Result<Self, BadSubject> {
        if Self::is_everybody(name) { Ok(Self::everybody()) } else { checked(name).map(Self::Group) }
    }

    /// Everybody in the tenant.
    #[must_use]
    pub fn everybody() -> Self {
        Self::Group(EVERYBODY.to_owned())
    }

    /// Whether this is the name of the group that everybody is in. No directory can have one that is called so.
    #[must_use]
    pub fn is_everybody(group: &str) -> bool {
        group == EVERYBODY
    }

    /// Whether this is the principal, or a group of theirs; the tenant is for the caller to compare.
    #[must_use]
    pub fn includes(&self, who: &Principal) -> bool {
        match self {
            Self::User(name) => **name == *who.user,
            Self::Group(name) => Self::is_everybody(name) || who.groups.contains(name),
        }
    }

    /// `user` or `group`, and the name.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::User(name) => ("user", name),
            Self::Group(name) => ("group", name),
        }
    }
}

fn checked(name: &str) -> Result<String, BadSubject> {
    if is_user_name(name) { Ok(name.to_owned()) } else { Err(BadSubject(name.chars().take(80).collect())) }
}

impl FromStr for Subject {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        match text.split_once(':') {
            Some(("user", name)) => Self::user(name),
            Some(("group", name)) => Self::group(name),
            _ => Err(BadSubject(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        write!(f, "{kind}:{name}")
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let subject: Self = String::deserialize(d)?.parse().map_err(serde::de::Error::custom)?;
        if subject == Self::everybody() {
            return Err(serde::de::Error::custom(
                "group:* is everybody: a role is for users and groups that are named",
            ));
        }
        Ok(subject)
    }
}

impl Config {
    /// The roles of somebody. Whoever reaches a gateway without a scheme is the person who runs it: its operator.
    #[must_use]
    pub fn roles(&self, who: &Principal) -> Vec<Role> {
        // Whoever is spoken for by a proxy has what is theirs and was granted to them: a proxy of "*" is no way to become an operator.
        if who.via.is_some() {
            return Vec::new();
        }
        let named = |subjects: &[Subject]| subjects.iter().any(|s| s.includes(who));
        let home = *self.home_tenant == *who.tenant;
        let mut roles = Vec::new();
        if who.scheme == Scheme::Local || (home && named(&self.operators)) {
            roles.push(Role::Operator);
        }
        if home && named(&self.auditors) {
            roles.push(Role::Auditor);
        }
        if self.tenant_admins.get(&*who.tenant).is_some_and(|admins| named(admins)) {
            roles.push(Role::TenantAdmin);
        }
        roles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read_as_they_are_written() {
        assert_eq!("user:alice".parse(), Ok(Subject::User("alice".into())));
        assert_eq!("group:a.b@C".parse(), Ok(Subject::Group("a.b@C".into())));
        assert_eq!("group:*".parse(), Ok(Subject::everybody()));
        assert!(serde_json::from_str::<Subject>("\"group:*\"").is_err(), "nobody's role is everybody's");
        for bad in [
            "",
            "alice",
            "user:*",
            "user:",
            "user: alice",
            "user:-x",
            "group:<b>",
            "role:x",
            "group:a\nb",
            &format!("user:{}", "x".repeat(257)),
        ] {
            assert!(bad.parse::<Subject>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_role_is_of_the_tenant_it_was_given_in() {
        let config: Config = serde_json::from_value(serde_json::json!({
            "policies": "", "home_tenant": "default", "operators": ["group:ops"], "auditors": ["user:ann"],
            "tenant_admins": { "acme": ["user:ann"] },
        }))
        .unwrap();
        let who = |user: &str, group: &str, tenant: &str| Principal {
            user: user.into(),
            groups: [group.to_owned()].into(),
            tenant: tenant.into(),
            scheme: Scheme::Basic,
            ..Principal::local()
        };
        assert_eq!(config.roles(&who("olga", "ops", "default")), [Role::Operator]);
        assert_eq!(config.roles(&who("olga", "ops", "acme")), [], "another tenant's group of that name");
        assert_eq!(config.roles(&who("ann", "x", "default")), [Role::Auditor]);
        assert_eq!(config.roles(&who("ann", "x", "acme")), [Role::TenantAdmin]);
        assert_eq!(config.roles(&Principal::local()), [Role::Operator]);
    }
}
