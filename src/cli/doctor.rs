//! `hearth doctor`: says what is wrong with a set-up, and what to do about it. It starts nothing, and makes nothing but the state
//! and cache folders.

mod auth;

use std::fmt;
use std::net::TcpListener;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Uid, access};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::serve::Settings;
use crate::config::{self, Config};
use crate::context::launch::Profile;
use crate::context::launch::environment::Environment;
use crate::context::launch::run_as::RunAs;
use crate::context::launch::spark_home::{self, SparkHome};
use crate::gateway;
use crate::home::{self, Home};
use crate::shim::{self, Program};
use crate::store::Address;
use crate::store::embedded::Embedded;

/// How long another machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
const GIB: u64 = 1 << 30;

/// What was found of one thing.
#[derive(Debug)]
enum Finding {
    Ok(String),
    /// It works, though perhaps not as wanted.
    Warn(String),
    /// Hearth, or sessions of a profile, will not start.
    Fail(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (level, text) = match self {
            Self::Ok(text) => ("ok  ", text),
            Self::Warn(text) => ("warn", text),
            Self::Fail(text) => ("FAIL", text),
        };
        write!(f, "{level}  {text}")
    }
}

/// Looks at everything; the exit status is a failure when anything is.
#[expect(clippy::print_stdout, reason = "the answer to the command")]
pub(super) fn doctor(settings: &Settings) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    let environment = config::environment();
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut findings = vec![state(&config.home), disk(&config.home), cache(&config.cache), address(&config)];
        findings.push(database(&config, &environment).await);
        findings.push(run_as(&config));
        findings.extend(auth::look_at(&config).await);
        for (name, profile) in &config.profiles {
            findings.extend(look_at(name, profile, &config, &environment).await);
        }
        let mut failed = false;
        for finding in findings {
            failed |= matches!(finding, Finding::Fail(_));
            println!("{finding}");
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

fn state(path: &Path) -> Finding {
    match Home::open(path) {
        Ok(_) => Finding::Ok(format!("state folder {}", path.display())),
        Err(e @ home::Error::Taken { .. }) => Finding::Warn(e.to_string()),
        Err(e) => Finding::Fail(e.to_string()),
    }
}

fn disk(path: &Path) -> Finding {
    let Ok(found) = statvfs(path) else { return Finding::Warn(format!("disk of {}: unknown", path.display())) };
    // The fields are of different widths on different systems.
    #[expect(clippy::useless_conversion, reason = "they are u32 on macOS")]
    let free = u64::from(found.blocks_available()) * u64::from(found.fragment_size());
    let text = format!("{:.1} GiB free in {}", free as f64 / GIB as f64, path.display());
    match free {
        f if f < GIB / 2 => {
            Finding::Fail(format!("{text}: at least 0.5 GiB is needed; make room, or choose another --home"))
        }
        f if f < 5 * GIB => Finding::Warn(format!("{text}: shuffles of local Sparks go there too")),
        _ => Finding::Ok(text),
    }
}

fn cache(path: &Path) -> Finding {
    match home::create_open_folder(path).map(|()| access(path, AccessFlags::W_OK)) {
        Ok(Ok(())) => Finding::Ok(format!("cache folder {}", path.display())),
        _ => Finding::Fail(format!(
            "the cache folder {} cannot be written: set HEARTH__CACHE to one that can",
            path.display()
        )),
    }
}

fn address(config: &Config) -> Finding {
    let listen = config.http.listen;
    let (has_tls, has_scheme) = (config.http.tls.is_on(), !config.auth.schemes.is_empty());
    if let Err(e) = gateway::check_address(listen, has_tls, has_scheme) {
        return Finding::Fail(e.to_string());
    }
    match TcpListener::bind(listen) {
        Ok(_) => Finding::Ok(format!("address {listen}")),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => Finding::Warn(format!(
            "address {listen} is in use, perhaps by a running Hearth; else set http.listen to another port"
        )),
        Err(e) => Finding::Fail(format!("address {listen}: {e}; set http.listen to an address of this machine")),
    }
}

async fn database(config: &Config, environment: &Environment) -> Finding {
    if config.database.url.expose_secret().is_empty() {
        let path = environment.get("PATH").map(Into::into);
        return match Embedded::check(&config.postgres, path, &config.home) {
            Ok(folder) => Finding::Ok(format!("embedded Postgres, by the programs in {}", folder.display())),
            Err(e) => Finding::Fail(e.to_string()),
        };
    }
    let address = match Address::from_url(&config.database.url) {
        Ok(address) => address,
        Err(e) => return Finding::Fail(e.to_string()),
    };
    match timeout(PATIENCE, address.look()).await {
        Ok(Ok((version, Err(e)))) if !config.database.migrate => {
            Finding::Fail(format!("database, Postgres {version}: {e}"))
        }
        Ok(Ok((version, _))) => Finding::Ok(format!("database, Postgres {version}")),
        Ok(Err(e)) => Finding::Fail(format!("the database of database.url: {e}")),
        Err(_) => {
            Finding::Fail(format!("the database of database.url does not answer within {} s", PATIENCE.as_secs()))
        }
    }
}

/// As whom Hearth and its drivers run. Whether a scheme is configured decides more; `hearth serve` says so.
fn run_as(config: &Config) -> Finding {
    let user = &config.launch.gateway_user;
    let others = config.profiles.values().any(|profile| profile.run_as != RunAs::Gateway);
    match (Uid::effective().is_root(), user.is_empty()) {
        (true, true) => Finding::Warn(
            "Hearth and its drivers run as root: name an OS user in launch.gateway_user, or start Hearth as another user".to_owned(),
        ),
        (true, false) => match shim::user(user) {
            Ok(_) => Finding::Ok(format!("started as root, Hearth becomes {user}")),
            Err(e) => Finding::Fail(format!("launch.gateway_user: {e}")),
        },
        (false, _) if others && config.launch.launcher.is_empty() => Finding::Fail(
            "a profile runs as another OS user, and there is no launcher: run `hearth launcher` and name its socket in launch.launcher"
                .to_owned(),
        ),
        (false, _) => Finding::Ok("Hearth runs as the user who starts it".to_owned()),
    }
}

async fn look_at(name: &str, profile: &Profile, config: &Config, environment: &Environment) -> Vec<Finding> {
    let spark = match spark_home::find(profile, environment).await {
        Ok(spark) => spark,
        Err(e) => return vec![Finding::Fail(format!("profile {name}: {e}"))],
    };
    let SparkHome { path, version, scala, java, .. } = &spark;
    let text = format!("profile {name}: Spark {version}, Scala {scala}, in {}", path.display());
    let mut findings = vec![
        Finding::Ok(text),
        Finding::Ok(format!("profile {name}: Java {}, {}", java.major, java.program.display())),
        python(name, &spark, environment).await,
        agent(name, &spark, config),
    ];
    findings.extend(readable(name, profile, &spark, config));
    if let Some(place) = profile.master.strip_prefix("spark://") {
        let first = place.split(',').next().unwrap_or_default();
        findings.push(match timeout(PATIENCE, TcpStream::connect(first)).await {
            Ok(Ok(_)) => Finding::Ok(format!("profile {name}: master {} answers", profile.master)),
            _ => Finding::Fail(format!(
                "profile {name}: the master {} does not answer: start it, or correct master",
                profile.master
            )),
        });
    }
    findings
}

/// Whether the OS user that Hearth becomes, or that the profile names, can read what drivers are started from; nothing to find where that
/// is the user who asks.
fn readable(name: &str, profile: &Profile, spark: &SparkHome, config: &Config) -> Option<Finding> {
    let user = match &profile.run_as {
        RunAs::Service(service) => service,
        RunAs::User | RunAs::Gateway => &config.launch.gateway_user,
    };
    let user = Some(user).filter(|user| Uid::effective().is_root() && !user.is_empty())?;
    let program = Program::current().ok()?;
    let closed = [spark.path.join("jars"), config.cache.clone()].into_iter().find(|path| {
        let looked = program.run_as(user, "test").arg("-x").arg(path).stderr(Stdio::null()).status();
        !looked.is_ok_and(|status| status.success())
    })?;
    let closed = closed.display();
    Some(Finding::Fail(format!(
        "profile {name}: the OS user {user} cannot read {closed}: open it and the folders above to others, or move it"
    )))
}

async fn python(name: &str, spark: &SparkHome, environment: &Environment) -> Finding {
    let python = &spark.python;
    let Some(version) = spark_home::python_version(python, environment).await else {
        return Finding::Fail(format!(
            "profile {name}: {python} does not run: install Python 3, or set python of the profile"
        ));
    };
    let minor: u32 = version.strip_prefix("3.").and_then(|minor| minor.parse().ok()).unwrap_or_default();
    // The least versions that PySpark itself names: 3.8 for Spark 3.5, 3.9 for 4.0, 3.10 from 4.1 on.
    let needed = match spark.version.get(..3) {
        Some(old) if old.starts_with("3.") => 8,
        Some("4.0") => 9,
        _ => 10,
    };
    if minor < needed {
        return Finding::Fail(format!(
            "profile {name}: Python {version} ({python}) is too old for Spark {}: 3.{needed} or newer is needed",
            spark.version
        ));
    }
    Finding::Ok(format!("profile {name}: Python {version}, {python}"))
}

fn agent(name: &str, spark: &SparkHome, config: &Config) -> Finding {
    let given = &config.launch.agent_jar;
    if !given.is_empty() {
        return match Path::new(given).is_file() {
            true => Finding::Ok(format!("profile {name}: agent {given}")),
            false => Finding::Fail(format!("profile {name}: launch.agent_jar is {given}, but there is no such file")),
        };
    }
    match crate::context::launch::bundle::is_ready(spark, &config.cache) {
        true => Finding::Ok(format!("profile {name}: the agent is compiled")),
        false => Finding::Ok(format!(
            "profile {name}: the agent will be compiled at the first start (now: hearth agent build)"
        )),
    }
}
