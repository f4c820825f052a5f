//! The section `auth.ldap`, and what it means once it is checked.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ldap3::{LdapConnSettings, dn_escape, ldap_escape};
use secrecy::SecretString;
use serde::Deserialize;

use crate::identity::config::Unusable;
use crate::identity::{Scheme, secret, trust};
use crate::time::Span;

/// The section `auth.ldap`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `ldaps://host[:port]` or `ldap://host[:port]`.
    pub url: String,
    /// Whether TLS begins inside a connection of `ldap://` (RFC 4511 4.14).
    pub starttls: bool,
    /// PEM file with the CA of the directory's certificate; empty: those of the host.
    pub ca: PathBuf,
    /// Whether passwords may go to another host without TLS.
    pub allow_plain: bool,
    /// How long the directory may take to answer one login.
    pub timeout: Span,
    /// How long a right password is remembered; `0s`: not at all.
    pub cache: Span,
    /// The distinguished name of a user, with `{user}` in it; empty: the user is searched.
    pub user_dn: String,
    /// Where users are searched.
    pub base: String,
    /// What finds a user, with `{user}` in it.
    pub filter: String,
    /// The attribute with the user's name as the cluster knows it.
    pub user_name: String,
    /// The distinguished name that Hearth itself searches as; empty: anonymously, or as the user whose password is checked.
    pub bind_dn: String,
    /// The file with its password.
    pub bind_password_file: PathBuf,
    /// Where groups are searched; empty: groups are not asked for.
    pub group_base: String,
    /// What finds the groups of a user, with `{dn}` or `{user}` in it.
    pub group_filter: String,
    /// The attribute with a group's name.
    pub group_name: String,
}

/// How a user's entry is found.
#[derive(Debug)]
pub(super) enum Find {
    /// Its name follows from the user's.
    Template(String),
    /// It is searched.
    Search { base: String, filter: String },
}

/// Where groups are searched, and how.
#[derive(Debug)]
pub(super) struct Groups {
    pub base: String,
    pub filter: String,
    pub name: String,
}

/// A configuration that has been checked.
pub(super) struct Setup {
    pub url: String,
    pub settings: LdapConnSettings,
    pub timeout: Duration,
    pub find: Find,
    pub user_name: String,
    pub account: Option<(String, SecretString)>,
    pub groups: Option<Groups>,
}

impl Setup {
    /// Checks the section.
    ///
    /// # Errors
    /// Names what is missing or makes no sense.
    pub fn new(config: &Config) -> Result<Self, Unusable> {
        let settings = settings(config)?;
        let find = match (config.user_dn.as_str(), config.base.as_str()) {
            ("", "") => return Err(lacks("auth.ldap has neither user_dn nor base: how is a user found?")),
            ("", base) if config.filter.contains("{user}") => {
                Find::Search { base: base.to_owned(), filter: config.filter.clone() }
            }
            ("", _) => return Err(lacks("auth.ldap.filter has no {user} in it")),
            (template, "") if template.contains("{user}") => Find::Template(template.to_owned()),
            (_, "") => return Err(lacks("auth.ldap.user_dn has no {user} in it")),
            _ => return Err(rule("auth.ldap: user_dn and base exclude each other")),
        };
        let account = match (config.bind_dn.as_str(), config.bind_password_file.as_os_str().is_empty()) {
            ("", true) => None,
            ("", false) => return Err(rule("auth.ldap.bind_password_file is set, but not bind_dn")),
            (_, true) => return Err(rule("auth.ldap.bind_dn is set, but not bind_password_file")),
            (dn, false) => {
                let password = secret::read("auth.ldap.bind_password_file", &config.bind_password_file)?;
                Some((dn.to_owned(), password))
            }
        };
        let groups = (!config.group_base.is_empty()).then(|| Groups {
            base: config.group_base.clone(),
            filter: config.group_filter.clone(),
            name: config.group_name.clone(),
        });
        if groups.as_ref().is_some_and(|g| !g.filter.contains("{dn}") && !g.filter.contains("{user}")) {
            return Err(rule("auth.ldap.group_filter has neither {dn} nor {user} in it"));
        }
        Ok(Self {
            url: config.url.clone(),
            settings,
            timeout: config.timeout.0,
            find,
            user_name: config.user_name.clone(),
            account,
            groups,
        })
    }
}

impl Find {
    /// The distinguished name that follows from the user's.
    pub fn dn(&self, user: &str) -> Option<String> {
        match self {
            Self::Template(template) => Some(template.replace("{user}", &dn_escape(user))),
            Self::Search { .. } => None,
        }
    }
}

