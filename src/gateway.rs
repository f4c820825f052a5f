//! The composition root: configuration in, running gateway out. The only file that knows every part.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use dashmap::DashMap;
use nix::unistd::Uid;
use sqlx::PgPool;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::access::Access;
use crate::access::engine::ProfileIdentity;
use crate::audit::refusals::Refusals;
use crate::audit::seal::Sealer;
use crate::audit::{Audit, Entry, Event};
use crate::config::Config;
use crate::context::driver::{Door, Sink};
use crate::context::launch;
use crate::context::launch::folder::Folder;
use crate::context::launch::launcher::Client;
use crate::context::launch::run_as::{self, RunAs};
use crate::context::launch::start::{self, Starter};
use crate::context::launch::{Admission, Profile, sweep};
use crate::context::reconcile::Reconciler;
use crate::handle::sink::Everything;
use crate::home::{Home, write_private};
use crate::http::listener::{Listener, Manner};
use crate::http::tls::Tls;
use crate::http::{self, Doors, Parts};
use crate::id::GatewayId;
use crate::identity::Principal;
use crate::identity::chain::Chain;
use crate::life::{Life, Signals, Stop, Watch};
use crate::shim::{self, Program};
use crate::store::database::Database;
use crate::store::notify::Notifier;
use crate::telemetry::metrics::Metrics;
use crate::{access, batch, context, handle, session, statement, store};

/// How long a start waits for the database.
const DATABASE_COMES: Duration = Duration::from_secs(60);
/// How long Ctrl-C waits for drivers to end.
const DRIVERS_END: Duration = Duration::from_secs(20);

/// Runs a gateway until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting, with what to do about it.
pub async fn serve(config: Config, attached: bool) -> anyhow::Result<ExitCode> {
    let signals = Signals::listen(config.access.policies.is_empty())?;
    let authenticates = !config.auth.schemes.is_empty();
    check_address(config.http.listen, config.http.tls.is_on(), authenticates)?;
    let (life, watch) = Life::new();
    let launcher = launcher(&config, attached, &life)?;
    let setup = run_as::Setup {
        authenticates,
        has_launcher: launcher.is_some(),
        names_are_people: !config.auth.has_several_tenants() || !config.launch.users.tenants.is_empty(),
    };
    run_as::check(&config.profiles, setup)?;
    let home = Home::open(&config.home)?;
    if launcher.is_some() {
        home.let_through()?;
    }
    let program = Program::current()?;
    let path = crate::config::environment().get("PATH").map(Into::into);
    let database = Database::open(&config.database.url, &config.postgres, path, &home, &program, &life).await?;
    let pool = store::pool(database.address(), config.database.connections);
    let outcome = run(config, &home, &life, (watch, signals), (program, launcher), &pool, database.is_embedded()).await;
    life.end().await;
    pool.close().await;
    database.close().await;
    outcome
}

