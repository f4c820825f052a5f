//! `hearth agent build`: compiles the agents ahead of time, as for an image.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::serve::Settings;
use crate::config;
use crate::context::launch::java_command::JavaCommand;
use crate::context::launch::{archive, bundle, spark_home};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Agent {
    /// Compiles the agent against the Spark of each profile, into the cache folder, makes what lets its drivers start sooner, and
    /// prints where the agent is.
    Build {
        /// Only this profile.
        #[arg(long)]
        profile: Option<String>,
    },
}

#[expect(clippy::print_stdout, reason = "the answer to the command")]
pub(super) fn run(settings: &Settings, Agent::Build { profile }: Agent) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    let environment = config::environment();
    let wanted = |name: &str| profile.as_ref().is_none_or(|p| p == name);
    if let Some(name) = profile.as_ref().filter(|name| !config.profiles.contains_key(*name)) {
        let known = config.profiles.keys().cloned().collect::<Vec<_>>().join(", ");
        bail!("there is no profile \"{name}\"; there are: {known}");
    }
    let jar = Some(PathBuf::from(&config.launch.agent_jar)).filter(|jar| !jar.as_os_str().is_empty());
    tokio::runtime::Runtime::new()?.block_on(async {
        for (name, profile) in config.profiles.iter().filter(|(name, _)| wanted(name)) {
            let about = || format!("profile {name}");
            let spark = spark_home::find(profile, &environment).await.with_context(about)?;
            let agent = bundle::agent(&spark, jar.as_deref(), &config.cache, &environment).await.with_context(about)?;
            let command = JavaCommand::of(&spark, &config.cache, &environment).await;
            if config.launch.class_archive {
                // Drivers work without, too.
                if let Err(e) = archive::make(&spark, &command, &config.cache, &environment).await {
                    eprintln!("hearth: profile {name}: {e}");
                }
            }
            println!("{name}: Spark {} (Scala {}): {}", spark.version, spark.scala, agent.jar.display());
        }
        Ok(ExitCode::SUCCESS)
    })
}
