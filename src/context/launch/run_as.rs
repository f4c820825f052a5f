//! As whom a profile's drivers run, and which combinations are refused at start.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::Profile;
use crate::identity::Principal;

/// As whom drivers run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RunAs {
    /// As the OS user of the gateway: only while no authentication scheme is configured.
    #[default]
    Gateway,
    /// As the OS user named like the principal; on YARN as the Hadoop user of that name.
    User,
    /// As one service account, whoever asks.
    Service(String),
}

impl FromStr for RunAs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "user" => Ok(Self::User),
            None if text == "gateway" => Ok(Self::Gateway),
            Some(("service", name)) if !name.is_empty() => Ok(Self::Service(name.to_owned())),
            _ => Err("run_as is \"user\", \"service:NAME\" or \"gateway\""),
        }
    }
}

impl fmt::Display for RunAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("gateway"),
            Self::User => f.write_str("user"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

impl<'de> Deserialize<'de> for RunAs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl RunAs {
    /// The name of the identity that a principal's application has.
    #[must_use]
    pub fn identity<'a>(&'a self, who: &'a Principal) -> &'a str {
        match self {
            Self::Gateway | Self::User => &who.user,
            Self::Service(name) => name,
        }
    }
}

/// What of the set-up decides which profiles are possible.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Whether any authentication scheme is configured.
    pub authenticates: bool,
    /// Whether there is a launcher.
    pub has_launcher: bool,
    /// Whether it is known which person a user's name means: there is one tenant, or `launch.users.tenants` says whose OS users there are.
    pub names_are_people: bool,
}

/// A profile that cannot keep what it promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("profile {profile}: {why}")]
pub struct Impossible {
    /// Its name.
    pub profile: String,
    /// Why, and what to do about it.
    pub why: &'static str,
}

/// Checks every profile against the set-up.
///
/// # Errors
/// The first that is impossible.
pub fn check(profiles: &BTreeMap<String, Profile>, setup: Setup) -> Result<(), Impossible> {
    profiles.iter().try_for_each(|(name, profile)| {
        let why = why_not(profile, setup);
        why.map_or(Ok(()), |why| Err(Impossible { profile: name.clone(), why }))
    })
}

fn why_not(profile: &Profile, setup: Setup) -> Option<&'static str> {
    let is_standalone = profile.master.starts_with("spark://");
    match (&profile.run_as, setup.authenticates) {
        (RunAs::Gateway, true) => Some(
            "run_as is \"gateway\", but an authentication scheme is configured, and then nobody's code runs as the gateway: set it to \
             \"user\" or \"service:NAME\"",
        ),
        (RunAs::User, false) => Some(
            "run_as is \"user\", but no authentication scheme is configured, so nobody is known by name: configure one, or set it to \
             \"gateway\" or \"service:NAME\"",
        ),
        (RunAs::User, true) if is_standalone => Some(
            "run_as is \"user\", but a standalone cluster runs everybody's executors as its workers' one account: set it to \
             \"service:NAME\", the account of the workers",
        ),
        (RunAs::User, true) if !setup.names_are_people => Some(
            "run_as is \"user\", but there are several tenants, and users of two may have one name: say in launch.users.tenants whose people \
             the OS users are, and give the others profiles with run_as = \"service:NAME\"",
        ),
        (RunAs::User | RunAs::Service(_), _) if !is_yarn(&profile.master) && !setup.has_launcher => Some(
            "run_as names another OS user, and only a launcher can start programs as one: start hearth as root with launch.gateway_user \
             set, or run `hearth launcher` beside it and name its socket in launch.launcher",
        ),
        (RunAs::Gateway | RunAs::User, _) if profile.share.is_of_several() => Some(
            "share is \"group:NAME\" or \"service\", so several people's code runs in one context, and it must run as none of them: set \
             run_as to \"service:NAME\"",
        ),
        _ => None,
    }
}

/// Whether the master is a YARN cluster.
#[must_use]
pub fn is_yarn(master: &str) -> bool {
    master == "yarn"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(master: &str, run_as: &str, authenticates: bool, has_launcher: bool) -> Option<&'static str> {
        let profile = serde_json::from_value(serde_json::json!({ "master": master, "run_as": run_as })).unwrap();
        why_not(&profile, Setup { authenticates, has_launcher, names_are_people: true })
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let refused = [
            ("local[*]", "gateway", true, true, "nobody's code runs as the gateway"),
            ("local[*]", "user", false, true, "no authentication scheme"),
            ("local[*]", "user", true, false, "only a launcher"),
            ("local[*]", "service:spark", true, false, "only a launcher"),
            ("spark://h:7077", "user", true, true, "the account of the workers"),
            ("spark://h:7077", "service:spark", false, false, "only a launcher"),
        ];
        for (master, run_as, authenticates, launcher, expected) in refused {
            let why = refusal(master, run_as, authenticates, launcher).unwrap();
            assert!(why.contains(expected), "{master} {run_as}: {why}");
        }
        let possible = [
            ("local[*]", "gateway", false, false),
            ("local[*]", "user", true, true),
            ("local[*]", "service:spark", false, true),
            ("spark://h:7077", "service:spark", true, true),
            ("yarn", "user", true, false),
        ];
        for (master, run_as, authenticates, launcher) in possible {
            assert_eq!(refusal(master, run_as, authenticates, launcher), None, "{master} {run_as}");
        }
    }

    #[test]
    fn with_several_tenants_somebody_says_whose_the_os_users_are() {
        let asked = |run_as: &str, names_are_people| {
            let profile = serde_json::from_value(serde_json::json!({ "run_as": run_as })).unwrap();
            why_not(&profile, Setup { authenticates: true, has_launcher: true, names_are_people })
        };
        assert!(asked("user", false).unwrap().contains("launch.users.tenants"));
        assert_eq!((asked("user", true), asked("service:spark", false)), (None, None));
    }

    #[test]
    fn what_several_people_share_runs_as_none_of_them() {
        for (share, run_as, authenticates, possible) in [
            ("service", "user", true, false),
            ("group:etl", "gateway", false, false),
            ("group:etl", "service:etl", true, true),
            ("service", "service:etl", true, true),
            ("user", "user", true, true),
        ] {
            let profile = serde_json::from_value(serde_json::json!({ "run_as": run_as, "share": share })).unwrap();
            let why = why_not(&profile, Setup { authenticates, has_launcher: true, names_are_people: true });
            assert_eq!(why.is_none(), possible, "{share} {run_as}: {why:?}");
        }
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["user", "gateway", "service:etl"] {
            assert_eq!(text.parse::<RunAs>().unwrap().to_string(), text);
        }
        for text in ["", "User", "root", "service:", "service", "user:alice"] {
            assert!(text.parse::<RunAs>().is_err(), "{text:?}");
        }
    }
}
