//! The agent: its sources are in this binary and are compiled on site, once for each Spark.
//!
//! Spark's private classes move between its minor versions, and vendors change them too; compiling against the very jars it
//! will run with is what makes one source fit them all. Spark ships the Scala compiler, so a Java runtime is enough.
//!
//! What is made lies in `CACHE/agent/FINGERPRINT/`: `agent.jar` and `python/`. The folder appears whole, by rename. A file lock
//! lets one caller compile while the others, of any process, wait for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::compile;
use super::draft::Draft;
use super::environment::Environment;
use super::spark_home::SparkHome;
use crate::home;

/// Every source file, by its path below `agent/`.
pub(super) static SOURCES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/agent_sources.rs"));

/// A compiled agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its jar.
    pub jar: PathBuf,
    /// The folder of its Python sources.
    pub python: PathBuf,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Spark's Scala is of a version that the agent has no source for.
    #[error("this version of Hearth has no agent for Scala {0}; Spark with Scala 2.12 or 2.13 is needed")]
    Scala(String),
    /// The compiler refused.
    #[error("the agent does not compile against Spark {spark} in {}:\n{text}", path.display())]
    Compile {
        /// Version of Spark.
        spark: String,
        /// Where it is.
        path: PathBuf,
        /// What the compiler said.
        text: String,
    },
    /// The named jar is missing.
    #[error("launch.agent_jar is {}, but there is no such file", .0.display())]
    NoJar(PathBuf),
    /// The cache folder cannot be used.
    #[error("the agent cannot be kept in {}: {source}", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The agent for a Spark: from the cache, or compiled now. `jar` is one made beforehand; it is taken as it is.
///
/// # Errors
/// See [`Error`].
pub async fn agent(
    spark: &SparkHome,
    jar: Option<&Path>,
    cache: &Path,
    environment: &Environment,
) -> Result<Agent, Error> {
    if let Some(jar) = jar.filter(|jar| !jar.is_file()) {
        return Err(Error::NoJar(jar.to_path_buf()));
    }
    let all = cache.join("agent");
    let failed = |source| Error::Cache { path: all.clone(), source };
    let name = match jar {
        Some(_) => format!("python-{}", hash(is_python, "")),
        None => hash(|_| true, &spark.fingerprint().map_err(failed)?),
    };
    let ready = all.join(&name);
    let agent =
        Agent { jar: jar.map_or_else(|| ready.join("agent.jar"), Path::to_path_buf), python: ready.join("python") };
    if ready.is_dir() {
        return Ok(agent);
    }
    // Nothing here is secret, and another OS user may have to read it.
    home::create_open_folder(&all).map_err(failed)?;
    let Some(draft) = Draft::of(&ready).await.map_err(failed)? else { return Ok(agent) };
    if jar.is_none() {
        compile::compile(spark, draft.path(), environment).await?;
    }
    write_sources(draft.path(), is_python).and_then(|()| fs::rename(draft.path(), &ready)).map_err(failed)?;
    Ok(agent)
}

/// Whether the agent for a Spark is compiled already.
#[must_use]
pub fn is_ready(spark: &SparkHome, cache: &Path) -> bool {
    spark.fingerprint().is_ok_and(|jars| cache.join("agent").join(hash(|_| true, &jars)).is_dir())
}

fn hash(which: impl Fn(&str) -> bool, more: &str) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in SOURCES.iter().filter(|(name, _)| which(name)) {
        hash.update(name);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    hash.update(compile::MANIFEST);
    hash.update(more);
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn is_python(name: &str) -> bool {
    name.starts_with("python/")
}

pub(super) fn write_sources(to: &Path, which: impl Fn(&str) -> bool) -> io::Result<()> {
    for (name, bytes) in SOURCES.iter().filter(|(name, _)| which(name)) {
        let path = to.join(name);
        if let Some(folder) = path.parent() {
            home::create_open_folder(folder)?;
        }
        fs::write(path, bytes)?;
    }
    Ok(())
}
