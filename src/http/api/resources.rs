//! What a request asks of Spark, as the own API words it.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::context::launch::resources;
use crate::http::bounded;

/// Memory, cores, files and conf of a Spark application; answers show them with the same fields. Files are absolute paths on the machine where Hearth runs, or URLs.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Memory of the driver.
    #[schema(example = "2g", max_length = 40)]
    driver_memory: Option<String>,
    /// Cores of the driver.
    #[schema(minimum = 1, maximum = 10000)]
    driver_cores: Option<u32>,
    /// Memory of each executor.
    #[schema(example = "2g", max_length = 40)]
    executor_memory: Option<String>,
    /// Cores of each executor.
    #[schema(minimum = 1, maximum = 10000)]
    executor_cores: Option<u32>,
    /// How many executors.
    #[schema(minimum = 0, maximum = 100000)]
    num_executors: Option<u32>,
    /// Queue of the cluster's scheduler.
    #[schema(max_length = 256)]
    queue: Option<String>,
    /// Jars for driver and executors.
    #[schema(max_items = 1000)]
    #[serde(deserialize_with = "bounded::list::<_, _, 1000>")]
    jars: Vec<String>,
    /// Python files for driver and executors.
    #[schema(max_items = 1000)]
    #[serde(deserialize_with = "bounded::list::<_, _, 1000>")]
    py_files: Vec<String>,
    /// Files for the working folders of executors.
    #[schema(max_items = 1000)]
    #[serde(deserialize_with = "bounded::list::<_, _, 1000>")]
    files: Vec<String>,
    /// Archives for the working folders of executors.
    #[schema(max_items = 1000)]
    #[serde(deserialize_with = "bounded::list::<_, _, 1000>")]
    archives: Vec<String>,
    /// Spark conf. Answers leave out values that are secret by their key, such as `spark.hadoop.fs.s3a.secret.key`.
    #[serde(deserialize_with = "bounded::map::<_, _, 1000>")]
    conf: BTreeMap<String, String>,
}

impl From<Resources> for resources::Resources {
    fn from(r: Resources) -> Self {
        Self {
            driver_memory: r.driver_memory,
            driver_cores: r.driver_cores,
            executor_memory: r.executor_memory,
            executor_cores: r.executor_cores,
            num_executors: r.num_executors,
            queue: r.queue,
            jars: r.jars,
            py_files: r.py_files,
            files: r.files,
            archives: r.archives,
            conf: r.conf,
        }
    }
}