/// Runs every part on a database until the process is told to stop.
async fn run(
    config: Config,
    home: &Home,
    life: &Life,
    (mut watch, mut signals): (Watch, Signals),
    (program, launcher): (Program, Option<Client>),
    pool: &PgPool,
    own_database: bool,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        waited = await_database(pool) => waited?,
        _ = life.until_stop(&mut watch, &mut signals) => return Ok(ExitCode::SUCCESS),
    }
    if config.database.migrate || own_database {
        migrate(pool).await?;
    }
    let mut db = pool.acquire().await.context("asking for the schema")?;
    store::check_schema(&mut db).await.context("asking for the schema")??;
    drop(db);
    let me = GatewayId::generate();
    let former = succeed(home.path(), me)?;
    let tls = config.http.tls.is_on().then(|| Tls::load(config.http.tls.clone(), home.path())).transpose()?;
    let identity = Chain::new(&config.auth, pool.clone())?;
    let listener =
        Listener::bind(config.http.listen, config.http.limits.clone(), life.clone()).await.with_context(|| {
            format!("listening on {} (http.listen): is another Hearth or Livy running there?", config.http.listen)
        })?;
    let local = listener.local();
    let dialled = dialled(local);
    if let Some(from) = config.http.proxy_protocol_from.iter().find(|network| network.contains(&dialled.ip())) {
        bail!(
            "http.proxy_protocol_from has {from}, from where the drivers of this machine dial, and they do not speak that protocol: let the proxy \
             come by another address, such as 127.0.0.2 (HAProxy: `source 127.0.0.2`; nginx: `proxy_bind 127.0.0.2`)"
        );
    }
    let others = Notifier::new(pool.clone(), life);
    let access = Access::new(
        pool.clone(),
        config.access.clone(),
        identities(&config.profiles),
        others.clone(),
        Audit::new(me, &config.audit),
    )
    .context("reading the policies (access.policies)")?;
    access::reload::warn_of_odd(&access);
    let host = home.host(&host_name()).context("reading the name of this machine from the state folder")?;
    let me_there = Principal::local();
    let started = Entry::done(Event::GatewayStarted, &me_there).on("gateway", me).with(format!("on {host} at {local}"));
    access.note(started).await.context("writing the audit")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let contexts = context::service::Service::new(
        pool.clone(),
        launch::Site { gateway: me, host, launches: Folder::all(&config.home), stopping: life.stopping() },
        config.profiles.clone(),
        config.launch.clone(),
        Admission { authenticates: identity.is_on(), users: config.launch.users.clone(), launcher: launcher.clone() },
        others,
        access.clone(),
    );
    let sessions = session::service::Service::new(contexts.clone(), config.session.clone());
    let metrics = Arc::new(Metrics::default());
    let statements = statement::service::Service::new(sessions.clone(), metrics.clone(), life.clone());
    let batches = batch::service::Service::new(contexts.clone(), config.session.retain);
    let handles = handle::service::Service::new(sessions.clone(), config.http.limits.stalled_reader.0);
    let sink: Arc<dyn Sink> = Arc::new(Everything::new(handles.clone(), Arc::new(statements.clone())));
    let orphan = config.launch.orphan_timeout.0;
    let door =
        Door::new(pool.clone(), contexts.links().clone(), sink.clone(), life.clone(), me, metrics.clone(), orphan);
    let starter = Starter::new(start::Parts {
        program,
        home: config.home.clone(),
        cache: config.cache.clone(),
        environment: crate::config::environment(),
        config: config.launch.clone(),
        gateways: format!("{scheme}://{dialled}"),
        certificate: tls.as_ref().map(|tls| tls.driver_fingerprint()),
        launcher,
        life: life.clone(),
        found: DashMap::new(),
    });
    let (prepare, stopping) = (starter.clone().prepare(config.profiles.clone()), life.stopping());
    life.spawn_short("agent build", async move {
        tokio::select! {
            () = prepare => {}
            () = stopping.cancelled() => {}
        }
    });
    let drivers = service_accounts(&config.profiles);
    life.spawn("batches", batch::reconcile::Reconciler::new(batches.clone(), starter.clone(), life.clone()).run());
    let reconciler = Reconciler::new(contexts.clone(), sink, starter.clone(), life.clone(), former);
    life.spawn("contexts", reconciler.run());
    let (links, told) = (contexts.links().clone(), access.clone());
    life.spawn(
        "notifications",
        store::notify::listen(pool.clone(), life.clone(), move |id| {
            told.forget(id);
            links.look(id.map(Into::into));
        }),
    );
    life.spawn("decisions", access::sample::run(access.clone(), pool.clone(), life.clone()));
    life.spawn("policies", access::reload::run(access, life.clone()));
    let keep = config.launch.keep_folders.0;
    life.spawn("sweep", sweep::run(pool.clone(), starter.clone(), keep, life.clone()));
    life.spawn("audit", Sealer::new(pool.clone(), me, home.path())?.run(life.clone()));
    let refusals = Refusals::new(pool.clone(), *contexts.access().audit());
    life.spawn("refusals", refusals.clone().run(life.clone()));
    life.spawn("clocks", session::expire::run(sessions.clone(), life.clone()));
    life.spawn("handle reads", handle::reads::run(handles.clone(), life.clone()));
    life.spawn("handle clocks", handle::expire::run(handles.clone(), life.clone()));
    let doors = Doors::new(Parts {
        identity: identity.clone(),
        refusals,
        forwarders: config.http.forwarded_for_from.clone(),
        names: config.http.names.clone(),
        contexts: contexts.clone(),
        sessions,
        statements,
        handles: handles.clone(),
        batches: batches.clone(),
        metrics,
        life: life.clone(),
        door,
        limits: config.http.limits.clone(),
        csrf_protection: config.http.csrf_protection,
    });
    if let Some(tls) = &tls {
        life.spawn("certificate", tls.clone().watch(life.clone()));
    }
    let manner = Manner {
        prefix: config.http.prefix.trim_end_matches('/').into(),
        tls,
        local_users: (!identity.is_on()).then_some(drivers),
        proxy_protocol: config.http.proxy_protocol_from.clone().into(),
    };
    life.spawn("listener", listener.serve(http::router(doors), manner));
    announce(&format!("{scheme}://{local}"));
    let stop = life.until_stop(&mut watch, &mut signals).await;
    if stop == Stop::Shut {
        end_drivers(&contexts, &batches).await;
    }
    Ok(if stop == Stop::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Waits for a database that is still away, as after the start of a machine.
async fn await_database(pool: &PgPool) -> anyhow::Result<()> {
    let end = Instant::now() + DATABASE_COMES;
    loop {
        match store::ask(pool).await {
            Err(store::Error::Away(e)) if Instant::now() < end => {
                warn!(error = %e, "The database does not answer yet: Hearth waits for it");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(store::Error::Away(e)) => return Err(e).context("the database (database.url) does not answer"),
            // Such as one without the right to come in: to wait changes nothing.
            other => return other.context("the database (database.url)"),
        }
    }
}

/// The launcher, where there is one. The gateway does not go on without the one that was started with it.
fn launcher(config: &Config, attached: bool, life: &Life) -> anyhow::Result<Option<Client>> {
    if attached {
        let (client, carry) = Client::attached().context("the launcher that was started with this gateway")?;
        life.spawn("launcher", carry);
        return Ok(Some(client));
    }
    if Uid::effective().is_root() {
        warn!("Hearth runs as root: set launch.gateway_user to the OS user that it is to become");
    }
    Ok(Some(&config.launch.launcher).filter(|socket| !socket.is_empty()).map(Client::at))
}

/// The OS users that profiles name.
fn service_accounts(profiles: &BTreeMap<String, Profile>) -> Vec<Uid> {
    let names = profiles.values().filter_map(|profile| match &profile.run_as {
        RunAs::Service(name) => Some(name),
        RunAs::User | RunAs::Gateway => None,
    });
    names.filter_map(|name| shim::user(name).ok()).map(|user| user.uid).collect()
}

/// Whose identity code of each profile has, and whether its owner may share it.
pub(crate) fn identities(profiles: &BTreeMap<String, Profile>) -> BTreeMap<String, ProfileIdentity> {
    let identity = |profile: &Profile| ProfileIdentity {
        service: match &profile.run_as {
            RunAs::Service(name) => Some(name.clone()),
            RunAs::User | RunAs::Gateway => None,
        },
        may_share: profile.share_identity,
    };
    profiles.iter().map(|(name, profile)| (name.clone(), identity(profile))).collect()
}

/// Takes the state folder over from the gateway that had it before: says who that was, and writes down who has it now.
fn succeed(home: &Path, me: GatewayId) -> anyhow::Result<Option<GatewayId>> {
    let file = home.join("gateway");
    let former = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    write_private(&file, me.to_string().as_bytes()).with_context(|| format!("writing {}", file.display()))?;
    Ok(former)
}

/// Anything but loopback needs both TLS and a scheme.
///
/// # Errors
/// When others could reach the address and do as they like, or read along.
pub fn check_address(address: SocketAddr, has_tls: bool, has_scheme: bool) -> anyhow::Result<()> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let lacks = match (has_tls, has_scheme) {
        (true, true) => return Ok(()),
        (false, false) => {
            "there is neither TLS nor an authentication scheme: everybody could run code as you. Set http.tls and auth.schemes"
        }
        (true, false) => "there is no authentication scheme: everybody could run code as you. Set auth.schemes",
        (false, true) => "there is no TLS: everybody between could read passwords and results. Set http.tls",
    };
    bail!("http.listen is {address}, which others can reach, but {lacks}, or listen on 127.0.0.1 or [::1]")
}

/// Where the drivers of this machine reach a socket that is bound to an address: all addresses are no address.
fn dialled(mut local: SocketAddr) -> SocketAddr {
    match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => local.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => local.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    local
}

/// The name of this host.
pub(crate) fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "localhost".to_owned(), |n| n.to_string_lossy().into_owned())
}

