//! Which Spark, Java and Python a profile means, and whether they fit together.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Profile;
use super::environment::Environment;
use super::properties;

/// How long `java -version` or a question to Python may take.
const ANSWER: Duration = Duration::from_secs(30);

/// A Spark distribution and what runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparkHome {
    /// Its folder: the one with `jars/` and `bin/`.
    pub path: PathBuf,
    /// Its version, such as `3.5.9`.
    pub version: String,
    /// Its Scala's binary version, such as `2.12`.
    pub scala: String,
    /// The Python of its sessions and workers: a file, or a name for `PATH`.
    pub python: String,
    /// The Java that runs it.
    pub java: Java,
}

impl SparkHome {
    /// What things made for this Spark depend on: its jars by name and size, its Scala, and the Java that runs it.
    ///
    /// # Errors
    /// When the jars cannot be listed.
    pub fn fingerprint(&self) -> io::Result<String> {
        let mut jars = Vec::new();
        for entry in fs::read_dir(self.path.join("jars"))? {
            let entry = entry?;
            jars.push(format!("{} {}", entry.file_name().to_string_lossy(), fs::metadata(entry.path())?.len()));
        }
        jars.sort();
        Ok(format!("{} {}\n{}\n{}", self.java.program.display(), self.java.major, self.scala, jars.join("\n")))
    }

    /// What `spark-defaults.conf` says: nothing where there is none.
    #[must_use]
    pub fn defaults(&self, environment: &Environment) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.conf(environment).join("spark-defaults.conf"));
        text.map(|text| properties::read(&text)).unwrap_or_default()
    }

    /// The folder of `spark-defaults.conf` and `spark-env.sh`, whether or not it is there.
    #[must_use]
    pub fn conf(&self, environment: &Environment) -> PathBuf {
        environment.get("SPARK_CONF_DIR").map_or_else(|| self.path.join("conf"), PathBuf::from)
    }
}

/// A Java runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Java {
    /// The `java` program.
    pub program: PathBuf,
    /// Its feature release: 11, 17, 21.
    pub major: u32,
}

/// Why no usable Spark was found. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// None named and none installed.
    #[error(
        "no Spark was found: set spark_home of the profile, or SPARK_HOME, or install one with `pip install pyspark` for {0}"
    )]
    NoSpark(String),
    /// The folder is no Spark.
    #[error("{} is not a Spark distribution ({why}); correct {from}", path.display())]
    NotSpark {
        /// The folder.
        path: PathBuf,
        /// Where its name came from.
        from: &'static str,
        /// What is missing.
        why: &'static str,
    },
    /// No Java.
    #[error("no Java was found: install a Java runtime, version {0} or newer, or set JAVA_HOME")]
    NoJava(u32),
    /// JAVA_HOME has none.
    #[error("JAVA_HOME is {}, but there is no bin/java in it", .0.display())]
    BadJavaHome(PathBuf),
    /// It does not say its version.
    #[error("{} does not say which version it is", .0.display())]
    UnknownJava(PathBuf),
    /// Too old.
    #[error("Java {found} ({}) is too old for Spark {spark}: version {needed} or newer is needed", program.display())]
    OldJava {
        /// The program.
        program: PathBuf,
        /// Its version.
        found: u32,
        /// The least one.
        needed: u32,
        /// Version of Spark.
        spark: String,
    },
}

/// Finds the Spark of a profile, its Java and its Python.
///
/// # Errors
/// See [`Error`].
pub async fn find(profile: &Profile, environment: &Environment) -> Result<SparkHome, Error> {
    let asked = Some(&profile.python).filter(|p| !p.is_empty()).or(environment.pyspark_python.as_ref());
    let (path, from) = if !profile.spark_home.is_empty() {
        (PathBuf::from(&profile.spark_home), "spark_home of the profile")
    } else if let Some(path) = &environment.spark_home {
        (path.clone(), "SPARK_HOME")
    } else {
        let python = asked.map_or("python3", String::as_str);
        let path = installed_pyspark(python, environment).await.ok_or_else(|| Error::NoSpark(python.to_owned()))?;
        (path, "the installed pyspark")
    };
    let (scala, version) = versions(&path, from)?;
    let python = asked
        .cloned()
        .or_else(|| python_beside(&path).map(|p| p.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "python3".to_owned());
    let needed = if version.starts_with("3.") { 11 } else { 17 };
    let java = java(environment, needed).await?;
    if java.major < needed {
        return Err(Error::OldJava { program: java.program, found: java.major, needed, spark: version });
    }
    Ok(SparkHome { path, version, scala, python, java })
}

/// Scala's and Spark's version, from the name `spark-core_SCALA-SPARK.jar`.
fn versions(path: &Path, from: &'static str) -> Result<(String, String), Error> {
    let not = |why| Error::NotSpark { path: path.to_path_buf(), from, why };
    let jars = fs::read_dir(path.join("jars")).map_err(|_| not("it has no jars folder"))?;
    jars.filter_map(|jar| {
        let name = jar.ok()?.file_name();
        let both = name.to_str()?.strip_prefix("spark-core_")?.strip_suffix(".jar")?;
        both.split_once('-').map(|(scala, spark)| (scala.to_owned(), spark.to_owned()))
    })
    .next()
    .ok_or_else(|| not("there is no spark-core in its jars folder"))
}

/// The Python of the environment that Spark was installed into: `…/lib/pythonX.Y/site-packages/pyspark` belongs to
/// `…/bin/python`. For the system's own Python that is no better than any other, and there is none.
fn python_beside(spark: &Path) -> Option<PathBuf> {
    let packages = spark.parent().filter(|p| p.ends_with("site-packages") || p.ends_with("dist-packages"))?;
    let root = packages.parent()?.parent()?.parent()?;
    Some(root.join("bin/python")).filter(|python| python.is_file())
}

async fn installed_pyspark(python: &str, environment: &Environment) -> Option<PathBuf> {
    // Found, not imported; and not in the folder that Hearth happens to stand in.
    let code = "import importlib.util as u; s = u.find_spec('pyspark'); print(s.submodule_search_locations[0])";
    let python = environment.which(python)?;
    let answer = ask(Command::new(python).args(["-c", code]).current_dir("/"), environment).await?;
    let path = PathBuf::from(answer.trim_end());
    path.join("jars").is_dir().then_some(path)
}

async fn java(environment: &Environment, needed: u32) -> Result<Java, Error> {
    let program = match &environment.java_home {
        Some(home) => {
            Some(home.join("bin/java")).filter(|p| p.is_file()).ok_or_else(|| Error::BadJavaHome(home.clone()))?
        }
        None => environment.which("java").ok_or(Error::NoJava(needed))?,
    };
    // The `release` file of a JDK or JRE answers at once; a JVM takes a tenth of a second.
    let release =
        fs::canonicalize(&program).ok().and_then(|p| fs::read_to_string(p.parent()?.parent()?.join("release")).ok());
    let mut major =
        release.as_deref().and_then(|r| r.lines().find_map(|l| l.strip_prefix("JAVA_VERSION="))).and_then(feature);
    if major.is_none() {
        major = ask(Command::new(&program).arg("-version"), environment)
            .await
            .and_then(|text| text.lines().find_map(|line| feature(line.split_once(" version ")?.1)));
    }
    let major = major.ok_or_else(|| Error::UnknownJava(program.clone()))?;
    Ok(Java { program, major })
}

/// The feature release in a version such as `"17.0.15"` or `"1.8.0_402"` or `"21"`.
fn feature(version: &str) -> Option<u32> {
    let mut numbers = version.trim_start_matches('"').split(|c: char| !c.is_ascii_digit());
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        number => Some(number),
    }
}

