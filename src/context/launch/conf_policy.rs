//! Which Spark conf a request may set.
//!
//! An allow-list, key by key, in `policies/spark-conf.toml`. A key of which nothing is known is refused once an authentication scheme
//! is configured: a deny-list has gaps, for every release of Spark brings keys that name a class, a file or a program.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;

use super::Profile;
use super::resources::Invalid;

/// The readable file.
const POLICY: &str = include_str!("../../../policies/spark-conf.toml");

/// What a key can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Tunes the application of who asks.
    Safe,
    /// Names files that `spark-submit` or the driver reads: each is looked at as the user.
    Files,
    /// Names a user, a secret or rights.
    Identity,
    /// Names a class, a program, a path, a place of the cluster: an administrator's.
    Admin,
    /// Hearth sets it.
    Hearth,
}

/// What becomes of keys that the policy does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// Refused once an authentication scheme is configured; before that the one user is the administrator too.
    #[default]
    Auto,
    /// Given to Spark.
    Allow,
    /// Refused.
    Refuse,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    safe: Vec<String>,
    files: Vec<String>,
    identity: Vec<String>,
    admin: Vec<String>,
    hearth: Vec<String>,
    family: Vec<Family>,
}

/// Keys whose last part users choose themselves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    /// What they begin with, or, around a `*`, what they begin and end with.
    keys: String,
    /// That of the names which are not listed; none: they are unknown.
    #[serde(default)]
    class: Option<Class>,
    /// Names of the family that only an administrator may set.
    #[serde(default)]
    admin: Vec<String>,
    /// Names of the family that anybody may set.
    #[serde(default)]
    safe: Vec<String>,
}

struct Read {
    keys: HashMap<String, Class>,
    families: Vec<Family>,
}

/// A file that cannot be read leaves no key known; a test holds that it can.
static READ: LazyLock<Read> = LazyLock::new(|| {
    let policy: Policy = Figment::from(Toml::string(POLICY)).extract().unwrap_or_default();
    let classes = [
        (Class::Safe, policy.safe),
        (Class::Files, policy.files),
        (Class::Identity, policy.identity),
        (Class::Admin, policy.admin),
        (Class::Hearth, policy.hearth),
    ];
    let keys = classes.into_iter().flat_map(|(class, keys)| keys.into_iter().map(move |key| (key, class)));
    Read { keys: keys.collect(), families: policy.family }
});

/// The class of a key, when it is known.
#[must_use]
pub fn class(key: &str) -> Option<Class> {
    READ.keys.get(key).copied().or_else(|| READ.families.iter().find_map(|family| family.class_of(key)))
}

impl Family {
    fn class_of(&self, key: &str) -> Option<Class> {
        let (begin, end) = self.keys.split_once('*')?;
        let name = key.strip_prefix(begin)?.strip_suffix(end)?;
        if name.is_empty() {
            return None;
        }
        let is = |list: &[String]| list.iter().any(|known| known == name);
        if is(&self.admin) {
            return Some(Class::Admin);
        }
        if is(&self.safe) { Some(Class::Safe) } else { self.class }
    }
}

