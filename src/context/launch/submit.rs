//! The command line and the properties of a `spark-submit`: pure functions, from what is asked for to what is run.
//!
//! Nothing secret stands on a command line: everybody on the machine can read those. The token, the secrets and all conf go into a
//! properties file that only the program's user can read. The environment is made here, whole; nothing of the gateway's own
//! is inherited but what [`super::environment::PASSED`] names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::Profile;
use super::bundle::Agent;
use super::environment::Environment;
use super::resources::Resources;
use super::spark_home::SparkHome;

/// What every launch is made from.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// The template.
    pub profile: &'a Profile,
    /// What the request asks for.
    pub resources: &'a Resources,
    /// The Spark.
    pub spark: &'a SparkHome,
    /// What is passed on of Hearth's environment.
    pub environment: &'a Environment,
    /// The program's own folder: working folder and scratch space.
    pub work: &'a Path,
    /// The OS user that runs it, when that is not the gateway's.
    pub user: Option<&'a str>,
    /// A fresh random secret, for Spark's own connections.
    pub secret: &'a str,
}

/// What the agent is told.
#[derive(Debug, Clone, Copy)]
pub struct Dial<'a> {
    /// Base addresses of gateways, comma separated.
    pub gateways: &'a str,
    /// Id of the application.
    pub application: &'a str,
    /// What opens its link.
    pub token: &'a str,
    /// The kind to start beside Spark.
    pub warm: Option<&'a str>,
}

/// What a batch runs.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// A jar or a Python file.
    pub file: &'a str,
    /// Main class of a jar.
    pub class_name: Option<&'a str>,
    /// Arguments of the program.
    pub args: &'a [String],
}

/// The Spark conf of a context's application, the agent's keys included.
#[must_use]
pub fn application_conf(base: &Base<'_>, name: &str, agent: &Agent, dial: &Dial<'_>) -> BTreeMap<String, String> {
    let mut conf = common_conf(base, name, &format!("-javaagent:{}", agent.jar.display()));
    conf.entry("spark.scheduler.mode".to_owned()).or_insert_with(|| "FAIR".to_owned());
    let mut set = |key: &str, value: &str| conf.insert(format!("spark.hearth.{key}"), value.to_owned());
    set("gateways", dial.gateways);
    set("application", dial.application);
    set("token", dial.token);
    set("python", &agent.python.to_string_lossy());
    set("warm", dial.warm.unwrap_or_default());
    set("scratch", &base.work.to_string_lossy());
    conf
}

/// The Spark conf of a batch.
#[must_use]
pub fn batch_conf(base: &Base<'_>, name: &str) -> BTreeMap<String, String> {
    common_conf(base, name, "")
}

/// The command of a context's application.
#[must_use]
pub fn application_command(spark: &SparkHome, properties: &Path, agent: &Agent) -> Vec<String> {
    let mut argv = submit(spark, properties);
    argv.extend(["--class".to_owned(), "hearth.agent.Agent".to_owned(), agent.jar.to_string_lossy().into_owned()]);
    argv
}

/// The command of a batch.
#[must_use]
pub fn batch_command(spark: &SparkHome, properties: &Path, job: &Job<'_>) -> Vec<String> {
    let mut argv = submit(spark, properties);
    if let Some(class) = job.class_name {
        argv.extend(["--class".to_owned(), class.to_owned()]);
    }
    argv.push(job.file.to_owned());
    argv.extend(job.args.iter().cloned());
    argv
}

/// The script, not the class behind it: it reads `spark-env.sh` and what a vendor has added.
fn submit(spark: &SparkHome, properties: &Path) -> Vec<String> {
    let script = spark.path.join("bin/spark-submit").to_string_lossy().into_owned();
    vec![script, "--properties-file".to_owned(), properties.to_string_lossy().into_owned()]
}

/// The whole environment of a launch.
#[must_use]
pub fn environment(base: &Base<'_>) -> BTreeMap<String, String> {
    let mut env = base.environment.passed.clone();
    let mut set = |key: &str, value: &str| env.insert(key.to_owned(), value.to_owned());
    set("SPARK_HOME", &base.spark.path.to_string_lossy());
    set("PYSPARK_PYTHON", &base.spark.python);
    set("PYSPARK_DRIVER_PYTHON", &base.spark.python);
    if let Some(java) = &base.environment.java_home {
        set("JAVA_HOME", &java.to_string_lossy());
    }
    if stays_here(base.profile) {
        // The Spark UI and every other port bind to this address.
        set("SPARK_LOCAL_IP", "127.0.0.1");
    }
    if let Some(user) = base.user {
        set("HOME", &base.work.to_string_lossy());
        set("USER", user);
        set("LOGNAME", user);
    }
    env
}

