//! `hearth serve`: runs a gateway.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use nix::unistd::Uid;

use super::launcher;
use crate::config::{self, Config, Overrides};
use crate::{gateway, telemetry};

/// Flags that every command takes which reads the configuration.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Settings {
    /// Configuration file; its keys are those of the built-in defaults.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// State folder; else HEARTH_HOME.
    #[arg(long, global = true)]
    home: Option<PathBuf>,
    /// Address to listen on, host:port.
    #[arg(long, global = true, value_parser = config::address)]
    listen: Option<SocketAddr>,
    /// postgres:// URL; everybody on this machine can read a command line, so give a password by HEARTH__DATABASE__URL or the file.
    #[arg(long, global = true)]
    database_url: Option<String>,
}

impl Settings {
    /// The flags again, for another command of this program.
    pub(super) fn flags(&self) -> Vec<OsString> {
        let text = |value: &dyn ToString| OsString::from(value.to_string());
        let flags = [
            ("--config", self.config.as_ref().map(|path| path.clone().into_os_string())),
            ("--home", self.home.as_ref().map(|path| path.clone().into_os_string())),
            ("--listen", self.listen.as_ref().map(|address| text(address))),
            ("--database-url", self.database_url.as_ref().map(|url| text(url))),
        ];
        flags.into_iter().filter_map(|(flag, value)| Some([flag.into(), value?])).flatten().collect()
    }

    /// Loads the configuration.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        let overrides = Overrides {
            file: self.config.clone(),
            home: self.home.clone(),
            listen: self.listen,
            database_url: self.database_url.clone(),
        };
        Ok(Config::load(&overrides)?)
    }
}

/// Runs a gateway until it is told to stop. As root with `launch.gateway_user` set, this process becomes that user first.
pub(super) fn serve(settings: &Settings, attached: bool) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    if Uid::effective().is_root() && !config.launch.gateway_user.is_empty() {
        return Err(launcher::leave_behind(settings, &config));
    }
    if let Some((name, value)) = config.auth.negotiate.keytab_variable()
        && std::env::var_os(name).is_none_or(|set| *set != *value)
    {
        // The GSS library reads it from the environment, which a process cannot change safely once it has threads: begin anew with it.
        let program = std::env::current_exe().context("finding this program")?;
        let failure = Command::new(program).args(std::env::args_os().skip(1)).env(name, value).exec();
        return Err(failure).context("starting anew with the keytab in the environment");
    }
    telemetry::init(&config.log.filter, config.log.json);
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(gateway::serve(config, attached));
    // What had to end in order has. A thread may wait on for what never comes: another process's lock, a dead mount.
    runtime.shutdown_background();
    outcome
}
