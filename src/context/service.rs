//! Use cases of contexts: create, find, list, read the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::driver::wire::ContextState;
use super::driver::{Links, Signal};
use super::launch::files::Local;
use super::launch::resources::Resources;
use super::launch::{self, Admission, Admitted, Profile};
use super::live::Live;
use super::log::{self, LogPage, Wanted};
use super::{Context, Error, NewContext, Share, State, application, is_name, store};
use crate::access::grant::Level;
use crate::access::resource::{Kind, ProfileName};
use crate::access::{Access, Action, Allowed, CreateContext, View};
use crate::audit::{Entry, Event};
use crate::id::{ContextId, GatewayId};
use crate::identity::Principal;
use crate::store::notify::Notifier;
use crate::store::{Page, Range, idempotency};
use crate::time::Span;

/// The name of the profile that is taken when none is asked for.
pub const DEFAULT_PROFILE: &str = "default";

/// How often a wait looks at the row.
const LOOK: Duration = Duration::from_millis(200);

/// How a new context is found, and how long it lives.
#[derive(Debug, Default)]
pub struct Place {
    /// Its name.
    pub name: Option<String>,
    /// Whether it lives on after its last session.
    pub outlives_sessions: bool,
    /// Whose sessions find it without naming it.
    pub share: Share,
    /// Time without work after which it ends; without it what the profile says.
    pub idle: Option<Span>,
}

/// Use cases of contexts. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Parts>);

struct Parts {
    pool: PgPool,
    site: launch::Site,
    profiles: BTreeMap<String, Profile>,
    launch: launch::Config,
    admission: Admission,
    links: Links,
    live: Live,
    wake: Notify,
    others: Notifier,
    /// Whether nothing new may begin: the gateway stops, and its drivers with it.
    refuses_new: AtomicBool,
    access: Access,
}

impl Service {
    /// The contexts of one gateway.
    #[must_use]
    pub fn new(
        pool: PgPool,
        site: launch::Site,
        profiles: BTreeMap<String, Profile>,
        launch: launch::Config,
        admission: Admission,
        others: Notifier,
        access: Access,
    ) -> Self {
        let (links, live, wake) = (Links::default(), Live::default(), Notify::new());
        let refuses_new = AtomicBool::new(false);
        Self(Arc::new(Parts {
            pool,
            site,
            profiles,
            launch,
            admission,
            links,
            live,
            wake,
            others,
            access,
            refuses_new,
        }))
    }

    /// Tells the context's link something, or, when another gateway holds it, tells that one to look at the rows.
    pub fn signal(&self, context: ContextId, signal: Signal) {
        if !self.0.links.tell(context, signal) {
            self.0.others.tell(context.0);
        }
    }

