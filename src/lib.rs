//! Hearth: Spark as a service for many people at once.
//!
//! The map, in order of dependence; a module may use only what stands below it (`tests/architecture.rs` holds this):
//!
//! - [`cli`]: the commands `serve`, `migrate`, `doctor`, `agent build` and the shim `child`
//! - [`gateway`]: the composition root, the only file that knows everything
//! - [`config`]: loads the sections that the slices own; `defaults.toml` is the manual
//! - [`http`]: the front doors (Livy's REST API, Hearth's own API, the driver's door, operations)
//! - [`batch`]: one `spark-submit` of a jar or a script
//! - [`handle`]: named data in a context
//! - [`statement`]: one piece of code and its output
//! - [`session`]: an interactive workspace in a context
//! - [`context`]: a Spark application: launch, link, log, end
//! - [`access`]: what may they do
//! - [`audit`]: who did what
//! - [`identity`]: who is asking
//! - [`store`]: Postgres, the only durable state
//! - [`telemetry`], [`life`]: logs, metrics, tasks and stopping
//! - [`home`], [`shim`]: the state folder; the program as its own helper
//! - [`kind`], [`id`], [`time`]: error kinds, typed ids, time

pub mod access;
pub mod audit;
pub mod batch;
pub mod cli;
pub mod config;
pub mod context;
pub mod gateway;
pub mod handle;
pub mod home;
pub mod http;
pub mod id;
pub mod identity;
pub mod kind;
pub mod life;
pub mod session;
pub mod shim;
pub mod statement;
pub mod store;
pub mod telemetry;
pub mod time;
