//! What a request asks of Spark, and what of it can be refused before a Spark is started.

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

/// Where the driver's memory cannot go below: Spark refuses to start with less than 450 MiB of usable heap.
const LEAST_DRIVER_MIB: u64 = 512;
const MOST_MIB: u64 = 1 << 30;
const MOST_CORES: u32 = 10_000;
const MOST_EXECUTORS: u32 = 100_000;
const MOST_ENTRIES: usize = 1_000;
const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: usize = 64 * 1024;

impl Resources {
    /// Checks what can be checked without Spark.
    ///
    /// # Errors
    /// Says which field is wrong and what it should be.
    pub fn check(&self) -> Result<(), Invalid> {
        memory_field("driverMemory", self.driver_memory.as_deref(), LEAST_DRIVER_MIB)?;
        memory_field("executorMemory", self.executor_memory.as_deref(), 1)?;
        number_field("driverCores", self.driver_cores, 1, MOST_CORES)?;
        number_field("executorCores", self.executor_cores, 1, MOST_CORES)?;
        number_field("numExecutors", self.num_executors, 0, MOST_EXECUTORS)?;
        if let Some(queue) = &self.queue {
            text_field("queue", queue, LONGEST_KEY)?;
        }
        let lists =
            [("jars", &self.jars), ("pyFiles", &self.py_files), ("files", &self.files), ("archives", &self.archives)];
        for (name, list) in lists {
            if list.len() > MOST_ENTRIES {
                return Err(Invalid(format!("{name} may hold at most {MOST_ENTRIES} entries")));
            }
            list.iter().try_for_each(|entry| text_field(name, entry, LONGEST_VALUE))?;
        }
        if self.conf.len() > MOST_ENTRIES {
            return Err(Invalid(format!("conf may hold at most {MOST_ENTRIES} keys")));
        }
        self.conf.iter().try_for_each(|(key, value)| conf_entry(key, value))
    }
}

fn conf_entry(key: &str, value: &str) -> Result<(), Invalid> {
    let short: String = key.chars().take(80).collect();
    if key.is_empty() || key.len() > LONGEST_KEY || key.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Invalid(format!(
            "{short:?} is not a conf key: it must have 1 to {LONGEST_KEY} characters and no blanks"
        )));
    }
    if value.len() > LONGEST_VALUE || value.contains('\0') {
        return Err(Invalid(format!(
            "the value of conf {key} must have at most {LONGEST_VALUE} bytes and no NUL character"
        )));
    }
    match key {
        "spark.driver.memory" => memory_field("conf spark.driver.memory", Some(value), LEAST_DRIVER_MIB),
        "spark.executor.memory" => memory_field("conf spark.executor.memory", Some(value), 1),
        "spark.driver.extraJavaOptions" | "spark.driver.defaultJavaOptions" if value.contains("-Xmx") => {
            Err(Invalid(format!("conf {key} must not hold -Xmx: set driverMemory instead")))
        }
        _ => Ok(()),
    }
}

fn memory_field(name: &str, text: Option<&str>, least: u64) -> Result<(), Invalid> {
    let Some(text) = text else { return Ok(()) };
    match mebibytes(text) {
        Some(mib) if mib >= least => Ok(()),
        Some(_) => Err(Invalid(format!("{name} must be at least {least}m"))),
        None => {
            let short: String = text.chars().take(40).collect();
            Err(Invalid(format!(
                "{name}: {short:?} is not an amount of memory: write a number with m or g, such as \"2g\""
            )))
        }
    }
}

fn number_field(name: &str, number: Option<u32>, least: u32, most: u32) -> Result<(), Invalid> {
    match number {
        Some(n) if n < least || n > most => Err(Invalid(format!("{name} must be between {least} and {most}"))),
        _ => Ok(()),
    }
}

fn text_field(name: &str, text: &str, longest: usize) -> Result<(), Invalid> {
    if text.trim().is_empty() || text.len() > longest || text.chars().any(char::is_control) {
        return Err(Invalid(format!("{name}: a text of 1 to {longest} bytes without control characters is needed")));
    }
    Ok(())
}

/// Mebibytes of an amount of memory as Spark writes it (`512m`, `2g`, `1048576k`; a bare number is mebibytes).
#[must_use]
pub fn mebibytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let (number, unit) = lower.split_at(lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len()));
    let number: u64 = number.parse().ok()?;
    let mib = match unit {
        "k" | "kb" => number / 1024,
        "" | "m" | "mb" => number,
        "g" | "gb" => number.checked_mul(1024)?,
        "t" | "tb" => number.checked_mul(1024 * 1024)?,
        _ => return None,
    };
    (mib > 0 && mib <= MOST_MIB).then_some(mib)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Resources)) -> String {
        let mut resources = Resources::default();
        change(&mut resources);
        resources.check().unwrap_err().0
    }

    #[test]
    fn memory_is_read_as_spark_reads_it() {
        let amounts =
            [("512m", 512), ("2g", 2048), ("2GB", 2048), (" 1024 ", 1024), ("2097152k", 2048), ("1t", 1 << 20)];
        for (text, mib) in amounts {
            assert_eq!(mebibytes(text), Some(mib), "{text}");
        }
        for text in ["", "g", "-1g", "1.5g", "2 g", "0m", "1k", "99999999999999999999g", "18446744073709551615g"] {
            assert_eq!(mebibytes(text), None, "{text}");
        }
    }

    #[test]
    fn refusals_name_the_field_and_the_way_out() {
        assert!(refusal(|r| r.driver_memory = Some("lots".into())).contains("driverMemory: \"lots\""));
        assert!(refusal(|r| r.driver_memory = Some("64m".into())).contains("at least 512m"));
        assert!(refusal(|r| r.executor_cores = Some(0)).contains("executorCores must be between 1"));
        assert!(refusal(|r| r.jars = vec!["a\nb".into()]).contains("jars"));
        assert!(refusal(|r| r.queue = Some(String::new())).contains("queue"));
        assert!(refusal(|r| r.files = vec!["f".into(); 1001]).contains("at most 1000"));
    }

    #[test]
    fn conf_is_checked_for_what_nobody_could_mean() {
        assert!(refusal(|r| drop(r.conf.insert("a b".into(), "x".into()))).contains("not a conf key"));
        assert!(refusal(|r| drop(r.conf.insert("spark.x".into(), "a\0".into()))).contains("NUL"));
        let key = "spark.driver.extraJavaOptions";
        assert!(refusal(|r| drop(r.conf.insert(key.into(), "-Xmx9g".into()))).contains("driverMemory"));
        let free = Resources { conf: [("spark.ui.enabled".into(), "false".into())].into(), ..Resources::default() };
        assert_eq!(free.check(), Ok(()));
    }
}
