//! From a request to a command line and a properties file. Nothing here touches the disk or a process.
//!
//! Secrets stand in the properties file alone (0600): a command line can be read by everybody on the machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::Profile;
use super::bundle::Agent;
use super::environment::Environment;
use super::folder::{Folder, Spec};
use super::java_command::{JavaCommand, SUBMIT, split_options};
use super::resources::{Invalid, Resources};
use super::spark_home::SparkHome;
use super::{conf, properties, run_as, variables};
use crate::id::ApplicationId;

/// Name of the properties file in the program's own folder.
pub const PROPERTIES: &str = "spark.conf";

/// The agent's filter that lets nobody but the gateway see the Spark UI.
const UI_FILTER: &str = "hearth.agent.ui.GatewayOnly";

/// The one address that only this machine reaches.
pub(super) const LOOPBACK: &str = "127.0.0.1";

/// What every launch goes by.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The template.
    pub profile: &'a Profile,
    /// What the request asks for; checked before.
    pub resources: &'a Resources,
    /// The Spark of the profile.
    pub spark: &'a SparkHome,
    /// What its `spark-defaults.conf` says.
    pub defaults: &'a BTreeMap<String, String>,
    /// How its `SparkSubmit` is started.
    pub command: &'a JavaCommand,
    /// Its class data archive, when that is there.
    pub archive: Option<&'a Path>,
    /// What is passed on of Hearth's own environment.
    pub environment: &'a Environment,
    /// The launch folder.
    pub folder: &'a Folder,
    /// User to run as; none: as the gateway.
    pub user: Option<&'a str>,
    /// This machine's name, by which executors elsewhere find the driver.
    pub host: &'a str,
    /// The application's name, when it was asked for by more than the conf.
    pub name: Option<&'a str>,
    /// Its name when nobody has asked for any.
    pub unnamed: &'a str,
}

/// The application of a context: the agent.
#[derive(Debug, Clone, Copy)]
pub struct Driver<'a> {
    /// The compiled agent.
    pub agent: &'a Agent,
    /// The application's row.
    pub application: ApplicationId,
    /// Opens this application's link and nothing else.
    pub token: &'a SecretString,
    /// Base addresses of gateways, in the order to try them.
    pub gateways: &'a [String],
    /// SHA-256, in hexadecimal, of the certificate that gateways show to drivers, where those addresses are https.
    pub certificate: Option<&'a str>,
    /// Kinds whose interpreters the first session needs.
    pub warm: &'a [&'a str],
}

/// A batch: somebody's own program.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Jar or Python file.
    pub file: &'a str,
    /// Main class of a jar.
    pub class_name: Option<&'a str>,
    /// Its arguments.
    pub args: &'a [String],
}

/// What to start.
#[derive(Debug)]
pub struct Submission {
    /// The process.
    pub spec: Spec,
    /// Text of the file [`PROPERTIES`], to be handed over before the process is started.
    pub properties: SecretString,
}

/// The programs that launches with a Spark start.
#[must_use]
pub fn programs(spark: &SparkHome) -> [PathBuf; 2] {
    [spark.java.program.clone(), spark.path.join("bin/spark-submit")]
}

/// The application of a context.
///
/// # Errors
/// When the profile's memory cannot be read.
pub fn driver(setting: &Setting<'_>, driver: &Driver<'_>) -> Result<Submission, Invalid> {
    let mut conf = conf::of(setting)?;
    conf.entry("spark.scheduler.mode".to_owned()).or_insert_with(|| "FAIR".to_owned());
    let own = [
        ("gateways", driver.gateways.join(",")),
        ("certificate", driver.certificate.unwrap_or_default().to_owned()),
        ("application", driver.application.to_string()),
        ("token", driver.token.expose_secret().to_owned()),
        ("python", driver.agent.python.display().to_string()),
        ("warm", driver.warm.join(",")),
        ("scratch", setting.folder.scratch().display().to_string()),
    ];
    conf.extend(own.map(|(key, value)| (format!("spark.hearth.{key}"), value)));
    if setting.user.is_some() {
        // Others than who asks are on this machine, and the UI of Spark knows nobody.
        let own = [UI_FILTER]
            .into_iter()
            .chain(conf.get("spark.ui.filters").map(String::as_str))
            .collect::<Vec<_>>()
            .join(",");
        conf.insert("spark.ui.filters".to_owned(), own);
    }
    let arguments = ["--class", "hearth.agent.Agent"].map(str::to_owned);
    Ok(submission(setting, &conf, arguments.into_iter().chain([driver.agent.jar.display().to_string()])))
}