/// Decides about a request's conf. Hearth's own keys (`hearth.…`) are others' to read.
///
/// # Errors
/// Names the first key that is refused, why, and what to do.
pub fn check(conf: &BTreeMap<String, String>, profile: &Profile, authenticates: bool) -> Result<(), Invalid> {
    let refuse_unknown = match profile.unknown_conf {
        Unknown::Auto => authenticates,
        Unknown::Allow => false,
        Unknown::Refuse => true,
    };
    conf.keys().filter(|key| !key.starts_with("hearth.")).try_for_each(|key| {
        let class = class(key);
        let opened = profile.allowed_conf.iter().any(|allowed| allowed == key);
        let why = match class {
            Some(Class::Hearth) => "Hearth decides it for each application",
            Some(Class::Safe | Class::Files) => return Ok(()),
            _ if opened => return Ok(()),
            Some(Class::Identity) => {
                "it names an identity, a secret or rights; an administrator may set it in the profile's conf"
            }
            Some(Class::Admin) => {
                "it names a class, a program or a place; an administrator may set it in the profile's conf, or open it to requests by \
                 the profile's allowed_conf"
            }
            None if refuse_unknown => {
                "this version of Hearth does not know what it can do; an administrator may set it in the profile's conf, or open it to \
                 requests by the profile's allowed_conf"
            }
            None => return Ok(()),
        };
        Err(Invalid(format!("conf {key} cannot be set by a request: {why}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(key: &str, profile: &Profile, authenticates: bool) -> Option<String> {
        let conf = [(key.to_owned(), "x".to_owned())].into();
        check(&conf, profile, authenticates).err().map(|e| e.to_string())
    }

    #[test]
    fn the_policy_can_be_read_and_each_key_has_one_class() {
        let policy: Policy = Figment::from(Toml::string(POLICY)).extract().unwrap();
        let lists = [policy.safe, policy.files, policy.identity, policy.admin, policy.hearth];
        let mut keys: Vec<String> = lists.into_iter().flatten().collect();
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
        assert!(all > 1_700, "{all}");
        assert!(policy.family.iter().all(|family| family.keys.matches('*').count() == 1));
    }

    /// What an attacker would try, and a profile that opens everything it can.
    #[test]
    fn nothing_that_reaches_beyond_the_user_can_be_set() {
        let attacks = [
            // Code in the JVM of spark-submit.
            ("spark.jars.packages", Class::Admin),
            ("spark.jars.repositories", Class::Admin),
            ("spark.jars.ivySettings", Class::Admin),
            ("spark.jars.ivy", Class::Admin),
            ("spark.driver.extraJavaOptions", Class::Admin),
            ("spark.driver.defaultJavaOptions", Class::Admin),
            ("spark.driver.extraClassPath", Class::Admin),
            ("spark.driver.extraLibraryPath", Class::Admin),
            ("spark.driver.userClassPathFirst", Class::Admin),
            ("spark.executor.extraJavaOptions", Class::Admin),
            ("spark.yarn.am.extraJavaOptions", Class::Admin),
            ("spark.plugins", Class::Admin),
            ("spark.extraListeners", Class::Admin),
            ("spark.sql.extensions", Class::Admin),
            ("spark.sql.queryExecutionListeners", Class::Admin),
            ("spark.sql.catalog.mine", Class::Admin),
            ("spark.sql.catalog.mine.io-impl", Class::Admin),
            ("spark.sql.hive.metastore.jars", Class::Admin),
            ("spark.serializer", Class::Admin),
            ("spark.metrics.conf.*.sink.csv.class", Class::Admin),
            ("spark.resources.discoveryPlugin", Class::Admin),
            ("spark.executor.resource.gpu.discoveryScript", Class::Admin),
            ("spark.pyspark.driver.python", Class::Admin),
            ("spark.python.daemon.module", Class::Admin),
            // Hadoop's classes and places.
            ("spark.hadoop.fs.s3a.aws.credentials.provider", Class::Admin),
            ("spark.hadoop.hadoop.security.credential.provider.path", Class::Admin),
            ("spark.hadoop.hadoop.security.group.mapping", Class::Admin),
            ("spark.hadoop.hadoop.security.authentication", Class::Admin),
            ("spark.hadoop.fs.hdfs.impl", Class::Admin),
            ("spark.hadoop.fs.AbstractFileSystem.hdfs.impl", Class::Admin),
            ("spark.hadoop.fs.defaultFS", Class::Admin),
            ("spark.hadoop.hadoop.kerberos.kinit.command", Class::Admin),
            ("spark.hadoop.net.topology.script.file.name", Class::Admin),
            ("spark.hadoop.hive.metastore.uris", Class::Admin),
            ("spark.hive.metastore.uris", Class::Admin),
            // Whose it is, under its name and the older ones.
            ("spark.kerberos.keytab", Class::Identity),
            ("spark.kerberos.principal", Class::Identity),
            ("spark.yarn.keytab", Class::Identity),
            ("spark.yarn.principal", Class::Identity),
            ("spark.yarn.access.namenodes", Class::Identity),
            ("spark.kerberos.renewal.credentials", Class::Identity),
            ("spark.kubernetes.authenticate.driver.serviceAccountName", Class::Identity),
            ("spark.ui.view.acls", Class::Identity),
            ("spark.admin.acls", Class::Identity),
            ("spark.kubernetes.driver.podTemplateFile", Class::Admin),
            ("spark.kubernetes.driver.volumes.hostPath.x.mount.path", Class::Admin),
            ("spark.executorEnv.LD_PRELOAD", Class::Admin),
            ("spark.yarn.appMasterEnv.HADOOP_PROXY_USER", Class::Admin),
            ("spark.executorEnv.KRB5CCNAME", Class::Admin),
            ("spark.mesos.secret", Class::Admin),
            // What Hearth secures an application by.
            ("spark.master", Class::Hearth),
            ("spark.submit.deployMode", Class::Hearth),
            ("spark.authenticate", Class::Hearth),
            ("spark.authenticate.secret", Class::Hearth),
            ("spark.authenticate.new-in-some-release", Class::Hearth),
            ("spark.network.crypto.enabled", Class::Hearth),
            ("spark.io.encryption.enabled", Class::Hearth),
            ("spark.driver.bindAddress", Class::Hearth),
            ("spark.ui.filters", Class::Hearth),
            ("spark.ui.port", Class::Hearth),
            ("spark.hearth.token", Class::Hearth),
            ("spark.repl.class.uri", Class::Hearth),
        ];
        let open = Profile { unknown_conf: Unknown::Allow, ..Profile::default() };
        for (key, expected) in attacks {
            assert_eq!(class(key), Some(expected), "{key}");
            for authenticates in [false, true] {
                let why = refusal(key, &open, authenticates).unwrap();
                assert!(why.contains(key) && why.contains("cannot be set"), "{why}");
            }
        }
    }

    #[test]
    fn what_nobody_knows_is_refused_where_others_are() {
        let (plain, key) = (Profile::default(), "spark.new-in-some-release");
        assert_eq!(refusal(key, &plain, false), None);
        let why = refusal(key, &plain, true).unwrap();
        assert!(why.contains(key) && why.contains("allowed_conf"), "{why}");
        for (unknown_conf, refused) in [(Unknown::Allow, false), (Unknown::Refuse, true)] {
            let profile = Profile { unknown_conf, ..Profile::default() };
            assert_eq!([false, true].map(|a| refusal(key, &profile, a).is_some()), [refused; 2], "{unknown_conf:?}");
        }
        for key in ["spark.hadoop.new.provider", "Spark.master", "spark.master ", "SPARK.KERBEROS.KEYTAB", "spark", "x"]
        {
            assert!(refusal(key, &plain, true).is_some(), "{key:?}");
        }
    }

    #[test]
    fn a_profile_opens_keys_one_by_one_but_not_hearths_own() {
        let allowed_conf = ["spark.jars.packages", "spark.mine", "spark.master"].map(str::to_owned).to_vec();
        let profile = Profile { allowed_conf, ..Profile::default() };
        assert_eq!(refusal("spark.jars.packages", &profile, true), None);
        assert_eq!(refusal("spark.mine", &profile, true), None);
        assert!(refusal("spark.mine.too", &profile, true).is_some());
        assert!(refusal("spark.master", &profile, true).unwrap().contains("Hearth decides"));
    }

    #[test]
    fn ordinary_work_is_not_in_the_way() {
        let ordinary = [
            "spark.executor.memory",
            "spark.sql.shuffle.partitions",
            "spark.dynamicAllocation.enabled",
            "spark.jars",
            "spark.files",
            "spark.hadoop.fs.s3a.access.key",
            "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version",
            "spark.executorEnv.MY_SETTING",
            "spark.ui.enabled",
            "spark.yarn.queue",
            "spark.kryoserializer.buffer.mb",
            "hearth.profile",
        ];
        for key in ordinary {
            assert_eq!(refusal(key, &Profile::default(), true), None, "{key}");
        }
    }
}