    /// The links held here.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.0.links
    }

    /// What decides who may do what.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// The contexts held here.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.0.live
    }

    /// This gateway.
    #[must_use]
    pub fn me(&self) -> GatewayId {
        self.0.site.gateway
    }

    /// The name of this host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.site.host
    }

    /// What decides about requests before they stand in line.
    pub(super) fn admission(&self) -> &Admission {
        &self.0.admission
    }

    /// Where the launch folders of this gateway lie.
    #[must_use]
    pub fn launches(&self) -> &Path {
        &self.0.site.launches
    }

    /// The section `launch`.
    #[must_use]
    pub fn launch_config(&self) -> &launch::Config {
        &self.0.launch
    }

    /// The database.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// Wakes the reconciler: rows have changed.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Waits until [`Service::wake`] is called.
    pub async fn woken(&self) {
        self.0.wake.notified().await;
    }

    /// A profile by name.
    ///
    /// # Errors
    /// [`Error::NoProfile`], which names those there are.
    pub fn profile(&self, name: &str) -> Result<&Profile, Error> {
        self.0.profiles.get(name).ok_or_else(|| Error::NoProfile {
            name: name.chars().take(80).collect(),
            known: self.0.profiles.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// The profiles by name.
    #[must_use]
    pub fn profiles(&self) -> &BTreeMap<String, Profile> {
        &self.0.profiles
    }

    /// Creates a context, in line for its launch, or begins the one anew that had the name and holds durable handles.
    ///
    /// # Errors
    /// A bad name, profile or request, a taken name, a full line, the database.
    pub async fn create(
        &self,
        who: &Principal,
        new: NewContext,
        key: Option<&idempotency::Key>,
    ) -> Result<Context, Error> {
        let NewContext { name, profile, outlives_sessions, idle, request } = new;
        let profile = self.choose::<CreateContext>(who, profile.as_deref()).await?;
        // Looked at before the transaction, and told after the key: what was made once is made, whatever became of its files.
        let admitted = self.may_ask(who, &profile, request, Vec::new()).await;
        let mut tx = self.0.pool.begin().await?;
        let id = ContextId::generate();
        if let Some(key) = key
            && let Some(made) = idempotency::claim(&mut tx, key, &id.to_string()).await?
        {
            let made = made.parse().map_err(|_| Error::Inconsistent(id))?;
            return store::load_context(&mut tx, made).await?.ok_or(Error::Inconsistent(id));
        }
        let place = Place { name, outlives_sessions, share: Share::Session, idle };
        let context = self.insert(&mut tx, who, id, place, admitted?).await?;
        if let Some(key) = key.filter(|_| context.id != id) {
            idempotency::name(&mut tx, key, &context.id.to_string()).await?;
        }
        tx.commit().await?;
        let _kept = self.0.live.keep(context.id);
        self.wake();
        Ok(context)
    }

    /// Decides whether `who` may make something of the profile asked for, else of the default one.
    ///
    /// # Errors
    /// Denied.
    pub async fn choose<A: Action>(
        &self,
        who: &Principal,
        asked: Option<&str>,
    ) -> Result<Allowed<A, ProfileName>, Error> {
        let name = asked.unwrap_or(DEFAULT_PROFILE);
        let profile = self.0.access.require(who, ProfileName(name.to_owned())).await;
        profile.map_err(|r| Error::refused(r, name))
    }

    /// Writes a new context in the caller's transaction, or one that begins anew. After its commit the caller keeps the context ([`Live::keep`]) and wakes the
    /// reconciler.
    ///
    /// # Errors
    /// As [`Service::create`].
    pub async fn insert(
        &self,
        db: &mut PgConnection,
        who: &Principal,
        id: ContextId,
        Place { name, outlives_sessions, share, idle }: Place,
        Admitted { profile, resources, run_as, by }: Admitted,
    ) -> Result<Context, Error> {
        if let Some(name) = name.as_ref().filter(|n| !is_name(n)) {
            return Err(Error::BadName(name.chars().take(140).collect()));
        }
        self.admit(db, &profile).await?;
        let idle = idle.unwrap_or(self.profile(&profile)?.context_idle_timeout);
        let context = Context {
            id,
            tenant: who.tenant.to_string(),
            owner: share.owner(who, &run_as),
            via: who.via.as_ref().filter(|_| !share.is_of_several()).map(ToString::to_string),
            run_as,
            name,
            profile,
            outlives_sessions,
            share,
            idle: if outlives_sessions { idle } else { Span::default() },
            state: State::Waiting,
            cause: None,
            ended_by: None,
            request: resources,
            host: self.0.site.host.clone(),
            epoch: 0,
            held_by: Some(self.0.site.gateway),
            created_at: crate::time::now(),
            ready_at: None,
            ended_at: None,
            application: None,
        };
        if let Some(again) = self.anew(db, who, &context).await? {
            return Ok(again);
        }
        store::insert_context(db, &context).await.map_err(|e| Error::taken(e, &context))?;
        let entry = Entry::done(Event::ContextCreated, who).by(&by).on("context", id);
        self.0.access.audit().record(db, entry.with(format!("runs as {}", context.run_as))).await?;
        if let Some(to) = context.share.grantee() {
            self.0.access.grant_at_creation(db, who, &context, Level::Attach, to).await?;
        }
        Ok(context)
    }

    /// Decides whether `who` may ask this of a profile, and as whom it will run. `more` are files that are named elsewhere.
    ///
    /// # Errors
    /// No such profile, nobody to run as, something that a request may not have.
    pub async fn may_ask<A>(
        &self,
        who: &Principal,
        profile: &Allowed<A, ProfileName>,
        resources: Resources,
        more: Vec<Local>,
    ) -> Result<Admitted, Error> {
        let name = profile.0.as_str();
        let admitted = self.0.admission.admit((name, self.profile(name)?), who, resources, more).await?;
        Ok(Admitted { by: profile.policies().to_vec(), ..admitted })
    }

    /// Cancelled when the gateway stops.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.site.stopping
    }

    /// Refuses every launch from now on.
    pub fn refuse_new(&self) {
        self.0.refuses_new.store(true, Ordering::Relaxed);
    }

    /// Decides whether one more launch of this profile may stand in line. The line stays as it is for others until the transaction
    /// ends, so nothing that takes long may follow in it.
    ///
    /// # Errors
    /// No such profile, a full line, a gateway that stops, the database.
    pub async fn admit(&self, db: &mut PgConnection, profile: &str) -> Result<(), Error> {
        self.profile(profile)?;
        if self.0.refuses_new.load(Ordering::Relaxed) {
            return Err(Error::Stopping);
        }
        let waiting = launch::line::lock_end(db, &self.0.site.host, &self.0.site.launches).await?;
        if usize::try_from(waiting).unwrap_or(usize::MAX) >= self.0.launch.queue {
            return Err(Error::LineFull(waiting));
        }
        Ok(())
    }

    /// Counts what has not ended on this host.
    ///
    /// # Errors
    /// The database's.
    pub async fn census(&self) -> Result<Vec<launch::line::Counted>, Error> {
        let mut db = self.0.pool.acquire().await?;
        Ok(launch::line::census(&mut db, &self.0.site.host).await?)
    }

    /// Finds a context by id, or by name (a living one, else the newest), and decides whether `who` may do `A` to it.
    ///
    /// # Errors
    /// Not found, denied, the database.
    pub async fn open<A: Action>(&self, who: &Principal, called: &str) -> Result<Allowed<A, Context>, Error> {
        let id = self.locate(who, called).await?;
        let mut db = self.0.pool.acquire().await?;
        let not_found = || Error::NotFound(called.chars().take(140).collect());
        let context = match id {
            Some(id) => store::load_context(&mut db, id).await?.ok_or_else(not_found)?,
            None => return Err(not_found()),
        };
        drop(db);
        self.0.access.require(who, context).await.map_err(|r| Error::refused(r, called))
    }

    /// The id of a context, by id, or by name in the caller's tenant: a living one, else the newest. Nothing is decided.
    ///
    /// # Errors
    /// The database's.
    pub async fn locate(&self, who: &Principal, called: &str) -> Result<Option<ContextId>, Error> {
        match called.parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => {
                let mut db = self.0.pool.acquire().await?;
                store::find_by_name(&mut db, &who.tenant, called).await
            }
        }
    }

    /// Those of the contexts that there are. Nothing is decided.
    ///
    /// # Errors
    /// The database's.
    pub async fn some(&self, ids: Vec<Uuid>) -> Result<Vec<Context>, Error> {
        let mut db = self.0.pool.acquire().await?;
        store::load_contexts(&mut db, &ids).await
    }

    /// The contexts that the caller may see, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self, who: &Principal, range: Range) -> Result<Page<Context>, Error> {
        let reach = self.0.access.reach(who, Kind::Context).await?;
        let reach = &reach;
        let fetch = |range| async move {
            let mut db = self.0.pool.acquire().await?;
            store::list_contexts(&mut db, who, reach, range).await
        };
        self.0.access.page(who, range, fetch).await
    }

    /// Waits until `done` holds of the context, the time is over, or the gateway stops; gives the last row either way.
    ///
    /// # Errors
    /// The database's.
    pub async fn wait(
        &self,
        id: ContextId,
        limit: Duration,
        done: impl Fn(&Context) -> bool,
    ) -> Result<Option<Context>, Error> {
        let until = Instant::now() + limit;
        loop {
            let mut db = self.0.pool.acquire().await?;
            let context = store::load_context(&mut db, id).await?;
            drop(db);
            if context.as_ref().is_none_or(&done) || Instant::now() >= until || self.0.site.stopping.is_cancelled() {
                return Ok(context);
            }
            let pause = tokio::time::sleep_until(until.min(Instant::now() + LOOK));
            let _ = self.0.site.stopping.run_until_cancelled(pause).await;
        }
    }

    /// A page of the context's log.
    ///
    /// # Errors
    /// The database's.
    pub async fn log(&self, context: &Allowed<View, Context>, wanted: Wanted) -> Result<LogPage, Error> {
        self.0.access.note_read(context).await?;
        self.log_by_id(context.id, wanted).await
    }

    /// As [`Service::log`], for a session whose log it is.
    ///
    /// # Errors
    /// The database's.
    pub async fn log_by_id(&self, id: ContextId, wanted: Wanted) -> Result<LogPage, Error> {
        let mut db = self.0.pool.acquire().await?;
        let Some(application) = store::load_context(&mut db, id).await?.and_then(|c| c.application) else {
            return Ok(LogPage::default());
        };
        Ok(log::read(&mut db, application.id.0, wanted).await?)
    }
}