/// A batch.
///
/// # Errors
/// When the file would be taken for an option, or the profile's memory cannot be read.
pub fn batch(setting: &Setting<'_>, job: &Job<'_>) -> Result<Submission, Invalid> {
    for (field, text) in [("file", Some(job.file)), ("className", job.class_name)] {
        if text.is_some_and(|t| t.is_empty() || t.starts_with('-') || t.chars().any(char::is_control)) {
            return Err(Invalid(format!("{field} must not be empty, begin with \"-\" or hold control characters")));
        }
    }
    if job.args.iter().any(|arg| arg.contains('\0')) {
        return Err(Invalid("args must not hold NUL characters".to_owned()));
    }
    let class = job.class_name.map(|name| ["--class".to_owned(), name.to_owned()]).into_iter().flatten();
    let arguments = class.chain([job.file.to_owned()]).chain(job.args.iter().cloned());
    let mut conf = conf::of(setting)?;
    if setting.user.is_some() {
        // A program of somebody's own has no agent that could guard it.
        conf.insert("spark.ui.enabled".to_owned(), "false".to_owned());
    }
    Ok(submission(setting, &conf, arguments))
}

fn submission(
    setting: &Setting<'_>,
    conf: &BTreeMap<String, String>,
    arguments: impl Iterator<Item = String>,
) -> Submission {
    let Setting { profile, spark, defaults, environment, folder, .. } = setting;
    let env = variables::of(profile, spark, defaults, environment, folder);
    let value = |key: &str| conf.get(key).map(String::as_str).unwrap_or_default();
    let mut argv = match setting.command {
        JavaCommand::Script(script) => vec![script.display().to_string()],
        JavaCommand::Java { class_path, options } => {
            // What the script does with these keys.
            let first = value("spark.driver.extraClassPath");
            let class_path = if first.is_empty() { class_path.clone() } else { format!("{first}:{class_path}") };
            let java = setting.spark.java.program.display().to_string();
            let memory = format!("-Xmx{}", value("spark.driver.memory"));
            let more = ["spark.driver.defaultJavaOptions", "spark.driver.extraJavaOptions"];
            let more: Vec<String> = more.iter().flat_map(|key| split_options(value(key))).collect();
            // The JVM crashes where a Java agent and an archive meet; and who names an archive means that one.
            let hinders = |option: &String| {
                option.starts_with("-javaagent:") || option.starts_with("-agent") || option.contains("Archive")
            };
            let archive = setting.archive.filter(|_| !more.iter().any(hinders)).map(|archive| {
                // One that is for another class path is passed over in silence.
                let file = format!("-XX:SharedArchiveFile={}", archive.display());
                ["-Xlog:cds=off".to_owned(), "-Xlog:cds+dynamic=off".to_owned(), file]
            });
            [java, "-cp".to_owned(), class_path, memory]
                .into_iter()
                .chain(options.iter().cloned())
                .chain(archive.into_iter().flatten())
                .chain(more)
                .chain([SUBMIT.to_owned()])
                .collect()
        }
    };
    argv.extend(["--properties-file".to_owned(), setting.folder.work().join(PROPERTIES).display().to_string()]);
    // On the command line, for spark-submit takes it from nowhere else. Everybody may know it.
    if let (true, Some(user)) = (run_as::is_yarn(&setting.profile.master), setting.user) {
        argv.extend(["--proxy-user".to_owned(), user.to_owned()]);
    }
    argv.extend(arguments);
    let user = setting.user.map(str::to_owned);
    let properties = properties::write(conf).into();
    Submission { spec: Spec { argv, env, cwd: setting.folder.work(), user }, properties }
}

#[cfg(test)]
mod tests {
    use super::super::spark_home::Java;
    use super::*;

    /// The parts of a setting, to be changed by a test.
    struct Parts {
        profile: Profile,
        resources: Resources,
        spark: SparkHome,
        defaults: BTreeMap<String, String>,
        command: JavaCommand,
        environment: Environment,
        folder: Folder,
    }

