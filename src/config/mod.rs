//! Configuration: loads the sections that the slices own.
//!
//! Order, later wins: the embedded `defaults.toml` (which is the manual), a file, `HEARTH__SECTION__KEY` variables, flags.
//! Unknown keys are refused, by name and origin.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use ipnet::IpNet;
use nix::unistd::Uid;
use secrecy::SecretString;
use serde::Deserialize;

use crate::access;
use crate::audit;
use crate::context::launch::environment::Environment;
use crate::context::launch::{self, Profile};
use crate::http;
use crate::http::limits::Limits as HttpLimits;
use crate::identity;
use crate::session::Limits as SessionLimits;
use crate::store::embedded;

/// The commented defaults: the manual of every key.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// State folder: embedded database, launch folders, scratch.
    pub home: PathBuf,
    /// Cache folder: compiled agents.
    pub cache: PathBuf,
    /// The door.
    pub http: Http,
    /// Where the database is.
    pub database: Database,
    /// The server that Hearth runs itself when no URL is given.
    pub postgres: embedded::Config,
    /// Who may do what, beside owners and those they share with.
    pub access: access::Config,
    /// Starting Spark applications.
    pub launch: launch::Config,
    /// Sessions and statements.
    pub session: SessionLimits,
    /// Who may come in.
    pub auth: identity::config::Config,
    /// Who did what.
    pub audit: audit::Config,
    /// Logs of Hearth itself.
    pub log: Log,
    /// Templates of contexts, by name.
    pub profiles: BTreeMap<String, Profile>,
}

/// The section `http`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address (or a name of this host) and port to listen on. Port 0 takes any free one.
    #[serde(deserialize_with = "listened")]
    pub listen: SocketAddr,
    /// Path before every route, as a reverse proxy may leave it (`/livy`); requests without it are served too.
    pub prefix: String,
    /// Whether the Livy door refuses unsafe requests without an `X-Requested-By` header.
    pub csrf_protection: bool,
    /// Names by which browsers reach the gateway, beside loopback names and addresses.
    pub names: Vec<String>,
    /// Proxies before the gateway whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "identity::config::networks")]
    pub forwarded_for_from: Vec<IpNet>,
    /// Proxies before the gateway that begin each connection with the PROXY protocol.
    #[serde(deserialize_with = "identity::config::networks")]
    pub proxy_protocol_from: Vec<IpNet>,
    /// The certificate.
    pub tls: http::tls::Config,
    /// Bounds on requests.
    pub limits: HttpLimits,
}

/// The section `database`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// A `postgres://` URL; empty for the embedded server. May hold a password, so it is a secret.
    pub url: SecretString,
    /// Connections kept at most.
    pub connections: u32,
    /// Whether `hearth serve` migrates the schema at start. Always done on the embedded server.
    pub migrate: bool,
}

/// The section `log`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Filter, such as `info` or `hearth=debug,sqlx=warn`.
    pub filter: String,
    /// One JSON object a line.
    pub json: bool,
}

/// What the command line may override.
#[derive(Debug, Default, Clone)]
pub struct Overrides {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--home`, else `HEARTH_HOME`.
    pub home: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--database-url`.
    pub database_url: Option<String>,
}

/// The configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that was named is missing.
    #[error("the configuration file {0} does not exist")]
    NoFile(PathBuf),
    /// A key is unknown or a value is wrong.
    #[error("configuration: {0}")]
    Bad(String),
    /// There is no folder for data.
    #[error("cannot find a data folder: set HEARTH_HOME, or HOME")]
    NoHome,
}

impl Config {
    /// Loads and checks the whole configuration.
    ///
    /// # Errors
    /// Names the key and where its value came from. Values of secrets are not repeated.
    pub fn load(overrides: &Overrides) -> Result<Self, Error> {
        let mut figment = Figment::from(Toml::string(DEFAULTS))
            .merge(Serialized::default("home", default_folder("XDG_DATA_HOME", "/var/lib", ".local/share")?))
            .merge(Serialized::default("cache", default_folder("XDG_CACHE_HOME", "/var/cache", ".cache")?));
        if let Some(file) = &overrides.file {
            if !file.is_file() {
                return Err(Error::NoFile(file.clone()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment.merge(Env::prefixed("HEARTH__").split("__"));
        if let Some(home) = overrides.home.clone().or_else(|| env_path("HEARTH_HOME")) {
            figment = figment.merge(Serialized::default("home", home));
        }
        if let Some(listen) = overrides.listen {
            figment = figment.merge(Serialized::default("http.listen", listen));
        }
        if let Some(url) = &overrides.database_url {
            figment = figment.merge(Serialized::default("database.url", url));
        }
        let mut config: Self = figment.extract().map_err(|e| Error::Bad(describe(e)))?;
        config.home = absolute(&config.home);
        config.cache = absolute(&config.cache);
        Ok(config)
    }
}

fn listened<'de, D: serde::Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    address(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// Reads `host:port`. Of a name that has several addresses it is the first of IPv4, else the first.
///
/// # Errors
/// When it is none, or the name has no address.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let all: Vec<SocketAddr> = text
        .to_socket_addrs()
        .map_err(|e| format!("{text:?} is no address: write host:port, such as 127.0.0.1:8998 or [::1]:8998 ({e})"))?
        .collect();
    let found = all.iter().find(|address| address.is_ipv4()).or(all.first());
    found.copied().ok_or_else(|| format!("{text:?} has no address"))
}

fn describe(e: figment::Error) -> String {
    e.into_iter()
        .map(|e| {
            let key = e.path.join(".");
            // A figment error repeats the value; that of a secret must not be shown.
            let what = if key == "database.url" { "is not a text".to_owned() } else { e.kind.to_string() };
            let from = e.metadata.as_ref().map_or(String::new(), |m| match &m.source {
                Some(source) => format!(" (from {source})"),
                None => format!(" (from {})", m.name),
            });
            if key.is_empty() { format!("{what}{from}") } else { format!("{key}: {what}{from}") }
        })
        .collect::<Vec<_>>()
        .join("; ")
}

#[expect(clippy::disallowed_methods, reason = "config/ is where the environment is read")]
fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var(name).ok().filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// The part of this process's environment that launches go by.
#[must_use]
pub fn environment() -> Environment {
    Environment::from_variables(
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
    )
}

/// Root's folders are the system's: below its HOME the users that run the database and the drivers could not reach them.
fn default_folder(xdg: &str, system: &str, below_home: &str) -> Result<PathBuf, Error> {
    let system = Uid::effective().is_root().then(|| PathBuf::from(system));
    let below_home = || env_path("HOME").map(|home| home.join(below_home));
    Ok(env_path(xdg).or(system).or_else(below_home).ok_or(Error::NoHome)?.join("hearth"))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
