//! Compiles the agent's Scala sources with the compiler that Spark ships, and packs the classes into a jar.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::bundle::{Error, SOURCES, write_sources};
use super::environment::Environment;
use super::spark_home::SparkHome;

pub(super) const MANIFEST: &str = "Manifest-Version: 1.0\r\n\r\n";

/// The compiler needs four seconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// How much of the compiler's words an error repeats.
const WORDS: usize = 4_000;

/// Compiles the Scala sources within `draft` and leaves `agent.jar` there.
pub(super) async fn compile(spark: &SparkHome, draft: &Path, environment: &Environment) -> Result<(), Error> {
    let failed = |source| Error::Cache { path: draft.to_path_buf(), source };
    let own = format!("scala-{}/", spark.scala);
    let line = if spark.version.starts_with("3.") { "spark-3/" } else { "spark-4/" };
    let wanted = |name: &str| ["scala/", &own, line].iter().any(|folder| name.starts_with(folder));
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
