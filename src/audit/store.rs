//! Rows of the audit.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Entry;
use super::chain::{Hash, Written};
use super::key::Signed;
use crate::id::GatewayId;
use crate::time::Timestamp;

/// An entry as its row has it.
#[derive(Debug)]
pub struct Columns {
    /// The incarnation of the gateway that writes it.
    pub gateway: GatewayId,
    /// The event's word.
    pub event: &'static str,
    /// `done` or `refused`.
    pub outcome: &'static str,
    /// In which tenant.
    pub tenant: String,
    /// Whose credential it was.
    pub actor: String,
    /// For whom they acted.
    pub on_behalf_of: Option<String>,
    /// By which scheme.
    pub scheme: &'static str,
    /// From where.
    pub address: Option<String>,
    /// By which request.
    pub request: Option<String>,
    /// To what it was done.
    pub resource_kind: Option<&'static str>,
    /// The id of that.
    pub resource_id: Option<String>,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// What else is worth knowing.
    pub detail: Option<String>,
}

impl Columns {
    pub(super) fn of(gateway: GatewayId, entry: Entry<'_>) -> Self {
        let who = entry.who;
        let (actor, on_behalf_of) = match &who.via {
            Some(proxy) => (proxy.to_string(), Some(who.user.to_string())),
            None => (who.user.to_string(), None),
        };
        let (resource_kind, resource_id) = entry.on.unzip();
        Self {
            gateway,
            event: entry.event.as_str(),
            outcome: if entry.refused { "refused" } else { "done" },
            tenant: who.tenant.to_string(),
            actor,
            on_behalf_of,
            scheme: who.scheme.as_str(),
            address: who.origin.address.map(|address| address.to_string()),
            request: who.origin.request.as_deref().map(str::to_owned),
            resource_kind,
            resource_id,
            policies: entry.policies.to_vec(),
            detail: entry.detail,
        }
    }
}

/// Writes an event.
pub async fn insert(db: &mut PgConnection, row: &Columns) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into audit_event (gateway, event, outcome, tenant, actor, on_behalf_of, scheme, address, request,
                                  resource_kind, resource_id, policies, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        row.gateway.0,
        row.event,
        row.outcome,
        row.tenant,
        row.actor,
        row.on_behalf_of,
        row.scheme,
        row.address,
        row.request,
        row.resource_kind,
        row.resource_id,
        &row.policies,
        row.detail
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Events that have no place in a chain: this incarnation's, and those of incarnations that have been silent for a while, oldest first.
pub async fn unsealed(db: &mut PgConnection, gateway: GatewayId, most: i64) -> Result<Vec<Written>, sqlx::Error> {
    sqlx::query_as!(
        Written,
        "select e.event_id, e.at, e.gateway, e.event, e.outcome, e.tenant, e.actor, e.on_behalf_of, e.scheme, e.address,
                e.request, e.resource_kind, e.resource_id, e.policies, e.detail
         from audit_event e
         where not exists (select 1 from audit_seal s where s.event_id = e.event_id)
           and (e.gateway = $1 or e.at < now() - interval '1 minute')
         order by e.event_id limit $2",
        gateway.0,
        most
    )
    .fetch_all(db)
    .await
}

/// The last link of a chain, or where its pruned part ended.
pub async fn last_link(db: &mut PgConnection, gateway: Uuid) -> Result<Option<(i64, Hash)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select place as "place!", hash as "hash!" from (
               (select place, hash from audit_seal where gateway = $1 order by place desc limit 1)
               union all
               (select place, hash from audit_checkpoint where gateway = $1 order by place desc limit 1)) as links
           order by place desc limit 1"#,
        gateway
    )
    .fetch_optional(db)
    .await?;
    Ok(row.and_then(|row| Some((row.place, row.hash.try_into().ok()?))))
}

/// Gives events their places.
pub async fn seal(
    db: &mut PgConnection,
    gateway: GatewayId,
    places: &[i64],
    events: &[i64],
    hashes: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into audit_seal (gateway, place, event_id, hash)
         select $1, place, event_id, hash from unnest($2::bigint[], $3::bigint[], $4::bytea[]) as links (place, event_id, hash)",
        gateway.0,
        places,
        events,
        hashes
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes the signed head of a chain.
pub async fn put_head(db: &mut PgConnection, head: &Signed) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into audit_head (gateway, place, hash, public_key, signature) values ($1, $2, $3, $4, $5)
         on conflict (gateway) do update
         set place = excluded.place, hash = excluded.hash, public_key = excluded.public_key,
             signature = excluded.signature, signed_at = now()",
        head.gateway,
        head.place,
        head.hash.as_slice(),
        head.public_key,
        head.signature
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A signed row.
struct Row {
    gateway: Uuid,
    place: i64,
    hash: Vec<u8>,
    public_key: Vec<u8>,
    signature: Vec<u8>,
}

impl From<Row> for Signed {
    fn from(row: Row) -> Self {
        let Row { gateway, place, hash, public_key, signature } = row;
        Self { gateway, place, hash: hash.try_into().unwrap_or_default(), public_key, signature }
    }
}

/// The signed heads of every chain.
pub async fn heads(pool: &PgPool) -> Result<Vec<Signed>, sqlx::Error> {
    let rows =
        sqlx::query_as!(Row, "select gateway, place, hash, public_key, signature from audit_head order by gateway");
    Ok(rows.fetch_all(pool).await?.into_iter().map(Signed::from).collect())
}

/// Where each chain begins that was pruned: the newest of its checkpoints.
pub async fn checkpoints(pool: &PgPool) -> Result<Vec<Signed>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "select distinct on (gateway) gateway, place, hash, public_key, signature from audit_checkpoint
         order by gateway, place desc"
    );
    Ok(rows.fetch_all(pool).await?.into_iter().map(Signed::from).collect())
}

