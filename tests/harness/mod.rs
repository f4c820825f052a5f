//! What integration tests stand on: a real gateway process on a real scratch Postgres, with real Sparks.
//!
//! ```ignore
//! mod harness;
//! use harness::{Gateway, Setup};
//!
//! #[tokio::test]
//! async fn one_and_one() {
//!     let gateway = Setup::new().start().await;              // `hearth serve`, port 0, its own database and HEARTH_HOME
//!     let livy = gateway.livy();
//!     let session = livy.session(json!({"kind": "pyspark"})).await;   // created and idle
//!     let statement = livy.run(&session, json!({"code": "1+1"})).await; // ended
//!     gateway.end().await;                                   // Ctrl-C, and nothing may be left behind
//! }
//! ```
//!
//! - [`Setup`]: configuration, whether the gateway has a Postgres of its own that the test may stop, profiles.
//! - [`Gateway`]: [`Gateway::kill`] is `kill -9`, [`Gateway::terminate`] is SIGTERM, [`Gateway::restart`] starts it again on the same port,
//!   home and database, [`Gateway::postgres`] is its server, [`Gateway::end`] is the orderly end. Dropping one ends it too.
//! - [`livy::Livy`]: the Livy door's client, by `?wait`, never by sleeping.
//! - [`api`]: the same for the own API.
//! - [`agent::Application`]: an application whose agent is the test.
//! - [`cluster::Cluster`]: a standalone Spark cluster.
//! - [`python()`]: a Python environment with packages of one's choice.
//! - [`until`]: waits for what has no event of its own.
//!
//! The environment: `HEARTH_TEST_SPARK_35` and `HEARTH_TEST_SPARK_4` are the homes of the Sparks (profiles `default` and `spark4`),
//! `HEARTH_TEST_DATABASE_URL` names a server on which databases may be made; without it each test binary runs a server of its own.
//! Whatever a test leaves behind ends with the test's process, even one that is killed: see [`keeper`].

#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and is configured by its environment"
)]

pub mod agent;
pub mod api;
pub mod certificates;
pub mod cluster;
mod gateway;
pub mod kdc;
mod keeper;
pub mod livy;
pub mod openid;
pub mod os_users;
pub mod postgres;
mod python;
pub mod slapd;

use std::time::Duration;

pub use gateway::{Gateway, Setup};
pub use python::python;

/// How long anything may take that is not known to be slow, on a machine that is busy with other tests.
pub const BOUND: Duration = Duration::from_secs(60);
/// How long a cold session may take to become idle when several start at once.
pub const COLD: Duration = Duration::from_secs(240);

/// Waits until `look` finds something.
///
/// # Panics
/// When it has not within `bound`; `what` says what did not happen.
pub async fn until<T>(what: &str, bound: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(bound, waiting).await {
        Ok(found) => found,
        Err(_) => panic!("within {bound:?} it did not happen: {what}"),
    }
}
