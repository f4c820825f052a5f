//! The agent: its sources are in this binary and are compiled on site, once for each Spark.
//!
//! Spark's private classes move between its minor versions, and vendors change them too; compiling against the very jars it
//! will run with is what makes one source fit them all. Spark ships the Scala compiler, so a Java runtime is enough.
//!
//! What is made lies in `CACHE/agent/FINGERPRINT/`: `agent.jar` and `python/`. The folder appears whole, by rename. A file lock
//! lets one caller compile while the others, of any process, wait for it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::environment::Environment;
use super::spark_home::SparkHome;

/// Every source file, by its path below `agent/`.
static SOURCES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/agent_sources.rs"));

const MANIFEST: &str =
    "Manifest-Version: 1.0\r\nPremain-Class: hearth.agent.Instrument\r\nCan-Retransform-Classes: true\r\n\r\n";

/// The compiler needs four seconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// How much of the compiler's words an error repeats.
const WORDS: usize = 4_000;

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
        None => hash(|_| true, &listing(spark).map_err(failed)?),
    };
    let ready = all.join(&name);
    let agent =
        Agent { jar: jar.map_or_else(|| ready.join("agent.jar"), Path::to_path_buf), python: ready.join("python") };
    if ready.is_dir() {
        return Ok(agent);
    }
    // Nothing here is secret, and another OS user may have to read it.
    DirBuilder::new().recursive(true).mode(0o755).create(&all).map_err(failed)?;
    let _lock = lock(all.join(format!("{name}.lock"))).await.map_err(failed)?;
    if ready.is_dir() {
        return Ok(agent);
    }
    let draft = Draft::new(all.join(format!("{name}.draft"))).map_err(failed)?;
    if jar.is_none() {
        compile(spark, &draft.0, environment).await?;
    }
    write_sources(&draft.0, is_python).and_then(|()| fs::rename(&draft.0, &ready)).map_err(failed)?;
    Ok(agent)
}

/// The folder that is being filled. Dropped, it is removed, unless it was renamed; so is one that a crash has left.
struct Draft(PathBuf);

impl Draft {
    /// Call with the lock held: whatever stands there belongs to nobody.
    fn new(path: PathBuf) -> io::Result<Self> {
        let draft = Self(path);
        draft.clear();
        DirBuilder::new().mode(0o755).create(&draft.0)?;
        // The mask of this process may be stricter.
        fs::set_permissions(&draft.0, fs::Permissions::from_mode(0o755))?;
        Ok(draft)
    }

    fn clear(&self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.clear();
    }
}

async fn lock(path: PathBuf) -> io::Result<File> {
    let wait = move || {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.lock()?;
        Ok(file)
    };
    tokio::task::spawn_blocking(wait).await.map_err(io::Error::other)?
}

/// What the agent's classes depend on: the jars by name and size, Scala, and the Java that must load them.
fn listing(spark: &SparkHome) -> io::Result<String> {
    let mut jars = Vec::new();
    for entry in fs::read_dir(spark.path.join("jars"))? {
        let entry = entry?;
        jars.push(format!("{} {}", entry.file_name().to_string_lossy(), fs::metadata(entry.path())?.len()));
    }
    jars.sort();
    Ok(format!("{}\n{}\n{}", spark.java.major, spark.scala, jars.join("\n")))
}

fn hash(which: impl Fn(&str) -> bool, more: &str) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in SOURCES.iter().filter(|(name, _)| which(name)) {
        hash.update(name);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    hash.update(MANIFEST);
    hash.update(more);
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn is_python(name: &str) -> bool {
    name.starts_with("python/")
}

fn write_sources(to: &Path, which: impl Fn(&str) -> bool) -> io::Result<()> {
    for (name, bytes) in SOURCES.iter().filter(|(name, _)| which(name)) {
        let path = to.join(name);
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        }
        fs::write(path, bytes)?;
    }
    Ok(())
}

/// Compiles the Scala sources within `draft` and leaves `agent.jar` there.
async fn compile(spark: &SparkHome, draft: &Path, environment: &Environment) -> Result<(), Error> {
    let failed = |source| Error::Cache { path: draft.to_path_buf(), source };
    let own = format!("scala-{}/", spark.scala);
    let wanted = |name: &str| name.starts_with("scala/") || name.starts_with(&own);
    if !SOURCES.iter().any(|(name, _)| name.starts_with(&own)) {
        return Err(Error::Scala(spark.scala.clone()));
    }
    let (source, classes) = (draft.join("source"), draft.join("classes"));
    write_sources(&source, wanted).and_then(|()| fs::create_dir(&classes)).map_err(failed)?;
    let mut class_path = spark.path.join("jars/*").into_os_string();
    // A Spark "without Hadoop" finds Hadoop's jars by this variable.
    if let Some(more) = environment.get("SPARK_DIST_CLASSPATH") {
        class_path.push(":");
        class_path.push(more);
    }
    let mut command = Command::new(&spark.java.program);
    command
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
        .arg(class_path)
        .args(["scala.tools.nsc.Main", "-usejavacp", "-nowarn", "-encoding", "UTF-8", "-d"])
        .arg(&classes)
        .args(SOURCES.iter().map(|(name, _)| name).filter(|name| wanted(name)))
        // The compiler names files as they are given: short.
        .current_dir(&source)
        .env_clear()
        .envs(&environment.passed)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let refused = |text| Error::Compile { spark: spark.version.clone(), path: spark.path.clone(), text };
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(output) => {
            output.map_err(|e| refused(format!("{} cannot be started: {e}", spark.java.program.display())))?
        }
        Err(_) => return Err(refused(format!("the compiler did not end within {} s", PATIENCE.as_secs()))),
    };
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(refused(String::from_utf8_lossy(&said).chars().take(WORDS).collect()));
    }
    pack(&classes, &draft.join("agent.jar"))
        .and_then(|()| fs::remove_dir_all(&source))
        .and_then(|()| fs::remove_dir_all(&classes))
        .map_err(failed)
}

/// Writes a jar: a zip whose first entry is the manifest.
fn pack(classes: &Path, jar: &Path) -> io::Result<()> {
    let mut zip = ZipWriter::new(File::create_new(jar)?);
    let options = SimpleFileOptions::default();
    zip.start_file("META-INF/MANIFEST.MF", options)?;
    zip.write_all(MANIFEST.as_bytes())?;
    let mut folders = vec![classes.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(classes).map_err(io::Error::other)?.to_string_lossy().into_owned();
            zip.start_file(name, options)?;
            zip.write_all(&fs::read(&path)?)?;
        }
    }
    zip.finish()?.sync_all()
}
