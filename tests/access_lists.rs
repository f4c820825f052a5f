//! Lists show exactly what may be seen, their totals count exactly that, and what may be run follows the grants: random owners, tenants,
//! grants, roles and site policies, on a real Postgres.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::collections::{BTreeMap, BTreeSet};

use harness::postgres::Database;
use hearth::access::engine::ProfileIdentity;
use hearth::access::{Access, Config, View};
use hearth::audit::Audit;
use hearth::context::launch::{Admission, Site};
use hearth::id::{Called, GatewayId};
use hearth::identity::{Principal, Scheme};
use hearth::life::Life;
use hearth::store::Range;
use hearth::store::notify::Notifier;
use hearth::{batch, context, handle, session, store};
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, TestRunner};
use sqlx::PgPool;
use uuid::Uuid;

const TENANTS: [&str; 2] = ["default", "acme"];
const USERS: [&str; 4] = ["alice", "bob", "carol", "olga"];
const GROUPS: [&str; 3] = ["staff", "interns", "ops"];
const PROFILES: [&str; 2] = ["default", "hidden"];

/// One of each kind, of the same owner.
#[derive(Debug, Clone)]
struct Thing {
    tenant: usize,
    owner: usize,
    via_hue: bool,
    profile: usize,
    grants: Vec<Given>,
}

#[derive(Debug, Clone)]
struct Given {
    kind: usize,
    level: usize,
    to_group: bool,
    to: usize,
    tenant_of_thing: bool,
    /// 0: never ends, 1: in an hour, 2: an hour ago, 3: revoked.
    ends: usize,
}

#[derive(Debug, Clone)]
struct Asker {
    tenant: usize,
    user: usize,
    groups: Vec<usize>,
    is_hue: bool,
}

fn given() -> impl Strategy<Value = Given> {
    (0..4_usize, 0..3_usize, any::<bool>(), 0..3_usize, prop::bool::weighted(0.9), 0..4_usize).prop_map(
        |(kind, level, to_group, to, tenant_of_thing, ends)| Given { kind, level, to_group, to, tenant_of_thing, ends },
    )
}

fn thing() -> impl Strategy<Value = Thing> {
    (0..2_usize, 0..4_usize, any::<bool>(), 0..2_usize, prop::collection::vec(given(), 0..4))
        .prop_map(|(tenant, owner, via_hue, profile, grants)| Thing { tenant, owner, via_hue, profile, grants })
}

fn asker() -> impl Strategy<Value = Asker> {
    (0..2_usize, 0..4_usize, prop::collection::vec(0..3_usize, 0..3), prop::bool::weighted(0.2))
        .prop_map(|(tenant, user, groups, is_hue)| Asker { tenant, user, groups, is_hue })
}

impl Asker {
    fn principal(&self) -> Principal {
        let rule = serde_json::json!({ "principal": "hue", "users": ["*"], "addresses": ["127.0.0.1"] });
        Principal {
            user: if self.is_hue { "hue" } else { USERS[self.user] }.into(),
            groups: self.groups.iter().map(|g| GROUPS[*g].to_owned()).collect(),
            tenant: TENANTS[self.tenant].into(),
            scheme: Scheme::Basic,
            speaks_for: self.is_hue.then(|| std::sync::Arc::new(serde_json::from_value(rule).unwrap())),
            ..Principal::local()
        }
    }
}

struct Services {
    access: Access,
    contexts: context::service::Service,
    sessions: session::service::Service,
    batches: batch::service::Service,
    handles: handle::service::Service,
}

