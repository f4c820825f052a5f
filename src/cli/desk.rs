//! What commands work with that look into the database of a gateway, whether one runs on it or not: an operator's desk.

use anyhow::Context as _;
use secrecy::ExposeSecret;
use sqlx::PgPool;

use crate::access::Access;
use crate::audit::Audit;
use crate::config::Config;
use crate::context::launch::folder::Folder;
use crate::context::launch::{Admission, Site};
use crate::home::host_of;
use crate::id::GatewayId;
use crate::identity::{Kept, Origin, Principal, Scheme, Scope, is_user_name};
use crate::life::Life;
use crate::store::embedded::Embedded;
use crate::store::notify::Notifier;
use crate::store::{self, Address, Page, Range};
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
        // What is made here is launched by the gateway of this state folder.
        let host = host_of(&config.home).unwrap_or_else(gateway::host_name);
        let audit = Audit::new(me, &config.audit);
        let access = Access::new(pool.clone(), config.access.clone(), identities, others.clone(), audit)
            .context("reading the policies (access.policies)")?;
        let contexts = context::service::Service::new(
            pool.clone(),
            Site { gateway: me, host, launches: Folder::all(&config.home), stopping: life.stopping() },
            config.profiles.clone(),
            config.launch.clone(),
            // Without a launcher it looks at no files: no command names any.
            Admission {
                authenticates: !config.auth.schemes.is_empty(),
                users: config.launch.users.clone(),
                launcher: None,
            },
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

/// Rows of a list that are asked for at a time.
const STEP: i64 = 1000;

/// Every page of a list.
pub(super) async fn all<T, E>(page: impl AsyncFn(Range) -> Result<Page<T>, E>) -> Result<Vec<T>, E> {
    let mut rows = Vec::new();
    let mut from = 0;
    loop {
        let step = page(Range { from, size: STEP }).await?;
        rows.extend(step.rows);
        from += STEP;
        if from >= step.total {
            return Ok(rows);
        }
    }
}

/// Somebody for whom an operator does something, with the groups that they are said to have.
pub(super) fn owner(user: &str, groups: Vec<String>, tenant: &str) -> anyhow::Result<Principal> {
    if let Some(bad) = [user, tenant].into_iter().chain(groups.iter().map(String::as_str)).find(|n| !is_user_name(n)) {
        anyhow::bail!("{bad:?} cannot be a name");
    }
    let groups: std::sync::Arc<[String]> = groups.into();
    Ok(Principal {
        groups: groups.clone(),
        tenant: tenant.into(),
        scope: Scope::Manage,
        kept: Kept { groups, shown_by: Some(Scheme::Token) },
        ..Principal::unknown(Some(user), Scheme::Token, &Origin::default())
    })
}
