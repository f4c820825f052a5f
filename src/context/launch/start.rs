//! Starts the application of a context: its row, its folder, its secrets, its program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use rand::TryRngCore;
use rand::rngs::OsRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::archive;
use super::bundle::{self, Agent};
use super::environment::Environment;
use super::folder::Folder;
use super::java_command::JavaCommand;
use super::launcher::{self, Client};
use super::resources::Resources;
use super::run_as::{self, RunAs};
use super::spark_home::{self, SparkHome};
use super::submit::{self, Driver, Setting, Submission};
use super::{Config, Profile, process};
use crate::context::driver::FirstSession;
use crate::context::service::Service;
use crate::context::{Context, application};
use crate::id::ApplicationId;
use crate::life::Life;
use crate::shim::Program;

/// Starts programs on this host. Cheap to clone.
#[derive(Clone)]
pub struct Starter(Arc<Parts>);

/// The parts of a [`Starter`].
pub struct Parts {
    /// This program, which is its own shim.
    pub program: Program,
    /// State folder.
    pub home: PathBuf,
    /// Cache folder.
    pub cache: PathBuf,
    /// What is passed on of Hearth's environment.
    pub environment: Environment,
    /// The section `launch`.
    pub config: Config,
    /// Base address that agents dial.
    pub gateways: String,
    /// Starts what runs as another OS user.
    pub launcher: Option<Client>,
    /// SHA-256, in hexadecimal, of the certificate that the gateway shows to drivers, where it speaks TLS.
    pub certificate: Option<String>,
    /// Supervises the shims.
    pub life: Life,
    /// Sparks that were found before, by profile.
    pub found: DashMap<String, Installed>,
}

/// A Spark and what was learned of it.
#[derive(Debug, Clone)]
pub struct Installed {
    /// Where it is.
    pub spark: SparkHome,
    /// What its `spark-defaults.conf` says.
    pub defaults: BTreeMap<String, String>,
    /// How its `SparkSubmit` is started.
    pub command: JavaCommand,
    /// Where its class data archive is, once it is made.
    pub archive: Option<PathBuf>,
}