/// What a program says, on either stream, when it succeeds in time.
pub(super) async fn ask(command: &mut Command, environment: &Environment) -> Option<String> {
    command.env_clear().envs(&environment.passed).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER, command.output()).await.ok()?.ok()?;
    let said = [output.stdout, output.stderr].concat();
    output.status.success().then(|| String::from_utf8_lossy(&said).into_owned())
}

/// A Python's version, such as `3.11`, when it answers.
pub async fn python_version(python: impl AsRef<OsStr>, environment: &Environment) -> Option<String> {
    let code = "import sys; print('%d.%d' % sys.version_info[:2])";
    Some(ask(Command::new(python).args(["-c", code]), environment).await?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(spark_home: &Path, python: &str) -> Profile {
        let text = serde_json::json!({"spark_home": spark_home, "python": python});
        serde_json::from_value(text).unwrap()
    }

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    fn java_home(root: &Path, version: &str) -> PathBuf {
        touch(&root.join("jre/bin/java"));
        fs::write(root.join("jre/release"), format!("IMPLEMENTOR=x\nJAVA_VERSION=\"{version}\"\n")).unwrap();
        root.join("jre")
    }

    #[tokio::test]
    async fn a_spark_in_a_virtual_environment_uses_its_python() {
        let root = tempfile::tempdir().unwrap();
        let spark = root.path().join("venv/lib/python3.11/site-packages/pyspark");
        touch(&spark.join("jars/spark-core_2.13-4.3.0.jar"));
        touch(&root.path().join("venv/bin/python"));
        let java_home = Some(java_home(root.path(), "17.0.15"));
        let mut environment = Environment { spark_home: Some(spark.clone()), java_home, ..Environment::default() };
        let found = find(&profile(Path::new(""), ""), &environment).await.unwrap();
        assert_eq!((found.version.as_str(), found.scala.as_str(), found.java.major), ("4.3.0", "2.13", 17));
        assert_eq!(Path::new(&found.python), root.path().join("venv/bin/python"));
        environment.pyspark_python = Some("python3.9".to_owned());
        assert_eq!(find(&profile(&spark, ""), &environment).await.unwrap().python, "python3.9");
        assert_eq!(find(&profile(&spark, "/my/python"), &environment).await.unwrap().python, "/my/python");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_named() {
        let root = tempfile::tempdir().unwrap();
        let spark = root.path().join("spark");
        let java = java_home(root.path(), "11.0.2");
        let environment = Environment { java_home: Some(java), ..Environment::default() };
        let error = find(&profile(&spark, ""), &environment).await.unwrap_err().to_string();
        assert!(error.contains("no jars folder") && error.contains("spark_home of the profile"), "{error}");
        touch(&spark.join("jars/spark-core_2.12-3.5.9.jar"));
        assert_eq!(find(&profile(&spark, ""), &environment).await.unwrap().java.major, 11);
        fs::rename(spark.join("jars/spark-core_2.12-3.5.9.jar"), spark.join("jars/spark-core_2.13-4.0.1.jar")).unwrap();
        let error = find(&profile(&spark, ""), &environment).await.unwrap_err().to_string();
        assert!(error.contains("Java 11") && error.contains("17 or newer"), "{error}");
    }

    #[test]
    fn versions_of_java_are_read_as_they_are_written() {
        for (text, major) in [("\"17.0.15\"", 17), ("\"1.8.0_402\"", 8), ("21", 21), ("\"22-ea\"", 22)] {
            assert_eq!(feature(text), Some(major), "{text}");
        }
        assert_eq!(feature("unknown"), None);
    }
}