impl Service {
    /// Takes what an agent says of its application, in the transaction of its link.
    ///
    /// # Errors
    /// The database's.
    pub async fn heard(&self, db: &mut PgConnection, id: ContextId, said: &ContextState) -> Result<(), sqlx::Error> {
        // Whoever holds the token could say this; it is shown to people.
        let app_id = said.app_id.as_ref().filter(|a| a.len() <= 200 && !a.chars().any(char::is_control));
        let is_link = |u: &&String| u.len() <= 500 && (u.starts_with("http://") || u.starts_with("https://"));
        let ui_url = said.ui_url.as_ref().filter(is_link);
        if let Some(live) = self.0.live.get(id) {
            live.learn(|f| {
                if let Some(app_id) = app_id {
                    f.app_id = Some(app_id.clone());
                }
                if let Some(ui_url) = ui_url {
                    f.ui_url = Some(ui_url.clone());
                }
                if said.state != "ready" {
                    f.last_words = said.reason.as_ref().map(|r| r.chars().take(2000).collect());
                }
            });
        }
        if let Some(application) = application::newest_application(db, id).await? {
            application::set_application_facts(db, application, app_id.map(String::as_str), ui_url.map(String::as_str))
                .await?;
        }
        if said.state == "ready" && store::move_state(db, id, State::Starting, State::Ready).await? {
            self.wake();
        }
        Ok(())
    }
}
