//! The class data archive of a Spark: its classes as the JVM keeps them in memory, parsed and verified once for all starts.
//!
//! With it a driver starts with little more than half the CPU time, at full speed afterwards (JEP 350; Java 13 or newer). It is made
//! by a Spark shell that runs a few lines of ours and nobody else's, for every driver trusts it; at the lowest priority, for it
//! takes half a minute of a core. A driver that starts before it is there, or whose class path is another, starts without.
//!
//! The JVM believes a file of that name blindly: it appears whole, by rename, after a JVM has been seen to take it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::process::Command;
use uuid::Uuid;

use super::Profile;
use super::draft::Draft;
use super::environment::Environment;
use super::folder::Folder;
use super::java_command::JavaCommand;
use super::resources::Resources;
use super::spark_home::SparkHome;
use super::submit::{self, Job, PROPERTIES, Setting};
use crate::home;

/// What sessions do first: a context, a Scala interpreter, jobs, SQL, rows as text.
const SCRIPT: &str = include_str!("archive.scala");

/// Half a minute on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// How much of the shell's last words is kept.
const WORDS: usize = 4_000;

/// Why there is no archive. Drivers start without, only slower.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cache folder cannot be used.
    #[error("the class data archive cannot be kept in {}: {source}", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The shell or the JVM failed; it is not tried again while the file is there.
    #[error("no class data archive can be made for Spark {spark}; what was said is in {}", said.display())]
    Failed {
        /// Version of Spark.
        spark: String,
        /// Holds the last words.
        said: PathBuf,
    },
}

/// Where the archive of a Spark is or would be; none where the JVM can have none: before Java 17, by a script, or with a folder that
/// is not empty on the class path.
#[must_use]
pub fn path(spark: &SparkHome, command: &JavaCommand, cache: &Path) -> Option<PathBuf> {
    let JavaCommand::Java { class_path, options } = command else { return None };
    let folders = class_path.split(':').filter(|entry| !entry.ends_with('*'));
    if spark.java.major < 17 || folders.filter_map(|f| fs::read_dir(f).ok()).any(|mut entries| entries.next().is_some())
    {
        return None;
    }
    // An archive is for one build of the JVM, which an upgrade replaces in its place.
    let program = fs::canonicalize(&spark.java.program).ok()?;
    let release = fs::read(program.parent()?.parent()?.join("release")).unwrap_or_default();
    let parts = [spark.fingerprint().ok()?, class_path.clone(), options.join("\n"), SCRIPT.to_owned()];
    let hash = Sha256::new_with_prefix(parts.join("\n")).chain_update(release).finalize();
    let name: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Some(cache.join("archive").join(format!("{name}.jsa")))
}

/// Makes the archive unless it is there: one caller does, the others, of any process, wait for it. Returns where it is.
///
/// # Errors
/// See [`Error`].
pub async fn make(
    spark: &SparkHome,
    command: &JavaCommand,
    cache: &Path,
    environment: &Environment,
) -> Result<Option<PathBuf>, Error> {
    let Some(archive) = path(spark, command, cache) else { return Ok(None) };
    let folder = cache.join("archive");
    let failed = |source| Error::Cache { path: folder.clone(), source };
    home::create_open_folder(&folder).map_err(failed)?;
    let Some(draft) = Draft::of(&archive).await.map_err(failed)? else { return Ok(Some(archive)) };
    let said = archive.with_extension("failed");
    if said.is_file() {
        return Err(Error::Failed { spark: spark.version.clone(), said });
    }
    match train(spark, command, environment, draft.path()).await.map_err(failed)? {
        Ok(made) => fs::rename(made, &archive).map(|()| Some(archive)).map_err(failed),
        Err(text) => {
            fs::write(&said, text).map_err(failed)?;
            Err(Error::Failed { spark: spark.version.clone(), said })
        }
    }
}

/// Runs the shell; the finished file, or what it said instead.
async fn train(
    spark: &SparkHome,
    command: &JavaCommand,
    environment: &Environment,
    room: &Path,
) -> io::Result<Result<PathBuf, String>> {
    let made = room.join("made.jsa");
    let folder = Folder::create(room, Uuid::now_v7(), false)?;
    let profile = Profile { master: "local[2]".to_owned(), ..Profile::default() };
    let options = format!(
        "-Dscala.usejavacp=true -Xlog:cds=off -Xlog:cds+dynamic=off -XX:ArchiveClassesAtExit={}",
        made.display()
    );
    let conf = [("spark.driver.extraJavaOptions".to_owned(), options)].into();
    let setting = Setting {
        profile: &profile,
        resources: &Resources { conf, ..Resources::default() },
        spark,
        defaults: &spark.defaults(environment),
        command,
        archive: None,
        environment,
        folder: &folder,
        user: None,
        host: "localhost",
        name: None,
        unnamed: "class data archive",
    };
    let job = Job { file: "spark-shell", class_name: Some("org.apache.spark.repl.Main"), args: &[] };
    let submission = submit::batch(&setting, &job).map_err(io::Error::other)?;
    folder.hand_over(PROPERTIES, submission.properties.expose_secret().as_bytes())?;
    fs::write(folder.path().join("stdin"), SCRIPT)?;
    let output = File::create(folder.stdout())?;
    let mut shell = Command::new("nice");
    shell
        .args(["-n", "19"])
        .args(&submission.spec.argv)
        .env_clear()
        .envs(&submission.spec.env)
        .current_dir(folder.work())
        .stdin(File::open(folder.path().join("stdin"))?)
        .stdout(output.try_clone()?)
        .stderr(output)
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, shell.status()).await;
    let shell_did = matches!(ended, Ok(Ok(status)) if status.success()) && made.is_file();
    if !shell_did || !is_taken(spark, command, &made).await {
        let said = fs::read(folder.stdout())?;
        let last = said.get(said.len().saturating_sub(WORDS)..).unwrap_or_default();
        return Ok(Err(String::from_utf8_lossy(last).into_owned()));
    }
    // Another OS user's driver reads it too.
    fs::set_permissions(&made, fs::Permissions::from_mode(0o644))?;
    File::open(&made)?.sync_all()?;
    Ok(Ok(made))
}

/// Whether a JVM that must use the archive starts.
async fn is_taken(spark: &SparkHome, command: &JavaCommand, archive: &Path) -> bool {
    let JavaCommand::Java { class_path, options } = command else { return false };
    let mut java = Command::new(&spark.java.program);
    java.arg("-cp")
        .arg(class_path)
        .args(options)
        .arg("-Xshare:on")
        .arg(format!("-XX:SharedArchiveFile={}", archive.display()));
    java.arg("-version")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    matches!(tokio::time::timeout(PATIENCE, java.status()).await, Ok(Ok(status)) if status.success())
}
