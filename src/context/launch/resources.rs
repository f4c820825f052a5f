//! What a request asks of Spark.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::files;

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

impl Resources {
    /// Checks what can be checked without Spark, and makes the names of local files plain.
    ///
    /// # Errors
    /// Says which field is wrong and what it should be.
    pub fn check(&mut self) -> Result<(), Invalid> {
        let lists = [
            ("jars", &mut self.jars),
            ("pyFiles", &mut self.py_files),
            ("files", &mut self.files),
            ("archives", &mut self.archives),
        ];
        for (field, files) in lists {
            for file in files {
                *file = files::check(field, file)?;
            }
        }
        Ok(())
    }
}