#[expect(clippy::print_stdout, reason = "what the person who started Hearth is to read")]
fn announce(url: &str) {
    println!(
        "Try it:\n  curl -s -X POST {url}/sessions -H 'Content-Type: application/json' -d '{{\"kind\":\"pyspark\"}}'"
    );
    println!("Hearth is ready at {url}");
}

/// Ends every driver of this host, as Ctrl-C promises, and lets nothing new begin.
async fn end_drivers(contexts: &context::service::Service, batches: &batch::service::Service) {
    let ended = tokio::time::timeout(DRIVERS_END, async {
        const CAUSE: &str = "Hearth was stopped (Ctrl-C)";
        contexts.refuse_new();
        // Again each time, and once more when none is left: what was being created when this began commits meanwhile.
        let mut quiet = 0;
        let ask = async || -> Result<usize, batch::Error> {
            contexts.stop_all(CAUSE).await?;
            batches.stop_all(CAUSE).await?;
            Ok(contexts.count_living().await? + batches.count_living().await?)
        };
        while quiet < 2 {
            match ask().await {
                Ok(0) => quiet += 1,
                Ok(_) => quiet = 0,
                Err(e) => warn!(error = %e, "Cannot tell the drivers to end now"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    match ended.await {
        Ok(()) => info!("Every driver has ended"),
        Err(_) => warn!("Some drivers did not end in time"),
    }
}

/// Brings the schema up to date.
///
/// # Errors
/// When the database is away or a migration fails.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    store::migrate(pool).await.context("bringing the schema up to date")
}