/// Whether the driver speaks to this machine alone.
fn stays_here(profile: &Profile) -> bool {
    let host = profile.master.strip_prefix("spark://").map(|m| m.rsplit_once(':').map_or(m, |(host, _)| host));
    profile.master.starts_with("local") || matches!(host, Some("localhost" | "127.0.0.1"))
}

fn common_conf(base: &Base<'_>, name: &str, agent_option: &str) -> BTreeMap<String, String> {
    let (profile, resources) = (base.profile, base.resources);
    let work = base.work.to_string_lossy();
    let mut conf: BTreeMap<String, String> = profile.conf.clone();
    let default = |conf: &mut BTreeMap<String, String>, key: &str, value: String| {
        conf.entry(key.to_owned()).or_insert(value);
    };
    conf.extend(resources.conf.clone());
    default(&mut conf, "spark.app.name", name.to_owned());
    default(&mut conf, "spark.driver.memory", profile.driver_memory.clone());
    default(&mut conf, "spark.ui.port", "0".to_owned());
    default(&mut conf, "spark.ui.showConsoleProgress", "false".to_owned());
    default(&mut conf, "spark.sql.warehouse.dir", format!("{work}/spark-warehouse"));
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            conf.insert(key.to_owned(), value);
        }
    };
    set("spark.driver.memory", resources.driver_memory.clone());
    set("spark.driver.cores", resources.driver_cores.map(|n| n.to_string()));
    set("spark.executor.memory", resources.executor_memory.clone());
    set("spark.executor.cores", resources.executor_cores.map(|n| n.to_string()));
    set("spark.executor.instances", resources.num_executors.map(|n| n.to_string()));
    set("spark.yarn.queue", resources.queue.clone());
    for (key, list) in [
        ("spark.jars", &resources.jars),
        ("spark.submit.pyFiles", &resources.py_files),
        ("spark.files", &resources.files),
        ("spark.archives", &resources.archives),
    ] {
        set(key, Some(list.join(",")));
    }
    set("spark.master", Some(profile.master.clone()));
    set("spark.submit.deployMode", Some("client".to_owned()));
    set("spark.local.dir", Some(work.clone().into_owned()));
    if stays_here(profile) {
        set("spark.driver.host", Some("127.0.0.1".to_owned()));
        set("spark.driver.bindAddress", Some("127.0.0.1".to_owned()));
    }
    if profile.master.starts_with("local") {
        // Nobody else on this machine can speak to the driver's ports. A standalone cluster has one secret of its own,
        // which its administrator gives in the profile's conf.
        set("spark.authenticate", Some("true".to_owned()));
        set("spark.authenticate.secret", Some(base.secret.to_owned()));
        set("spark.network.crypto.enabled", Some("true".to_owned()));
    }
    let home = base.user.map(|_| format!("-Duser.home={work}")).unwrap_or_default();
    let own = [agent_option.to_owned(), format!("-Djava.io.tmpdir={work}"), home, profile.java_options.clone()];
    let asked = conf.remove("spark.driver.extraJavaOptions");
    let options = own.into_iter().chain(asked).filter(|o| !o.is_empty()).collect::<Vec<_>>().join(" ");
    conf.insert("spark.driver.extraJavaOptions".to_owned(), options);
    conf
}

/// The text of a properties file, as `java.util.Properties` reads it (ISO 8859-1 with `\u` escapes).
#[must_use]
pub fn properties(conf: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in conf {
        escape(&mut text, key, true);
        text.push('=');
        escape(&mut text, value, false);
        text.push('\n');
    }
    text
}

fn escape(out: &mut String, text: &str, is_key: bool) {
    for (place, unit) in text.encode_utf16().enumerate() {
        match u8::try_from(unit).map(char::from) {
            Ok('\\') => out.push_str("\\\\"),
            Ok('\n') => out.push_str("\\n"),
            Ok('\r') => out.push_str("\\r"),
            Ok('\t') => out.push_str("\\t"),
            Ok(' ') if is_key || place == 0 => out.push_str("\\ "),
            Ok(c @ ('=' | ':' | '#' | '!')) if is_key => {
                out.push('\\');
                out.push(c);
            }
            Ok(c) if c.is_ascii_graphic() || c == ' ' => out.push(c),
            _ => drop(write!(out, "\\u{unit:04X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_escaped() {
        let conf = BTreeMap::from([
            ("a b=c".to_owned(), " x=y\\z".to_owned()),
            ("spark.app.name".to_owned(), "Zoë\n🦀".to_owned()),
        ]);
        assert_eq!(properties(&conf), "a\\ b\\=c=\\ x=y\\\\z\nspark.app.name=Zo\\u00EB\\n\\uD83E\\uDD80\n");
    }
}