/// A filter for this user. A user's name has no braces, so that none of its parts is taken for a place.
pub(super) fn filter(template: &str, user: &str, dn: &str) -> String {
    template.replace("{user}", &ldap_escape(user)).replace("{dn}", &ldap_escape(dn))
}

/// How the directory is reached: by TLS, unless it is this host or that is waived.
fn settings(config: &Config) -> Result<LdapConnSettings, Unusable> {
    let settings = LdapConnSettings::new().set_conn_timeout(config.timeout.0).set_starttls(config.starttls);
    let (scheme, place) = config
        .url
        .split_once("://")
        .filter(|(_, place)| !place.is_empty())
        .ok_or_else(|| lacks("auth.ldap.url is not ldaps://host or ldap://host"))?;
    match (scheme, config.starttls) {
        ("ldaps", false) | ("ldap", true) => {
            Ok(settings.set_config(Arc::new(trust::client("auth.ldap.ca", &config.ca)?)))
        }
        ("ldap", false) if config.allow_plain || is_loopback(place) => Ok(settings),
        ("ldap", false) => Err(rule(
            "auth.ldap.url is ldap:// without TLS: everybody between could read the passwords. Use ldaps://, or starttls = true \
             (or allow_plain = true, where the network is trusted)",
        )),
        ("ldaps", true) => Err(rule("auth.ldap: ldaps:// is TLS from the beginning; leave starttls out")),
        _ => Err(lacks("auth.ldap.url is not ldaps://host or ldap://host")),
    }
}

fn is_loopback(place: &str) -> bool {
    let place = place.trim_end_matches('/');
    let host = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => place.rsplit_once(':').map_or(place, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn lacks(what: &str) -> Unusable {
    Unusable::Lacks { scheme: Scheme::Basic.as_str(), lacks: what.to_owned() }
}

fn rule(what: &str) -> Unusable {
    Unusable::Rule(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        Config {
            url: url.into(),
            starttls: false,
            ca: PathBuf::new(),
            allow_plain: false,
            timeout: Span(Duration::from_secs(5)),
            cache: Span(Duration::ZERO),
            user_dn: "uid={user},ou=people,dc=x".into(),
            base: String::new(),
            filter: "(uid={user})".into(),
            user_name: "uid".into(),
            bind_dn: String::new(),
            bind_password_file: PathBuf::new(),
            group_base: String::new(),
            group_filter: String::new(),
            group_name: "cn".into(),
        }
    }

    #[test]
    fn passwords_do_not_travel_without_tls() {
        assert!(Setup::new(&config("ldap://directory.example")).is_err());
        assert!(Setup::new(&config("ldap://127.0.0.1.example:389")).is_err());
        assert!(Setup::new(&config("http://localhost")).is_err());
        assert!(Setup::new(&config("ldap://127.0.0.1:389")).is_ok());
        assert!(Setup::new(&config("ldap://[::1]:389")).is_ok());
        assert!(Setup::new(&Config { allow_plain: true, ..config("ldap://directory.example") }).is_ok());
    }

    #[test]
    fn what_finds_nobody_in_particular_is_refused() {
        let local = || config("ldap://localhost");
        assert!(Setup::new(&Config { user_dn: "uid=ann,dc=x".into(), ..local() }).is_err());
        assert!(Setup::new(&Config { user_dn: String::new(), ..local() }).is_err());
        assert!(Setup::new(&Config { base: "dc=x".into(), ..local() }).is_err());
        let search = || Config { user_dn: String::new(), base: "dc=x".into(), ..local() };
        assert!(Setup::new(&search()).is_ok());
        assert!(Setup::new(&Config { filter: "(uid=*)".into(), ..search() }).is_err());
        assert!(Setup::new(&Config { group_base: "dc=x".into(), ..local() }).is_err());
        assert!(Setup::new(&Config { bind_dn: "cn=hearth".into(), ..local() }).is_err());
    }

    #[test]
    fn names_stay_inside_their_place() {
        let find = Find::Template("uid={user},ou=people".into());
        assert_eq!(find.dn("ann,ou=x").unwrap(), "uid=ann\\2cou\\3dx,ou=people");
        assert_eq!(filter("(&(uid={user})(m={dn}))", "a*", "cn=(b)"), "(&(uid=a\\2a)(m=cn=\\28b\\29))");
    }
}
