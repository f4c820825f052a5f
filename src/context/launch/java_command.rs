//! How Spark's own launcher would start a JVM.
//!
//! `bin/spark-submit` starts one JVM only to compose the command line of the next; under load that costs a second of every
//! start. What it composes depends on the Spark alone, apart from what `submit` adds itself, so the launcher is asked once and
//! its answer kept. Where there is a `spark-env.sh`, only the script can know what it does, and the script is used.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::environment::Environment;
use super::spark_home::{self, SparkHome};
use crate::home;

/// The class that runs an application.
pub const SUBMIT: &str = "org.apache.spark.deploy.SparkSubmit";

/// How to start `SparkSubmit` of one Spark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JavaCommand {
    /// By Java itself.
    Java {
        /// The class path.
        class_path: String,
        /// What Spark wants of the JVM, such as `--add-opens`.
        options: Vec<String>,
    },
    /// By Spark's script.
    Script(PathBuf),
}

/// The variables that change what the launcher composes.
const ASKED_WITH: &[&str] = &["HADOOP_CONF_DIR", "SPARK_CONF_DIR", "SPARK_DIST_CLASSPATH", "YARN_CONF_DIR"];

impl JavaCommand {
    /// The command of a Spark, asked for once and kept in `cache`. When the launcher gives no answer that can be understood, it
    /// is the script.
    pub async fn of(spark: &SparkHome, cache: &Path, environment: &Environment) -> Self {
        let script = Self::Script(spark.path.join("bin/spark-submit"));
        if spark.conf(environment).join("spark-env.sh").exists() {
            return script;
        }
        let Ok(fingerprint) = spark.fingerprint() else { return script };
        let mut hash = Sha256::new_with_prefix(fingerprint);
        hash.update(spark.path.as_os_str().as_encoded_bytes());
        for name in ASKED_WITH {
            hash.update(format!("\n{name}={}", environment.get(name).unwrap_or_default()));
        }
        let name: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let folder = cache.join("command");
        let file = folder.join(format!("{name}.json"));
        if let Some(kept) = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return kept;
        }
        // An empty properties file keeps `spark-defaults.conf` out of the answer: `submit` reads that itself.
        let empty = folder.join("empty.conf");
        if home::create_open_folder(&folder).and_then(|()| home::write_private(&empty, b"")).is_err() {
            return script;
        }
        let Some(answer) = Self::ask(spark, &empty, environment).await else { return script };
        // One that cannot be kept is asked for again.
        let _ = serde_json::to_vec_pretty(&answer).map(|bytes| home::write_private(&file, &bytes));
        answer
    }

    async fn ask(spark: &SparkHome, empty: &Path, environment: &Environment) -> Option<Self> {
        let mut command = Command::new(&spark.java.program);
        command.arg("-Xmx128m").arg("-cp").arg(spark.path.join("jars/*"));
        command.args(["org.apache.spark.launcher.Main", SUBMIT, "--properties-file"]).arg(empty);
        command.args(["--class", "C", "J.jar"]);
        let mut environment = environment.clone();
        environment.passed.insert("SPARK_HOME".to_owned(), spark.path.to_string_lossy().into_owned());
        environment.passed.insert("SPARK_SCALA_VERSION".to_owned(), spark.scala.clone());
        Self::understand(&spark_home::ask(&mut command, &environment).await?)
    }

    /// Takes the launcher's answer apart: the words of a command line, each followed by a NUL.
    fn understand(answer: &str) -> Option<Self> {
        let mut words = answer.split('\0').skip_while(|word| *word != "-cp").skip(1);
        let entries: Vec<&str> = words.next()?.split(':').filter(|entry| !is_bare(Path::new(entry))).collect();
        let class_path = entries.join(":");
        let mut options = Vec::new();
        for word in words {
            match word {
                SUBMIT => return Some(Self::Java { class_path, options }),
                // Comes from the request or the profile.
                word if word.starts_with("-Xmx") => {}
                word => options.push(word.to_owned()),
            }
        }
        None
    }
}

/// Whether a folder holds nothing that a class path is for: only samples, and the defaults that `submit` reads itself. Left out, it
/// does not stand in the way of a class data archive.
fn is_bare(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).all(|entry| {
        let name = entry.file_name();
        Path::new(&name).extension().is_some_and(|e| e == "template") || name == "spark-defaults.conf"
    })
}

/// Splits JVM options as Spark's launcher does: at blanks, with single and double quotes, and backslashes outside single ones.
#[must_use]
pub fn split_options(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(rest.next()),
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Writes one JVM option so that [`split_options`], and Spark's launcher, read it back as one.
#[must_use]
pub fn quote_option(option: &str) -> String {
    if option.chars().all(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\')) {
        return option.to_owned();
    }
    format!("\"{}\"", option.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launchers_answer_is_taken_apart() {
        let answer = "\0\n\0/bin/java\0-cp\0/s/conf:/s/jars/*\0-Xmx1g\0--add-opens=a\0-Db=c\0org.apache.spark.deploy.SparkSubmit\0--class\0C\0J.jar\0";
        let options = vec!["--add-opens=a".to_owned(), "-Db=c".to_owned()];
        let class_path = "/s/conf:/s/jars/*".to_owned();
        assert_eq!(JavaCommand::understand(answer), Some(JavaCommand::Java { class_path, options }));
        assert_eq!(JavaCommand::understand("Exception in thread main"), None);
    }

    #[test]
    fn options_are_split_as_a_shell_would() {
        assert_eq!(
            split_options(" -Da=b  '-Dc=d e' \"-Df=\\\"g\\\"\" -Dh=i\\ j ''"),
            ["-Da=b", "-Dc=d e", "-Df=\"g\"", "-Dh=i j", ""]
        );
        for option in ["-Da", "-javaagent:/a b/c.jar", "-Dx=\"y\\z'\""] {
            assert_eq!(split_options(&quote_option(option)), [option]);
        }
    }
}