/// Every chain.
pub async fn chains(pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(r#"select distinct gateway as "gateway!" from audit_seal order by 1"#).fetch_all(pool).await
}

/// A link: its place, its hash, and its event unless that is gone.
pub struct Link {
    /// The place.
    pub place: i64,
    /// The hash as it stands there.
    pub hash: Vec<u8>,
    /// The event.
    pub event: Option<Written>,
}

/// Links of a chain from a place on.
pub async fn links(pool: &PgPool, gateway: Uuid, after: i64, most: i64) -> Result<Vec<Link>, sqlx::Error> {
    let seals = sqlx::query!(
        "select place, event_id, hash from audit_seal where gateway = $1 and place > $2 order by place limit $3",
        gateway,
        after,
        most
    )
    .fetch_all(pool)
    .await?;
    let ids: Vec<i64> = seals.iter().map(|seal| seal.event_id).collect();
    let events = sqlx::query_as!(
        Written,
        "select event_id, at, gateway, event, outcome, tenant, actor, on_behalf_of, scheme, address, request,
                resource_kind, resource_id, policies, detail
         from audit_event where event_id = any($1)",
        &ids
    )
    .fetch_all(pool)
    .await?;
    let mut events: HashMap<i64, Written> = events.into_iter().map(|event| (event.event_id, event)).collect();
    let links =
        seals.into_iter().map(|seal| Link { place: seal.place, hash: seal.hash, event: events.remove(&seal.event_id) });
    Ok(links.collect())
}

/// Which events a reader wants.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// After this number.
    pub after: i64,
    /// Of this tenant alone.
    pub tenant: Option<String>,
    /// Of this actor, or on behalf of them.
    pub actor: Option<String>,
    /// Of this word.
    pub event: Option<String>,
    /// On the thing of this id.
    pub resource: Option<String>,
    /// How many at most.
    pub most: i64,
}

/// Events, oldest first.
pub async fn events(pool: &PgPool, wanted: &Wanted) -> Result<Vec<Written>, sqlx::Error> {
    sqlx::query_as!(
        Written,
        "select event_id, at, gateway, event, outcome, tenant, actor, on_behalf_of, scheme, address, request,
                resource_kind, resource_id, policies, detail
         from audit_event
         where event_id > $1 and ($2::text is null or tenant = $2)
           and ($3::text is null or actor = $3 or on_behalf_of = $3)
           and ($4::text is null or event = $4) and ($5::text is null or resource_id = $5)
         order by event_id limit $6",
        wanted.after,
        wanted.tenant,
        wanted.actor,
        wanted.event,
        wanted.resource,
        wanted.most
    )
    .fetch_all(pool)
    .await
}

/// The number of the event before the last `most`.
pub async fn before_last(pool: &PgPool, most: i64) -> Result<i64, sqlx::Error> {
    let found = sqlx::query_scalar!("select event_id from audit_event order by event_id desc offset $1 limit 1", most);
    Ok(found.fetch_optional(pool).await?.unwrap_or(0))
}

/// The last place of a chain whose event, with all before it, is older.
pub async fn last_before(
    db: &mut PgConnection,
    gateway: Uuid,
    moment: Timestamp,
) -> Result<Option<(i64, Hash)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select place, hash from audit_seal s
           where gateway = $1 and place < coalesce(
               (select min(n.place) from audit_seal n join audit_event e on e.event_id = n.event_id
                where n.gateway = $1 and e.at >= $2), 9223372036854775807)
           order by place desc limit 1"#,
        gateway,
        moment
    )
    .fetch_optional(db)
    .await?;
    Ok(row.and_then(|row| Some((row.place, row.hash.try_into().ok()?))))
}

/// Removes a chain's links up to a place, with their events, and notes the checkpoint. Returns how many events are gone.
pub async fn cut(db: &mut PgConnection, checkpoint: &Signed) -> Result<u64, sqlx::Error> {
    sqlx::query!("select set_config('hearth.audit_prune', 'on', true)").fetch_one(&mut *db).await?;
    sqlx::query!(
        "insert into audit_checkpoint (gateway, place, hash, public_key, signature) values ($1, $2, $3, $4, $5)",
        checkpoint.gateway,
        checkpoint.place,
        checkpoint.hash.as_slice(),
        checkpoint.public_key,
        checkpoint.signature
    )
    .execute(&mut *db)
    .await?;
    let gone = sqlx::query!(
        "delete from audit_event e using audit_seal s where s.event_id = e.event_id and s.gateway = $1 and s.place <= $2",
        checkpoint.gateway,
        checkpoint.place
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!("delete from audit_seal where gateway = $1 and place <= $2", checkpoint.gateway, checkpoint.place)
        .execute(&mut *db)
        .await?;
    sqlx::query!("select set_config('hearth.audit_prune', 'off', true)").fetch_one(db).await?;
    Ok(gone.rows_affected())
}