fn services(pool: &PgPool, life: &Life, policies: &str) -> Services {
    let config: Config = serde_json::from_value(serde_json::json!({
        "policies": policies, "home_tenant": "default", "operators": ["group:ops"], "auditors": [],
        "tenant_admins": { "acme": ["user:olga"] },
    }))
    .unwrap();
    let overrides = hearth::config::Overrides { home: Some("/nowhere".into()), ..Default::default() };
    let all = hearth::config::Config::load(&overrides).unwrap();
    let others = Notifier::new(pool.clone(), life);
    let identity = ProfileIdentity { service: None, may_share: true };
    let identities = PROFILES.map(|p| (p.to_owned(), identity.clone())).into_iter().collect::<BTreeMap<_, _>>();
    let gateway = GatewayId::generate();
    let audit = Audit::new(gateway, &all.audit);
    let access = Access::new(pool.clone(), config, identities, others.clone(), audit).unwrap();
    let contexts = context::service::Service::new(
        pool.clone(),
        Site { gateway, host: "here".to_owned(), launches: "/nowhere".into(), stopping: Default::default() },
        all.profiles,
        all.launch.clone(),
        Admission { authenticates: true, users: all.launch.users, launcher: None },
        others,
        access.clone(),
    );
    let sessions = session::service::Service::new(contexts.clone(), all.session.clone());
    let batches = batch::service::Service::new(contexts.clone(), all.session.retain);
    let handles = handle::service::Service::new(sessions.clone(), std::time::Duration::from_secs(60));
    Services { access, contexts, sessions, batches, handles }
}

/// Writes the things, each with a handle that is somebody's; the ids of context, session, batch and handle of each.
async fn write(pool: &PgPool, things: &[Thing]) -> Vec<[Uuid; 4]> {
    sqlx::raw_sql("truncate access_grant, handle, statement, session, batch, application, context cascade")
        .execute(pool)
        .await
        .unwrap();
    let mut ids = Vec::new();
    for thing in things {
        let made = [(); 4].map(|()| Uuid::now_v7());
        let (tenant, owner, profile) = (TENANTS[thing.tenant], USERS[thing.owner], PROFILES[thing.profile]);
        let via = thing.via_hue.then_some("hue");
        sqlx::query(
            "insert into context (context_id, tenant, owner, via, run_as, profile, state, request, host)
             values ($1, $2, $3, $4, $3, $5, 'ready', '{}', 'elsewhere')",
        )
        .bind(made[0])
        .bind(tenant)
        .bind(owner)
        .bind(via)
        .bind(profile)
        .execute(pool)
        .await
        .unwrap();
        sqlx::query(
            "insert into session (session_id, context_id, number, tenant, owner, via, run_as, kind, state, request)
             values ($1, $2, 0, $3, $4, $5, $4, 'spark', 'idle', '{}')",
        )
        .bind(made[1])
        .bind(made[0])
        .bind(tenant)
        .bind(owner)
        .bind(via)
        .execute(pool)
        .await
        .unwrap();
        sqlx::query(
            "insert into batch (batch_id, tenant, owner, via, run_as, profile, state, request, host, launch_dir)
             values ($1, $2, $3, $4, $3, $5, 'running', '{}', 'elsewhere', '/x')",
        )
        .bind(made[2])
        .bind(tenant)
        .bind(owner)
        .bind(via)
        .bind(profile)
        .execute(pool)
        .await
        .unwrap();
        let maker = USERS[(thing.owner + thing.grants.len()) % USERS.len()];
        sqlx::query(
            "insert into handle (handle_id, context_id, name, tenant, owner, via, run_as, kind, version, state, partitions, storage)
             values ($1, $2, 'h', $3, $4, $5, $6, 'pairs', 1, 'ready', 1, 'NONE')",
        )
        .bind(made[3])
        .bind(made[0])
        .bind(tenant)
        .bind(maker)
        .bind(via)
        .bind(owner)
        .execute(pool)
        .await
        .unwrap();
        for given in &thing.grants {
            let tenant = if given.tenant_of_thing { tenant } else { TENANTS[1 - thing.tenant] };
            let (kind, to) = if given.to_group { ("group", GROUPS[given.to]) } else { ("user", USERS[given.to]) };
            sqlx::query(
                "insert into access_grant (grant_id, tenant, resource_kind, resource_id, level, grantee_kind, grantee
                                          , identity_confirmed, created_by, expires_at, revoked_at)
                 values ($1, $2, $3, $4, $5, $6, $7, true, 'test'
                        , case $8 when 1 then now() + interval '1 hour' when 2 then now() - interval '1 hour' end
                        , case $8 when 3 then now() end) on conflict do nothing",
            )
            .bind(Uuid::now_v7())
            .bind(tenant)
            .bind(["context", "session", "batch", "handle"][given.kind])
            .bind(made[given.kind])
            .bind(if given.kind == 3 { ["read", "write", "manage"] } else { ["view", "attach", "manage"] }[given.level])
            .bind(kind)
            .bind(to)
            .bind(i32::try_from(given.ends).unwrap())
            .execute(pool)
            .await
            .unwrap();
        }
        ids.push(made);
    }
    ids
}

