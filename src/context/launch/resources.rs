//! What a request asks of Spark.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Memory, cores, files and conf of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Such as `2g`.
    pub driver_memory: Option<String>,
    /// Cores of the driver.
    pub driver_cores: Option<u32>,
    /// Such as `2g`.
    pub executor_memory: Option<String>,
    /// Cores of each executor.
    pub executor_cores: Option<u32>,
    /// How many executors.
    pub num_executors: Option<u32>,
    /// Queue of the cluster's scheduler.
    pub queue: Option<String>,
    /// Jars for driver and executors.
    pub jars: Vec<String>,
    /// Python files for driver and executors.
    pub py_files: Vec<String>,
    /// Files for the working folders of executors.
    pub files: Vec<String>,
    /// Archives for the working folders of executors.
    pub archives: Vec<String>,
    /// Spark conf.
    pub conf: BTreeMap<String, String>,
}

/// A request that Spark could not be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// Keys of Spark's conf that Hearth or the profile sets, and no request.
const OWNED: &[&str] = &[
    "spark.master",
    "spark.submit.deployMode",
    "spark.driver.host",
    "spark.driver.bindAddress",
    "spark.local.dir",
    "spark.repl.class.outputDir",
    "spark.repl.class.uri",
    "spark.yarn.principal",
    "spark.yarn.keytab",
    "spark.kerberos.principal",
    "spark.kerberos.keytab",
];

/// Families of such keys.
const OWNED_FAMILIES: &[&str] = &["spark.hearth.", "spark.authenticate", "spark.network.crypto."];

impl Resources {
    /// Checks what can be checked without Spark.
    ///
    /// # Errors
    /// Says which field is wrong and what it should be.
    pub fn check(&self) -> Result<(), Invalid> {
        memory("driverMemory", self.driver_memory.as_deref())?;
        memory("executorMemory", self.executor_memory.as_deref())?;
        let lists =
            [("jars", &self.jars), ("pyFiles", &self.py_files), ("files", &self.files), ("archives", &self.archives)];
        for (field, list) in lists {
            for entry in list {
                if entry.is_empty() || entry.contains(',') || entry.chars().any(char::is_control) {
                    return Err(Invalid(format!("{field}: {:?} cannot be a path or URL", short(entry))));
                }
            }
        }
        if self.queue.as_ref().is_some_and(|q| q.chars().any(char::is_control)) {
            return Err(Invalid("queue: control characters are not allowed".to_owned()));
        }
        self.conf.iter().try_for_each(|(key, value)| pair(key, value))
    }
}

fn pair(key: &str, value: &str) -> Result<(), Invalid> {
    if key.is_empty() || key.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Invalid(format!("conf: {:?} cannot be a key", short(key))));
    }
    if !key.starts_with("spark.") {
        return Err(Invalid(format!("conf: {:?} is no key of Spark: Spark's keys begin with \"spark.\"", short(key))));
    }
    if OWNED.contains(&key) || OWNED_FAMILIES.iter().any(|family| key.starts_with(family)) {
        return Err(Invalid(format!("conf: {key} is set by Hearth or the profile, not by a request; leave it out")));
    }
    if value.contains('\0') {
        return Err(Invalid(format!("conf: the value of {key} has a NUL character")));
    }
    Ok(())
}

/// A memory size as Spark writes it: a number with `k`, `m`, `g` or `t`, and perhaps a `b`.
fn memory(field: &str, size: Option<&str>) -> Result<(), Invalid> {
    let Some(size) = size else { return Ok(()) };
    let lower = size.to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let fits = number.parse::<u32>().is_ok_and(|n| n > 0);
    if fits && matches!(unit, "" | "b" | "k" | "kb" | "m" | "mb" | "g" | "gb" | "t" | "tb") {
        return Ok(());
    }
    Err(Invalid(format!(
        "{field}: {:?} is no memory size: write a number with k, m, g or t, such as \"2g\"",
        short(size)
    )))
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_conf(key: &str, value: &str) -> Result<(), Invalid> {
        Resources { conf: BTreeMap::from([(key.to_owned(), value.to_owned())]), ..Resources::default() }.check()
    }

    #[test]
    fn what_hearth_sets_is_refused() {
        for key in ["spark.master", "spark.hearth.token", "spark.authenticate.secret", "hadoop.x", "", "spark a"] {
            assert!(with_conf(key, "x").is_err(), "{key}");
        }
        assert!(with_conf("spark.ui.enabled", "false").is_ok());
        assert!(with_conf("spark.app.name", "a\0b").is_err());
    }

    #[test]
    fn memory_is_a_size() {
        for (size, good) in [
            ("1g", true),
            ("700m", true),
            ("1024", true),
            ("2GB", true),
            ("", false),
            ("g", false),
            ("-1g", false),
            ("1.5g", false),
            ("0g", false),
        ] {
            let asked = Resources { driver_memory: Some(size.to_owned()), ..Resources::default() };
            assert_eq!(asked.check().is_ok(), good, "{size}");
        }
    }
}
