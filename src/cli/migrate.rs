//! `hearth migrate`: brings the schema of the database up to this version.

use std::process::ExitCode;

use super::serve::Settings;
use crate::home::Home;
use crate::life::Life;
use crate::shim::Program;
use crate::store::{self, database::Database};
use crate::{config, gateway, telemetry};

pub(super) fn migrate(settings: &Settings) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    telemetry::init(&config.log.filter, config.log.json);
    tokio::runtime::Runtime::new()?.block_on(async {
        let home = Home::open(&config.home)?;
        let (life, _watch) = Life::new();
        let path = config::environment().get("PATH").map(Into::into);
        let program = Program::current()?;
        let database = Database::open(&config.database.url, &config.postgres, path, &home, &program, &life).await?;
        let pool = store::pool(database.address(), 1);
        let outcome = gateway::migrate(&pool).await;
        pool.close().await;
        life.end().await;
        database.close().await;
        outcome.map(|()| ExitCode::SUCCESS)
    })
}