    impl Parts {
        fn new(master: &str) -> Self {
            let java = Java { program: "/jre/bin/java".into(), major: 17 };
            let (version, scala, python) = ("3.5.9".to_owned(), "2.12".to_owned(), "/venv/bin/python".to_owned());
            Self {
                profile: serde_json::from_value(serde_json::json!({ "master": master })).unwrap(),
                resources: Resources::default(),
                spark: SparkHome { path: "/spark".into(), version, scala, python, java },
                defaults: BTreeMap::new(),
                command: JavaCommand::Java {
                    class_path: "/spark/jars/*".into(),
                    options: vec!["--add-opens=x".into()],
                },
                environment: Environment::default(),
                folder: Folder::at("/home/launch/1"),
            }
        }

        fn setting(&self) -> Setting<'_> {
            let Self { profile, resources, spark, defaults, command, environment, folder } = self;
            let archive = Some(Path::new("/c.jsa"));
            Setting {
                profile,
                resources,
                spark,
                defaults,
                command,
                archive,
                environment,
                folder,
                user: None,
                host: "node1",
                name: None,
                unnamed: "n",
            }
        }

        fn batch(&self) -> (Vec<String>, BTreeMap<String, String>) {
            let args = ["--master".to_owned(), "a b".to_owned()];
            let made = batch(&self.setting(), &Job { file: "a.jar", class_name: Some("A"), args: &args }).unwrap();
            (made.spec.argv, properties::read(made.properties.expose_secret()))
        }
    }

    #[test]
    fn a_token_is_in_the_properties_and_nowhere_else() {
        let mut parts = Parts::new("local[2]");
        parts.resources.conf.insert("hearth.profile".into(), "default".into());
        let agent = Agent { jar: PathBuf::from("/a b/agent.jar"), python: PathBuf::from("/a b/python") };
        let (token, gateways) = ("secret-token".to_owned().into(), ["http://127.0.0.1:1".to_owned()]);
        let application = ApplicationId::generate();
        let own = Driver {
            agent: &agent,
            application,
            token: &token,
            gateways: &gateways,
            certificate: None,
            warm: &["sql"],
        };
        let made = driver(&parts.setting(), &own).unwrap();
        assert!(!format!("{:?}{:?}", made.spec.argv, made.spec.env).contains("secret-token"));
        assert!(!format!("{made:?}").contains("secret-token"));
        let conf = properties::read(made.properties.expose_secret());
        assert_eq!(conf["spark.hearth.token"], "secret-token");
        assert_eq!(conf["spark.hearth.application"], application.to_string());
        assert_eq!(conf["spark.scheduler.mode"], "FAIR");
        assert!(!conf.contains_key("hearth.profile"));
        let argv = made.spec.argv;
        assert_eq!(argv[..5], ["/jre/bin/java", "-cp", "/spark/jars/*", "-Xmx1024m", "--add-opens=x"]);
        let end =
            [SUBMIT, "--properties-file", "/home/work/1/spark.conf", "--class", "hearth.agent.Agent", "/a b/agent.jar"];
        assert_eq!(argv[argv.len() - 6..], end);
    }

    #[test]
    fn the_request_wins_over_the_profile_and_that_over_the_defaults() {
        let mut parts = Parts::new("local[2]");
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        parts.defaults = [entry("spark.a", "d"), entry("spark.b", "d"), entry("spark.driver.memory", "3g")].into();
        parts.profile.conf = [entry("spark.b", "p"), entry("spark.c", "p"), entry("spark.jars", "p.jar")].into();
        parts.profile.conf.insert("spark.io.encryption.enabled".into(), "false".into());
        parts.resources.conf = [entry("spark.c", "r"), entry("spark.driver.extraJavaOptions", "-Dx='y z'")].into();
        parts.resources.jars = vec!["r.jar".into(), "s.jar".into()];
        parts.resources.driver_memory = Some("2g".into());
        let (argv, conf) = parts.batch();
        let found = ["spark.a", "spark.b", "spark.c", "spark.jars"].map(|key| conf[key].as_str());
        assert_eq!(found, ["d", "p", "r", "p.jar,r.jar,s.jar"]);
        assert_eq!(conf["spark.io.encryption.enabled"], "false");
        assert!(argv.contains(&"-Xmx2048m".to_owned()) && argv.contains(&"-Dx=y z".to_owned()), "{argv:?}");
        assert_eq!(argv[argv.len() - 5..], ["--class", "A", "a.jar", "--master", "a b"]);
    }

    #[test]
    fn an_application_has_the_name_that_was_asked_for() {
        let mut parts = Parts::new("local[2]");
        let name = |parts: &Parts, name| {
            let setting = Setting { name, ..parts.setting() };
            let made = batch(&setting, &Job { file: "a.jar", class_name: None, args: &[] }).unwrap();
            properties::read(made.properties.expose_secret())["spark.app.name"].clone()
        };
        assert_eq!(name(&parts, None), "n");
        parts.resources.conf.insert("spark.app.name".into(), "by conf".into());
        assert_eq!(name(&parts, None), "by conf");
        assert_eq!(name(&parts, Some("by name")), "by name");
    }

    #[test]
    fn a_local_driver_is_reached_by_nobody_else() {
        let (_, conf) = Parts::new("local[*]").batch();
        let expected = [
            ("spark.driver.host", "127.0.0.1"),
            ("spark.driver.bindAddress", "127.0.0.1"),
            ("spark.authenticate", "true"),
            ("spark.network.crypto.enabled", "true"),
            ("spark.io.encryption.enabled", "true"),
            ("spark.ui.port", "0"),
        ];
        assert_eq!(expected.map(|(key, _)| conf[key].as_str()), expected.map(|(_, value)| value));
        for (master, host) in [("spark://127.0.0.1:7077", "127.0.0.1"), ("spark://far:7077", "node1")] {
            let (_, conf) = Parts::new(master).batch();
            assert_eq!(conf["spark.driver.host"], host, "{master}");
            assert!(!conf.contains_key("spark.authenticate"));
        }
    }

    #[test]
    fn yarn_is_told_for_whom() {
        let parts = Parts::new("yarn");
        let job = Job { file: "a.jar", class_name: Some("A"), args: &[] };
        let made = batch(&Setting { user: Some("alice"), ..parts.setting() }, &job).unwrap();
        let at = made.spec.argv.iter().position(|word| word == "--proxy-user").unwrap();
        assert_eq!(made.spec.argv[at + 1], "alice");
        assert!(at < made.spec.argv.iter().position(|word| word == "a.jar").unwrap(), "not an argument of the program");
        assert!(!parts.batch().0.contains(&"--proxy-user".to_owned()));
        let local = batch(&Setting { user: Some("alice"), ..Parts::new("local").setting() }, &job).unwrap();
        assert!(!local.spec.argv.contains(&"--proxy-user".to_owned()), "the OS user says it there");
    }

    #[test]
    fn a_standalone_cluster_is_asked_for_cores() {
        let mut parts = Parts::new("spark://far:7077");
        (parts.resources.num_executors, parts.resources.executor_cores) = (Some(3), Some(2));
        assert_eq!(parts.batch().1["spark.cores.max"], "6");
    }

    #[test]
    fn an_archive_is_used_unless_a_java_agent_would_meet_it() {
        let mut parts = Parts::new("local");
        let uses = |parts: &Parts| parts.batch().0.contains(&"-XX:SharedArchiveFile=/c.jsa".to_owned());
        assert!(uses(&parts));
        parts.profile.java_options = "-javaagent:/metrics.jar=1".to_owned();
        assert!(!uses(&parts));
    }

    #[test]
    fn a_file_is_never_taken_for_an_option() {
        let parts = Parts::new("local");
        for file in ["", "--conf", "a\nb"] {
            assert!(batch(&parts.setting(), &Job { file, class_name: None, args: &[] }).is_err(), "{file}");
        }
    }

    #[test]
    fn the_script_is_left_to_read_the_properties_itself() {
        let mut parts = Parts::new("local");
        parts.command = JavaCommand::Script("/spark/bin/spark-submit".into());
        let (argv, conf) = parts.batch();
        assert_eq!(argv[..2], ["/spark/bin/spark-submit", "--properties-file"]);
        assert_eq!(conf["spark.driver.memory"], "1024m");
        assert!(conf["spark.driver.extraJavaOptions"].contains("-Djava.io.tmpdir=/home/work/1/tmp"));
    }
}