/// What a launch is to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The template.
    pub profile: &'a Profile,
    /// What the request asks for.
    pub resources: &'a Resources,
    /// The identity of the row.
    pub run_as: &'a str,
    /// The application's name, when it was asked for by more than the conf.
    pub name: Option<&'a str>,
    /// Its name when nobody has asked for any.
    pub unnamed: &'a str,
}

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable Spark, Java or Python.
    #[error(transparent)]
    Spark(#[from] spark_home::Error),
    /// No agent.
    #[error(transparent)]
    Agent(#[from] bundle::Error),
    /// The folder or the process.
    #[error("the launch folder or process could not be made: {0}")]
    System(#[from] std::io::Error),
    /// Something is to run as another OS user, and nobody can start it.
    #[error("it is to run as another OS user, and there is no launcher")]
    NoLauncher,
    /// A driver in client mode on YARN, of somebody else.
    #[error(
        "drivers of others on YARN are not started: in client mode their code would run as the OS user of the gateway"
    )]
    Yarn,
    /// The launcher.
    #[error(transparent)]
    Launcher(#[from] launcher::Error),
    /// The system gives no randomness.
    #[error("the system gives no random numbers")]
    Random,
    /// The context's row or profile.
    #[error(transparent)]
    Context(#[from] crate::context::Error),
}

impl Starter {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The state folder.
    #[must_use]
    pub fn home(&self) -> &std::path::Path {
        &self.0.home
    }

    /// The launcher, where there is one.
    #[must_use]
    pub fn launcher(&self) -> Option<&Client> {
        self.0.launcher.as_ref()
    }

    /// Makes the folders of a launch.
    ///
    /// # Errors
    /// The system's; [`Error::Yarn`].
    pub fn folder(&self, id: Uuid, profile: &Profile) -> Result<Folder, Error> {
        // Its driver would run here as the gateway, whatever Hadoop calls it, and with it whatever its user writes.
        if profile.run_as != RunAs::Gateway && run_as::is_yarn(&profile.master) {
            return Err(Error::Yarn);
        }
        Ok(Folder::create(&self.0.home, id, profile.run_as != RunAs::Gateway)?)
    }

    /// Removes the folders of a launch.
    ///
    /// # Errors
    /// The system's, or the launcher's.
    pub async fn remove(&self, folder: &Folder) -> Result<(), Error> {
        match &self.0.launcher {
            Some(launcher) => Ok(launcher.remove(folder).await?),
            None => Ok(folder.remove()?),
        }
    }

    /// What is passed on of Hearth's environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// The Spark of a profile, found once.
    ///
    /// # Errors
    /// When there is none that could run.
    pub async fn installed(&self, name: &str, profile: &Profile) -> Result<Installed, Error> {
        if let Some(found) = self.0.found.get(name) {
            return Ok(found.clone());
        }
        let spark = spark_home::find(profile, &self.0.environment).await?;
        let defaults = spark.defaults(&self.0.environment);
        let command = JavaCommand::of(&spark, &self.0.cache, &self.0.environment).await;
        let archive = archive::path(&spark, &command, &self.0.cache).filter(|_| self.0.config.class_archive);
        let found = Installed { spark, defaults, command, archive };
        self.0.found.insert(name.to_owned(), found.clone());
        Ok(found)
    }

    /// The agent for a Spark: compiled now, if it never was.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn agent(&self, spark: &SparkHome) -> Result<Agent, Error> {
        let jar = Some(PathBuf::from(&self.0.config.agent_jar)).filter(|j| !j.as_os_str().is_empty());
        Ok(bundle::agent(spark, jar.as_deref(), &self.0.cache, &self.0.environment).await?)
    }

    /// Compiles the agents of these profiles, so that the first session need not wait for it, and then makes what lets drivers
    /// start sooner.
    pub async fn prepare(self, profiles: BTreeMap<String, Profile>) {
        for (name, profile) in &profiles {
            let made = async { self.agent(&self.installed(name, profile).await?.spark).await };
            match made.await {
                Ok(_) => debug!(profile = name, "Profile {name} is ready"),
                Err(e) => warn!(profile = name, error = %e, "Profile {name} cannot be used: hearth doctor says more"),
            }
        }
        for (name, profile) in profiles.iter().filter(|_| self.0.config.class_archive) {
            let Ok(Installed { spark, command, .. }) = self.installed(name, profile).await else { continue };
            match archive::make(&spark, &command, &self.0.cache, &self.0.environment).await {
                Ok(Some(_)) => debug!(profile = name, "Drivers of profile {name} start from a class data archive"),
                Ok(None) => info!(profile = name, "Drivers of profile {name} start without a class data archive"),
                Err(e) => {
                    warn!(profile = name, error = %e, "Drivers of profile {name} start without a class data archive")
                }
            }
        }
    }

    /// Starts the application of a context that is `starting`.
    ///
    /// # Errors
    /// What keeps it from starting, for its owner.
    pub async fn start(&self, contexts: &Service, first: &FirstSession, context: &Context) -> Result<(), Error> {
        let profile = contexts.profile(&context.profile)?;
        let installed = self.installed(&context.profile, profile).await?;
        let agent = self.agent(&installed.spark).await?;
        let id = ApplicationId::generate();
        let token = SecretString::from(random()?);
        let folder = self.folder(id.0, profile)?;
        // A context of a session's own is called like the session, as in Livy.
        let own = first.name.as_deref().filter(|_| !context.outlives_sessions);
        let (name, unnamed) = (context.name.as_deref().or(own), format!("hearth-{}", context.id));
        let wanted = Wanted { profile, resources: &context.request, run_as: &context.run_as, name, unnamed: &unnamed };
        let setting = self.setting(&installed, wanted, &folder, contexts.host());
        let warm: Vec<&str> = first.kind.as_deref().into_iter().collect();
        let gateways = [self.0.gateways.clone()];
        let driver = Driver {
            agent: &agent,
            application: id,
            token: &token,
            gateways: &gateways,
            certificate: self.0.certificate.as_deref(),
            warm: &warm,
        };
        let submission = submit::driver(&setting, &driver).map_err(crate::context::Error::from)?;
        let hash = Sha256::digest(token.expose_secret().as_bytes());
        let dir = folder.path().to_string_lossy();
        let inserted = async {
            let mut db = contexts.pool().acquire().await?;
            application::insert_application(&mut db, id, context.id, contexts.host(), &hash, &dir).await
        };
        if !inserted.await.map_err(crate::context::Error::from)? {
            return self.remove(&folder).await;
        }
        self.run((&context.profile, profile), &folder, submission).await?;
        info!(context.id = %context.id, application.id = %id, "Context {} is launched", context.id);
        Ok(())
    }

    /// What every launch from this profile goes by.
    #[must_use]
    pub fn setting<'a>(
        &'a self,
        installed: &'a Installed,
        Wanted { profile, resources, run_as, name, unnamed }: Wanted<'a>,
        folder: &'a Folder,
        host: &'a str,
    ) -> Setting<'a> {
        Setting {
            profile,
            resources,
            spark: &installed.spark,
            defaults: &installed.defaults,
            command: &installed.command,
            archive: installed.archive.as_deref().filter(|archive| archive.is_file()),
            environment: &self.0.environment,
            folder,
            user: Some(run_as).filter(|_| profile.run_as != RunAs::Gateway),
            host,
            name,
            unnamed,
        }
    }

    /// Starts what was submitted from a profile in its folder: as the gateway's own user, or by the launcher.
    ///
    /// # Errors
    /// The system's, or the launcher's.
    pub async fn run(
        &self,
        (name, profile): (&str, &Profile),
        folder: &Folder,
        Submission { spec, properties }: Submission,
    ) -> Result<(), Error> {
        let properties = properties.expose_secret();
        if profile.run_as == RunAs::Gateway {
            folder.hand_over(submit::PROPERTIES, properties.as_bytes())?;
            return Ok(process::start(&self.0.program, &self.0.life, folder, &spec)?);
        }
        let (Some(launcher), Some(launch), Some(user)) = (&self.0.launcher, folder.id(), &spec.user) else {
            return Err(Error::NoLauncher);
        };
        let start = launcher::Start {
            launch,
            user: user.clone(),
            profile: name.to_owned(),
            argv: spec.argv.clone(),
            properties: properties.to_owned(),
        };
        Ok(process::start_as(launcher, folder, &spec, start).await?)
    }
}

/// A random text of 256 bits.
///
/// # Errors
/// When the system gives no randomness.
pub fn random() -> Result<String, Error> {
    let mut bytes = [0; 32];
    OsRng.try_fill_bytes(&mut bytes).map_err(|_| Error::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
