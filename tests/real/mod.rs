//! The real parts that tests run against. `make test` names them; nothing is passed over when one is missing.

#![allow(dead_code, reason = "each test program uses its own part of this")]
#![expect(
    clippy::panic,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests fail by panicking, and are told by variables"
)]

use std::path::PathBuf;

use hearth::context::launch::Profile;

/// The folder of the newest Spark that is supported.
pub fn spark_4() -> PathBuf {
    named("HEARTH_TEST_SPARK_4")
}

/// The folder of the oldest Spark that is supported.
pub fn spark_35() -> PathBuf {
    named("HEARTH_TEST_SPARK_35")
}

/// A profile that is all defaults but for its Spark.
pub fn profile(spark_home: &std::path::Path) -> Profile {
    serde_json::from_value(serde_json::json!({ "spark_home": spark_home })).unwrap()
}

fn named(variable: &str) -> PathBuf {
    match std::env::var(variable) {
        Ok(path) if !path.is_empty() => path.into(),
        _ => panic!("{variable} must name a folder: run the tests with `make test`"),
    }
}

/// The folder of Postgres's programs; empty: Hearth finds them.
pub fn postgres_bin() -> String {
    std::env::var("HEARTH__POSTGRES__BIN").unwrap_or_default()
}
