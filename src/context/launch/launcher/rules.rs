//! Who may be run, as whom, from which profile. Decided by the launcher's own configuration, whatever a gateway says.
//!
//! The names of the settings are those of Hadoop's `container-executor.cfg`, which decides the same for YARN.

use nix::unistd::User;
use serde::Deserialize;

use crate::context::launch::run_as::RunAs;
use crate::shim;

/// The uid and gid that systems keep for those who are nobody (`nobody`, NFS's overflow user).
const NOBODY: [u32; 2] = [65_534, 65_535];

/// Which OS users drivers may run as; part of the section `launch`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// The least uid of a person.
    pub min_user_id: u32,
    /// Users that are never run, whatever their uid.
    pub banned_users: Vec<String>,
    /// Users below the least uid that may be run: service accounts of a cluster's workers.
    pub allowed_system_users: Vec<String>,
    /// The tenants whose people the OS users are: a name means the same person in these alone. `*`: in every tenant.
    #[serde(default)]
    pub tenants: Vec<String>,
}

/// Why a user is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No account.
    #[error(
        "there is no OS user {0:?} on this machine: ask its administrator for an account, or choose another profile"
    )]
    NoUser(String),
    /// A user of the system.
    #[error("the OS user {0:?} is one of the system's (uid {1}): launch.users says who may be run")]
    System(String, u32),
    /// Named in the configuration.
    #[error("the OS user {0:?} may not be run (launch.users.banned_users)")]
    Banned(String),
    /// The gateway's own.
    #[error("the OS user {0:?} is the gateway's own: nobody's code runs as that")]
    Gateway(String),
    /// Whoever has that name in their tenant is somebody else than the OS user.
    #[error(
        "the OS users of this machine are not the people of your tenant {0:?}: choose a profile that runs as a service account, or ask an \
         operator to name the tenant in launch.users.tenants"
    )]
    Tenant(String),
    /// The profile says otherwise.
    #[error("the profile runs as {profile}, not as the OS user {user:?}")]
    OtherProfile {
        /// What the profile says.
        profile: String,
        /// Who was asked for.
        user: String,
    },
}

impl Users {
    /// Checks that a name means the same person in a tenant and on this machine.
    ///
    /// # Errors
    /// [`Refused::Tenant`] when it may be somebody else's.
    pub fn serve(&self, tenant: &str) -> Result<(), Refused> {
        let serves = self.tenants.is_empty() || self.tenants.iter().any(|named| named == "*" || named == tenant);
        if serves { Ok(()) } else { Err(Refused::Tenant(tenant.to_owned())) }
    }

    /// The account of a user who may be run from a profile. `gateway` is the uid of the gateway.
    ///
    /// # Errors
    /// Why not.
    pub fn account(&self, name: &str, run_as: &RunAs, gateway: u32) -> Result<User, Refused> {
        let fits = match run_as {
            RunAs::User => true,
            RunAs::Service(service) => service == name,
            RunAs::Gateway => false,
        };
        if !fits {
            return Err(Refused::OtherProfile { profile: run_as.to_string(), user: name.to_owned() });
        }
        self.person(name, gateway)
    }

    /// The account of a user who may be run at all.
    ///
    /// # Errors
    /// Why not.
    pub fn person(&self, name: &str, gateway: u32) -> Result<User, Refused> {
        let owned = || name.to_owned();
        let user = shim::user(name).map_err(|_| Refused::NoUser(name.chars().take(80).collect()))?;
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        let named = self.allowed_system_users.iter().any(|allowed| allowed == name);
        if uid == 0 || gid == 0 || NOBODY.contains(&uid) || (uid < self.min_user_id && !named) {
            return Err(Refused::System(owned(), uid));
        }
        if uid == gateway {
            return Err(Refused::Gateway(owned()));
        }
        if self.banned_users.iter().any(|banned| banned == name) {
            return Err(Refused::Banned(owned()));
        }
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        Users { min_user_id: 1000, banned_users: Vec::new(), allowed_system_users: Vec::new(), tenants: Vec::new() }
    }

    #[test]
    fn the_system_is_nobody_to_run() {
        for name in ["root", "daemon", "nobody"] {
            assert!(matches!(users().person(name, 4711), Err(Refused::System(..))), "{name}");
        }
        for name in ["no-such-user", "", "0", "1000", "root\0"] {
            assert!(matches!(users().person(name, 4711), Err(Refused::NoUser(_))), "{name:?}");
        }
        let rules = Users { allowed_system_users: vec!["root".into(), "daemon".into()], ..users() };
        assert!(matches!(rules.person("root", 4711), Err(Refused::System(..))), "never root");
        let daemon = rules.person("daemon", 4711).unwrap();
        assert_eq!(rules.person("daemon", daemon.uid.as_raw()), Err(Refused::Gateway("daemon".into())));
        let rules = Users { banned_users: vec!["daemon".into()], ..rules };
        assert_eq!(rules.person("daemon", 4711), Err(Refused::Banned("daemon".into())));
    }

    #[test]
    fn a_name_is_a_person_of_some_tenants() {
        assert_eq!(users().serve("anybody"), Ok(()));
        let rules = Users { tenants: vec!["acme".into()], ..users() };
        assert_eq!(rules.serve("acme"), Ok(()));
        assert_eq!(rules.serve("umbrella"), Err(Refused::Tenant("umbrella".into())));
        assert_eq!(Users { tenants: vec!["*".into()], ..users() }.serve("umbrella"), Ok(()));
    }

    #[test]
    fn a_profile_names_whom_it_runs() {
        let rules = Users { allowed_system_users: vec!["daemon".into(), "bin".into()], ..users() };
        assert!(rules.account("daemon", &RunAs::User, 4711).is_ok());
        assert!(rules.account("daemon", &RunAs::Service("daemon".into()), 4711).is_ok());
        for run_as in [RunAs::Service("bin".into()), RunAs::Gateway] {
            let refused = rules.account("daemon", &run_as, 4711).unwrap_err();
            assert!(matches!(refused, Refused::OtherProfile { .. }), "{run_as}");
        }
    }
}
