//! The environment of a launched program: clean, and made here whoever starts it.

use std::collections::BTreeMap;

use super::Profile;
use super::environment::Environment;
use super::folder::Folder;
use super::spark_home::SparkHome;
use super::submit::LOOPBACK;

/// What is passed on, and what Spark and its Pythons go by. `defaults` is what the Spark's `spark-defaults.conf` says. HOME, USER and
/// LOGNAME of another user are set where that user is become.
pub(super) fn of(
    profile: &Profile,
    spark: &SparkHome,
    defaults: &BTreeMap<String, String>,
    environment: &Environment,
    folder: &Folder,
) -> BTreeMap<String, String> {
    const LIBRARIES: &str = "spark.driver.extraLibraryPath";
    let mut env = environment.passed.clone();
    if !env.contains_key("LC_ALL") {
        // Without it Java and Python would take every text for ASCII.
        env.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
    }
    let java_home = spark.java.program.parent().and_then(|bin| bin.parent());
    let own = [
        ("SPARK_HOME", spark.path.display().to_string()),
        ("JAVA_HOME", java_home.map(|home| home.display().to_string()).unwrap_or_default()),
        ("PYSPARK_PYTHON", spark.python.clone()),
        // As the script does: all Pythons of an application must put a key into the same partition.
        ("PYTHONHASHSEED", "0".to_owned()),
        ("TMPDIR", folder.temporary().display().to_string()),
        // Where the Spark UI listens, and the name in its address: only the gateway is to reach it.
        ("SPARK_LOCAL_IP", LOOPBACK.to_owned()),
        ("SPARK_PUBLIC_DNS", LOOPBACK.to_owned()),
    ];
    env.extend(own.map(|(name, value)| (name.to_owned(), value)));
    // As the script does with this key, which no request may set.
    if let Some(libraries) = profile.conf.get(LIBRARIES).or(defaults.get(LIBRARIES)).filter(|l| !l.is_empty()) {
        let path = env.entry("LD_LIBRARY_PATH".to_owned()).or_default();
        *path = if path.is_empty() { libraries.clone() } else { format!("{libraries}:{path}") };
    }
    env
}
