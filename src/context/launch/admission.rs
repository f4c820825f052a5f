//! What a request may ask of a profile: as whom it will run, which conf, which files.

use super::Profile;
use super::conf_policy;
use super::files::{self, Local};
use super::launcher::rules::Users;
use super::launcher::{self, Client};
use super::resources::{Invalid, Resources};
use super::run_as::{self, RunAs};
use crate::identity::Principal;

/// Decides about requests before they stand in line. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Whether any authentication scheme is configured.
    pub authenticates: bool,
    /// Which OS users drivers may run as.
    pub users: Users,
    /// The launcher, where there is one.
    pub launcher: Option<Client>,
}

/// A request that may be launched: made by [`Admission::admit`] alone.
#[derive(Debug)]
pub struct Admitted {
    /// The profile's name.
    pub profile: String,
    /// What is asked of Spark, the names of files plain.
    pub resources: Resources,
    /// The identity that it will run as.
    pub run_as: String,
    /// The policies that allow it.
    pub by: Vec<String>,
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is there to run as.
    #[error(transparent)]
    User(#[from] launcher::rules::Refused),
    /// It asks for what it may not have.
    #[error(transparent)]
    Request(#[from] Invalid),
    /// The launcher.
    #[error(transparent)]
    Launcher(#[from] launcher::Error),
}

impl Admission {
    /// Decides about a request to a profile. `more` are files that it names elsewhere.
    ///
    /// # Errors
    /// Nobody to run as, or something that it may not have.
    pub async fn admit(
        &self,
        (name, profile): (&str, &Profile),
        who: &Principal,
        mut resources: Resources,
        more: Vec<Local>,
    ) -> Result<Admitted, Error> {
        let run_as = self.identity(profile, who)?;
        self.check((name, profile), &run_as, &mut resources, more).await?;
        Ok(Admitted { by: Vec::new(), profile: name.to_owned(), resources, run_as })
    }

    /// The identity that a principal's application from a profile has: refused when it is an OS user who is not there or may not be run.
    fn identity(&self, profile: &Profile, who: &Principal) -> Result<String, Error> {
        if profile.run_as == RunAs::User {
            self.users.serve(&who.tenant)?;
        }
        let identity = profile.run_as.identity(who);
        if self.is_other_os_user(profile) {
            self.users.account(identity, &profile.run_as, nix::unistd::Uid::effective().as_raw())?;
        }
        Ok(identity.to_owned())
    }

    /// Checks conf and files of a request that will run as `identity`, and makes the names of its files plain.
    async fn check(
        &self,
        (name, profile): (&str, &Profile),
        identity: &str,
        resources: &mut Resources,
        mut more: Vec<Local>,
    ) -> Result<(), Error> {
        resources.check()?;
        conf_policy::check(&resources.conf, profile, self.authenticates)?;
        more.extend(files::name_all(resources)?);
        if more.is_empty() {
            return Ok(());
        }
        let restricts = self.authenticates || !profile.file_roots.is_empty();
        let roots = restricts.then(|| profile.file_roots.clone());
        let paths = || more.iter().map(|file| file.path.clone()).collect();
        let found = match &self.launcher {
            Some(launcher) if self.is_other_os_user(profile) => launcher.look(identity, name, paths(), roots).await?,
            // To a cluster files are read by the gateway's own process: it lets nobody choose them.
            _ if profile.run_as != RunAs::Gateway => vec![files::Found::Outside; more.len()],
            _ => files::look_all(paths(), roots).await?,
        };
        Ok(files::judge(&more, &found)?)
    }

    fn is_other_os_user(&self, profile: &Profile) -> bool {
        profile.run_as != RunAs::Gateway && !run_as::is_yarn(&profile.master)
    }
}