/// Every page of a list: what it shows, and the total that each page names.
async fn all(page: impl AsyncFn(Range) -> (Vec<Uuid>, i64)) -> (BTreeSet<Uuid>, i64) {
    let (mut shown, mut from) = (BTreeSet::new(), 0);
    loop {
        let (rows, total) = page(Range { from, size: 3 }).await;
        let read = rows.len();
        for row in rows {
            assert!(shown.insert(row), "shown twice");
        }
        from += 3;
        if from >= total {
            return (shown, total);
        }
        assert_eq!(read, 3, "a page with holes");
    }
}

async fn agree(s: &Services, who: &Principal, ids: &[[Uuid; 4]]) {
    s.access.forget(None);
    let mut seen = [(); 4].map(|()| BTreeSet::new());
    for [context, session, batch, handle] in ids {
        if s.contexts.open::<View>(who, &context.to_string()).await.is_ok() {
            seen[0].insert(*context);
        }
        if s.sessions.open::<View>(who, Called::Id((*session).into())).await.is_ok() {
            seen[1].insert(*session);
        }
        if s.batches.open::<View>(who, Called::Id((*batch).into())).await.is_ok() {
            seen[2].insert(*batch);
        }
        if s.handles.open::<View>(who, (*handle).into()).await.is_ok() {
            seen[3].insert(*handle);
        }
    }
    let contexts = all(async |range| {
        let page = s.contexts.list(who, range).await.unwrap();
        (page.rows.iter().map(|c| c.id.0).collect(), page.total)
    });
    let sessions = all(async |range| {
        let page = s.sessions.list(who, range, true).await.unwrap();
        (page.rows.iter().map(|v| v.session.id.0).collect(), page.total)
    });
    let batches = all(async |range| {
        let page = s.batches.list(who, range, true).await.unwrap();
        (page.rows.iter().map(|v| v.batch.id.0).collect(), page.total)
    });
    let handles = all(async |range| {
        let page = s.handles.list(who, None, range).await.unwrap();
        (page.rows.iter().map(|h| h.id.0).collect(), page.total)
    });
    for (seen, (shown, total)) in seen.into_iter().zip([contexts.await, sessions.await, batches.await, handles.await]) {
        assert_eq!(shown, seen);
        assert_eq!(total, i64::try_from(seen.len()).unwrap());
    }
}

#[test]
fn lists_show_exactly_what_may_be_seen() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let policies = tempfile::tempdir().unwrap();
    std::fs::write(
        policies.path().join("site.cedar"),
        r#"forbid (principal in Group::"interns", action == Action::"view", resource in Profile::"hidden");
           forbid (principal, action == Action::"attach", resource) when { resource.owner == User::"alice" };
           forbid (principal in Role::"operator", action, resource is Batch) when { resource.owner == User::"carol" };"#,
    )
    .unwrap();
    let (life, _watch) = Life::new();
    let (database, pool, plain, strict) = runtime.block_on(async {
        let database = Database::shared().await;
        let pool = PgPool::connect(database.url()).await.unwrap();
        store::migrate(&pool).await.unwrap();
        let plain = services(&pool, &life, "");
        let strict = services(&pool, &life, policies.path().to_str().unwrap());
        (database, pool, plain, strict)
    });
    let mut runner = TestRunner::new(Runs { cases: 48, failure_persistence: None, ..Runs::default() });
    let cases = (prop::collection::vec(thing(), 1..12), prop::collection::vec(asker(), 1..5));
    let outcome = runner.run(&cases, |(things, askers)| {
        runtime.block_on(async {
            let ids = write(&pool, &things).await;
            for asker in &askers {
                for services in [&plain, &strict] {
                    agree(services, &asker.principal(), &ids).await;
                }
            }
        });
        Ok(())
    });
    runtime.block_on(async {
        life.end().await;
        drop((plain, strict));
        pool.close().await;
        database.drop_it().await;
    });
    outcome.unwrap();
}
