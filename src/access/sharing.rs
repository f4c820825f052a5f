//! Gives grants, lists them, takes them back.

use sqlx::PgConnection;

use super::grant::{Error, Grant, Level, MOST, NewGrant};
use super::resource::{self, Facts, Kind, Owned, Shareable};
use super::role::Subject;
use super::{Access, Allowed, Share, ViewGrants, store};
use crate::audit::{Entry, Event};
use crate::id::GrantId;
use crate::identity::Principal;
use crate::store::{Page, Range, constraint, idempotency};

impl Access {
    /// Grants something on a thing. A grantee has one grant on a thing at most: a new one takes the place of the old.
    ///
    /// # Errors
    /// A grantee that cannot be one, a moment that is over, an identity that must not or was not meant to be shared, the database.
    pub async fn grant<R: Shareable>(
        &self,
        who: &Principal,
        on: &Allowed<Share, R>,
        new: NewGrant,
        key: Option<&idempotency::Key>,
    ) -> Result<Grant, Error> {
        let owned = &on.owned();
        self.check(who, owned, &new)?;
        let id = GrantId::generate();
        let mut tx = self.pool().begin().await?;
        if let Some(key) = key
            && let Some(made) = idempotency::claim(&mut tx, key, &id.to_string()).await?
        {
            let made = made.parse().map_err(|_| Error::Inconsistent(id))?;
            return store::load_grant(&mut tx, made).await?.ok_or(Error::Inconsistent(made));
        }
        store::revoke_grant_of(&mut tx, who, owned, &new.to).await?;
        if store::count_grants(&mut tx, owned).await? >= MOST {
            return Err(Error::TooMany);
        }
        store::insert_grant(&mut tx, who, id, owned, &new).await.map_err(|e| match constraint(&e) {
            Some("access_grant_one_per_grantee") => Error::Raced(new.to.clone()),
            _ => e.into(),
        })?;
        let grant = store::load_grant(&mut tx, id).await?.ok_or(Error::Inconsistent(id))?;
        let told = format!("{} to {}, grant {id}", new.level.as_str(), new.to);
        self.audit().record(&mut tx, on.entry(Event::GrantCreated).with(told)).await?;
        tx.commit().await?;
        self.changed(owned.id);
        Ok(grant)
    }

    /// Grants something on a thing that `who` has just made for several people, in the transaction in which it is made.
    ///
    /// # Errors
    /// The database's.
    pub async fn grant_at_creation<R: Shareable>(
        &self,
        db: &mut PgConnection,
        who: &Principal,
        on: &R,
        level: Level,
        to: Subject,
    ) -> Result<(), crate::store::Error> {
        let (owned, id) = (on.owned(), GrantId::generate());
        let told = format!("{} to {to}, grant {id}, as its profile says", level.as_str());
        let new = NewGrant { level, to, expires_at: None, confirm_identity: false };
        store::insert_grant(db, who, id, &owned, &new).await?;
        let entry = Entry::done(Event::GrantCreated, who).with(told);
        self.audit().record(db, resource::tell(entry, &Facts::Owned(owned.clone()))).await?;
        Ok(())
    }

    fn check(&self, who: &Principal, on: &Owned<'_>, new: &NewGrant) -> Result<(), Error> {
        if new.to == Subject::User(on.owner.to_string()) && !on.is_in_anothers() {
            return Err(Error::Owner(on.owner.to_string()));
        }
        if new.expires_at.is_some_and(|at| at <= crate::time::now()) {
            return Err(Error::Expired);
        }
        if on.kind == Kind::Batch && new.level == Level::Attach {
            return Err(Error::Batch);
        }
        if !Level::of(on.kind).contains(&new.level) {
            return Err(Error::NoSuchLevel { level: new.level, kind: on.kind });
        }
        let identity = self.identity_of(on);
        let shares_identity = new.level == Level::Attach || new.confirm_identity;
        if matches!(on.kind, Kind::Batch | Kind::Handle) || !identity.is_person || !shares_identity {
            return Ok(());
        }
        if !identity.may_share {
            return Err(Error::NotShareable { run_as: on.run_as.to_string(), profile: on.profile.to_string() });
        }
        if *on.owner != *who.user || *on.tenant != *who.tenant {
            return Err(Error::NotTheOwner(on.run_as.to_string()));
        }
        if !new.confirm_identity {
            return Err(Error::Unconfirmed(on.run_as.to_string()));
        }
        Ok(())
    }

    /// A page of the grants in force on a thing, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn grants<R: Shareable>(&self, on: &Allowed<ViewGrants, R>, range: Range) -> Result<Page<Grant>, Error> {
        let mut db = self.pool().acquire().await?;
        store::list_grants(&mut db, &on.owned(), range).await
    }

    /// Takes a grant on a thing back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such grant on it, or it was revoked before; the database's.
    pub async fn revoke<R: Shareable>(
        &self,
        who: &Principal,
        on: &Allowed<Share, R>,
        id: GrantId,
    ) -> Result<Grant, Error> {
        let owned = &on.owned();
        let mut tx = self.pool().begin().await?;
        if !store::revoke_grant(&mut tx, who, owned, id).await? {
            return Err(Error::NotFound(id));
        }
        let grant = store::load_grant(&mut tx, id).await?.ok_or(Error::Inconsistent(id))?;
        self.audit().record(&mut tx, on.entry(Event::GrantRevoked).with(format!("grant {id}"))).await?;
        tx.commit().await?;
        self.changed(owned.id);
        Ok(grant)
    }
}
