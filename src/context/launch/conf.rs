//! The Spark conf of a launch.
//!
//! Later wins: Hearth's defaults, `spark-defaults.conf`, the profile, the request; then what Hearth must decide itself. So an
//! administrator can change even how an application is secured, and a request cannot: see `Resources::check`.

use std::collections::BTreeMap;

use super::java_command::quote_option;
use super::resources::{Invalid, Resources, mebibytes};
use super::submit::{LOOPBACK, Setting};

/// The conf of a launch.
///
/// # Errors
/// When the memory of profile or request cannot be read.
pub(super) fn of(setting: &Setting<'_>) -> Result<BTreeMap<String, String>, Invalid> {
    let Setting { profile, resources, folder, .. } = setting;
    let work = folder.work();
    let mut conf = BTreeMap::new();
    let mut set = |key: &str, value: &str| drop(conf.insert(key.to_owned(), value.to_owned()));
    set("spark.app.name", setting.unnamed);
    set("spark.local.dir", &work.join("local").to_string_lossy());
    set("spark.sql.warehouse.dir", &work.join("warehouse").to_string_lossy());
    set("spark.ui.port", "0");
    set("spark.ui.showConsoleProgress", "false");
    if is_local(&profile.master) {
        // Spark makes a secret of its own here. On a standalone cluster it must be the cluster's, which only a profile can know.
        set("spark.authenticate", "true");
        set("spark.network.crypto.enabled", "true");
        set("spark.io.encryption.enabled", "true");
    }
    let (host, bind) = if is_near(&profile.master) { (LOOPBACK, LOOPBACK) } else { (setting.host, "0.0.0.0") };
    set("spark.driver.host", host);
    set("spark.driver.bindAddress", bind);
    conf.extend(setting.defaults.clone());
    conf.insert("spark.driver.memory".to_owned(), profile.driver_memory.clone());
    conf.extend(profile.conf.clone());
    // `hearth.profile` and its like are for Hearth.
    conf.extend(resources.conf.iter().filter(|(k, _)| !k.starts_with("hearth.")).map(|(k, v)| (k.clone(), v.clone())));
    ask(resources, &profile.master, &mut conf);
    let memory = conf.get("spark.driver.memory").map(String::as_str).unwrap_or_default();
    let mib =
        mebibytes(memory).ok_or_else(|| Invalid(format!("{memory:?} is not an amount of memory for a driver")))?;
    let decided = [
        ("spark.driver.memory", format!("{mib}m")),
        ("spark.master", profile.master.clone()),
        ("spark.submit.deployMode", "client".to_owned()),
    ];
    // As in Livy (InteractiveSession.scala): the name of the request, else its conf's.
    conf.extend(setting.name.map(|name| ("spark.app.name".to_owned(), name.to_owned())));
    conf.extend(decided.map(|(key, value)| (key.to_owned(), value)));
    let extra = conf.remove("spark.driver.extraJavaOptions").unwrap_or_default();
    let own = quote_option(&format!("-Djava.io.tmpdir={}", folder.temporary().display()));
    // Else a JVM that is killed leaves a file of measurements in the machine's own folder for temporary files.
    let options = ["-XX:-UsePerfData", profile.java_options.trim(), extra.trim(), &own].join(" ");
    conf.insert("spark.driver.extraJavaOptions".to_owned(), options.trim().to_owned());
    Ok(conf)
}

/// Writes the request's own fields, as `spark-submit` would its options.
fn ask(resources: &Resources, master: &str, conf: &mut BTreeMap<String, String>) {
    let numbers = [
        ("spark.driver.cores", resources.driver_cores),
        ("spark.executor.cores", resources.executor_cores),
        ("spark.executor.instances", resources.num_executors),
    ];
    let texts = [
        ("spark.driver.memory", &resources.driver_memory),
        ("spark.executor.memory", &resources.executor_memory),
        ("spark.yarn.queue", &resources.queue),
    ];
    conf.extend(numbers.into_iter().filter_map(|(key, n)| Some((key.to_owned(), n?.to_string()))));
    conf.extend(texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?))));
    if let (true, Some(executors)) = (master.starts_with("spark://"), resources.num_executors) {
        // A standalone cluster counts cores, not executors.
        let cores = executors.saturating_mul(resources.executor_cores.unwrap_or(1));
        conf.entry("spark.cores.max".to_owned()).or_insert_with(|| cores.to_string());
        conf.entry("spark.executor.cores".to_owned()).or_insert_with(|| "1".to_owned());
    }
    let lists = [
        ("spark.jars", &resources.jars),
        ("spark.submit.pyFiles", &resources.py_files),
        ("spark.files", &resources.files),
        ("spark.archives", &resources.archives),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        let before = conf.get(key).filter(|before| !before.is_empty());
        let all: Vec<&str> = before.into_iter().chain(list).map(String::as_str).collect();
        let all = all.join(",");
        conf.insert(key.to_owned(), all);
    }
}

fn is_local(master: &str) -> bool {
    master == "local" || master.starts_with("local[")
}

/// Whether everything of an application runs on this machine, so that no port need be open to others.
fn is_near(master: &str) -> bool {
    let host = master.strip_prefix("spark://").and_then(|rest| rest.rsplit_once(':')).map(|(host, _)| host);
    is_local(master) || host.is_some_and(|h| h == "localhost" || h == "[::1]" || h.starts_with("127."))
}
