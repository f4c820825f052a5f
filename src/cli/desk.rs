//! What commands work with that look into the database of a gateway, whether one runs on it or not: an operator's desk.

use anyhow::Context as _;
use secrecy::ExposeSecret;
use sqlx::PgPool;

use crate::access::Access;
use crate::audit::Audit;
use crate::config::Config;
use crate::context::launch::folder::Folder;
use crate::context::launch::{Admission, Site};
use crate::id::GatewayId;
use crate::identity::Principal;
use crate::life::Life;
use crate::store::embedded::Embedded;
use crate::store::notify::Notifier;
use crate::store::{self, Address};
use crate::{batch, context, gateway, handle, session};

/// The use cases of a gateway, without the gateway.
pub(super) struct Desk {
    pub(super) contexts: context::service::Service,
    pub(super) sessions: session::service::Service,
    pub(super) batches: batch::service::Service,
    pub(super) handles: handle::service::Service,
    pool: PgPool,
    life: Life,
}

impl Desk {
    /// Opens the database of the configuration: that of its URL, else the embedded one, whose gateway has to run.
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        let address = if config.database.url.expose_secret().is_empty() {
            Embedded::running(&config.home).context("finding the embedded Postgres")?
        } else {
            Address::from_url(&config.database.url)?
        };
        let pool = store::pool(&address, 2);
        let (life, _watch) = Life::new();
        let others = Notifier::new(pool.clone(), &life);
        let identities = gateway::identities(&config.profiles);
        let me = GatewayId::generate();
        let audit = Audit::new(me, &config.audit);
        let access = Access::new(pool.clone(), config.access.clone(), identities, others.clone(), audit)
            .context("reading the policies (access.policies)")?;
        let contexts = context::service::Service::new(
            pool.clone(),
            Site { gateway: me, host: gateway::host_name(), launches: Folder::all(&config.home) },
            config.profiles.clone(),
            config.launch.clone(),
            Admission { authenticates: true, users: config.launch.users.clone(), launcher: None },
            others,
            access,
        );
        let sessions = session::service::Service::new(contexts.clone(), config.session.clone());
        let batches = batch::service::Service::new(contexts.clone(), config.session.retain);
        let handles = handle::service::Service::new(sessions.clone(), config.http.limits.stalled_reader.0);
        Ok(Self { contexts, sessions, batches, handles, pool, life })
    }

    /// What decides.
    pub(super) fn access(&self) -> &Access {
        self.contexts.access()
    }

    /// The database.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Lets go of the database.
    pub(super) async fn close(self) {
        self.life.end().await;
        self.pool.close().await;
    }
}

/// Whoever may read the configuration and its database is an operator; names are looked up in `tenant`.
pub(super) fn operator(tenant: &str) -> Principal {
    Principal { tenant: tenant.into(), ..Principal::local() }
}
