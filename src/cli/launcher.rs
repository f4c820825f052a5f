//! `hearth launcher`: the privileged process beside a gateway; and how a gateway that is started as root leaves one behind.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, bail};
use nix::unistd::{User, setsid};

use super::serve::Settings;
use crate::config::{self, Config};
use crate::context::launch::launcher::server::{Parts, Server};
use crate::life::{Life, Signals};
use crate::shim::privilege::Reduced;
use crate::shim::{self, Program};
use crate::telemetry;

/// Runs a launcher until it is told to stop, or its gateway is gone.
pub(super) fn launcher(settings: &Settings, attached: bool) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    telemetry::init(&config.log.filter, config.log.json);
    if !Reduced::is_possible() {
        bail!("the launcher needs root, or the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL (Linux)");
    }
    let gateway = gateway_user(&config)?;
    if attached {
        // A Ctrl-C at the terminal is for the gateway, whose end is this one's too.
        let _ = setsid();
    } else if config.launch.launcher.is_empty() {
        bail!("launch.launcher is empty: name the socket to listen on, such as /run/hearth/launcher.sock");
    }
    // One thread: capabilities and the user are a thread's own to the kernel, and there is little to do.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen(false)?;
        let (life, mut watch) = Life::new();
        let socket = config.launch.launcher.clone();
        let server = Server::new(Parts {
            program: Program::current()?,
            home: config.home,
            config: config.launch,
            profiles: config.profiles,
            environment: config::environment(),
            gateway,
            life: life.clone(),
        });
        let served = async { if attached { server.attached().await } else { server.listen(Path::new(&socket)).await } };
        tokio::select! {
            served = served => served.with_context(|| format!("listening on {socket} (launch.launcher)"))?,
            _ = life.until_stop(&mut watch, &mut signals) => {}
        }
        life.end().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// As root: starts a launcher, becomes `launch.gateway_user`, and then a gateway. Returns only to say why that failed.
pub(super) fn leave_behind(settings: &Settings, config: &Config) -> anyhow::Error {
    let work = || -> anyhow::Result<std::convert::Infallible> {
        let user = gateway_user(config)?;
        for folder in [&config.home, &config.cache] {
            own_folder(folder, &user).with_context(|| format!("making {}", folder.display()))?;
        }
        let program = Program::current()?;
        let (mine, launchers) = UnixStream::pair()?;
        let mut launcher = program.command("launcher");
        launcher.arg("--attached").args(settings.flags()).stdin(Stdio::from(std::os::fd::OwnedFd::from(launchers)));
        launcher.stdout(Stdio::null()).spawn().context("starting the launcher")?;
        let mut gateway = program.command("serve");
        gateway.arg("--attached").args(settings.flags()).stdin(Stdio::from(std::os::fd::OwnedFd::from(mine)));
        Ok(shim::exec(&user, gateway)?)
    };
    let Err(e) = work();
    e
}

fn gateway_user(config: &Config) -> anyhow::Result<User> {
    let name = &config.launch.gateway_user;
    if name.is_empty() {
        bail!("launch.gateway_user is empty: name the OS user of the gateway");
    }
    let user = shim::user(name).with_context(|| {
        format!("launch.gateway_user: make it with `useradd --system --home-dir / --shell /usr/sbin/nologin {name}`")
    })?;
    if user.uid.is_root() {
        bail!("launch.gateway_user is root: name a user without privileges");
    }
    Ok(user)
}

/// Makes a folder of the gateway's user. One that is there already is left as it is: it may hold what is another's.
fn own_folder(path: &Path, user: &User) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above)?;
    }
    DirBuilder::new().mode(0o711).create(path)?;
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}
