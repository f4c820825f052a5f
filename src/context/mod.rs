//! A Spark application.
pub mod launch;
