//! Tells contexts to end: one by somebody, one that nobody needs, all that this gateway holds; lets one go to another gateway.

use sqlx::PgConnection;

use super::service::Service;
use super::{Context, Ending, Error, lease, store};
use crate::access::{Allowed, Manage};
use crate::audit::Event;
use crate::id::ContextId;

impl Service {
    /// Tells a context to end; its sessions end with it. `how` is a participle, such as "deleted". Does nothing to one that is over or
    /// ending, but to one that begins again.
    ///
    /// # Errors
    /// The database's.
    pub async fn stop(&self, context: &Allowed<Manage, Context>, how: &str) -> Result<(), Error> {
        let mut tx = self.pool().begin().await?;
        if store::mark_ending(&mut tx, context.id, &Ending::person(how, context.who())).await? {
            self.access().audit().record(&mut tx, context.entry(Event::ContextStopped)).await?;
            tx.commit().await?;
            self.wake();
        }
        Ok(())
    }

    /// As [`Service::stop`], where nobody asks: a launch has failed.
    ///
    /// # Errors
    /// The database's.
    pub async fn stop_by_id(&self, id: ContextId, cause: &str) -> Result<(), Error> {
        let mut db = self.pool().acquire().await?;
        if store::mark_stopping(&mut db, id, &Ending::itself(cause)).await? {
            self.wake();
        }
        Ok(())
    }

    /// Tells a context to end that was made for one session, when that has ended; the caller wakes the reconciler after its commit.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_if_deserted(
        &self,
        db: &mut PgConnection,
        id: ContextId,
        ending: &Ending,
    ) -> Result<bool, sqlx::Error> {
        Ok(store::is_deserted(db, id).await? && store::mark_stopping(db, id, ending).await?)
    }

    /// Tells every living context that this gateway holds to end.
    ///
    /// # Errors
    /// The database's.
    pub async fn stop_all(&self, cause: &str) -> Result<(), Error> {
        let (ending, mut db) = (Ending::itself(cause), self.pool().acquire().await?);
        for context in self.held(&mut db).await? {
            store::mark_ending(&mut db, context.id, &ending).await?;
        }
        self.wake();
        Ok(())
    }

    /// How many living contexts this gateway holds.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_living(&self) -> Result<usize, Error> {
        let mut db = self.pool().acquire().await?;
        Ok(self.held(&mut db).await?.len())
    }

    /// Leaves a context that was made or begun anew here to the gateway of its host: this process is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn let_go(&self, id: ContextId) -> Result<(), Error> {
        let mut db = self.pool().acquire().await?;
        Ok(lease::let_go(&mut db, id, self.me()).await?)
    }

    async fn held(&self, db: &mut PgConnection) -> Result<Vec<Context>, Error> {
        let mut living = store::living_on(db, self.host()).await?;
        living.retain(|c| c.held_by == Some(self.me()));
        Ok(living)
    }
}
