//! The SQL of grants, and of the sample of decisions.

use sqlx::PgConnection;
use uuid::Uuid;

use super::grant::{Error, Grant, Level, NewGrant};
use super::resource::{Kind, Owned};
use super::role::{EVERYBODY, Subject};
use super::sample::Decided;
use crate::id::GrantId;
use crate::identity::Principal;
use crate::store::{Page, Range};
use crate::time::Timestamp;

struct Row {
    grant_id: GrantId,
    tenant: String,
    resource_kind: String,
    resource_id: Uuid,
    level: String,
    grantee_kind: String,
    grantee: String,
    identity_confirmed: bool,
    created_by: String,
    created_via: Option<String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl TryFrom<Row> for Grant {
    type Error = Error;

    fn try_from(r: Row) -> Result<Self, Error> {
        let inconsistent = || Error::Inconsistent(r.grant_id);
        Ok(Self {
            kind: Kind::parse(&r.resource_kind).ok_or_else(inconsistent)?,
            level: Level::parse(&r.level).ok_or_else(inconsistent)?,
            to: match r.grantee_kind.as_str() {
                "user" => Subject::User(r.grantee),
                "group" => Subject::Group(r.grantee),
                _ => return Err(inconsistent()),
            },
            id: r.grant_id,
            tenant: r.tenant,
            on: r.resource_id,
            identity_confirmed: r.identity_confirmed,
            created_by: r.created_by,
            created_via: r.created_via,
            created_at: r.created_at,
            expires_at: r.expires_at,
        })
    }
}

/// The grants in force on these things.
pub(super) async fn grants_on(db: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Grant>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select grant_id as "grant_id: _", tenant, resource_kind, resource_id, level, grantee_kind, grantee, identity_confirmed
                , created_by, created_via, created_at, expires_at
             from access_grant
            where resource_id = any($1) and revoked_at is null and (expires_at is null or expires_at > now())"#,
        ids
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Grant::try_from).collect()
}

/// A page of the grants in force on a thing, oldest first.
pub(super) async fn list_grants(db: &mut PgConnection, on: &Owned<'_>, range: Range) -> Result<Page<Grant>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select grant_id as "grant_id: _", tenant, resource_kind, resource_id, level, grantee_kind, grantee, identity_confirmed
                , created_by, created_via, created_at, expires_at
             from access_grant
            where resource_kind = $1 and resource_id = $2 and revoked_at is null and (expires_at is null or expires_at > now())
            order by grant_id offset $3 limit $4"#,
        on.kind.as_str(),
        on.id,
        range.from,
        range.size
    )
    .fetch_all(&mut *db)
    .await?;
    let total = count_grants(db, on).await?;
    Ok(Page { rows: rows.into_iter().map(Grant::try_from).collect::<Result<_, _>>()?, total })
}

/// How many grants are in force on a thing.
pub(super) async fn count_grants(db: &mut PgConnection, on: &Owned<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from access_grant
            where resource_kind = $1 and resource_id = $2 and revoked_at is null and (expires_at is null or expires_at > now())"#,
        on.kind.as_str(),
        on.id
    )
    .fetch_one(db)
    .await
}

/// The things of a kind that are granted to somebody, by name or by group.
pub(super) async fn shared_with(db: &mut PgConnection, who: &Principal, kind: Kind) -> Result<Vec<Uuid>, sqlx::Error> {
    let groups: Vec<String> = who.groups.iter().cloned().chain([EVERYBODY.to_owned()]).collect();
    sqlx::query_scalar!(
        "select distinct resource_id from access_grant
          where tenant = $1 and resource_kind = $2 and revoked_at is null and (expires_at is null or expires_at > now())
            and ((grantee_kind = 'user' and grantee = $3) or (grantee_kind = 'group' and grantee = any($4)))",
        &*who.tenant,
        kind.as_str(),
        &*who.user,
        &groups
    )
    .fetch_all(db)
    .await
}

/// A grant, in force or not.
pub(super) async fn load_grant(db: &mut PgConnection, id: GrantId) -> Result<Option<Grant>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select grant_id as "grant_id: _", tenant, resource_kind, resource_id, level, grantee_kind, grantee, identity_confirmed
                , created_by, created_via, created_at, expires_at
             from access_grant where grant_id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    row.map(Grant::try_from).transpose()
}

/// Writes a new grant.
pub(super) async fn insert_grant(
    db: &mut PgConnection,
    who: &Principal,
    id: GrantId,
    on: &Owned<'_>,
    new: &NewGrant,
) -> Result<(), sqlx::Error> {
    let (grantee_kind, grantee) = new.to.parts();
    sqlx::query!(
        "insert into access_grant (grant_id, tenant, resource_kind, resource_id, level, grantee_kind, grantee, identity_confirmed
                                  , created_by, created_via, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        id.0,
        &*on.tenant,
        on.kind.as_str(),
        on.id,
        new.level.as_str(),
        grantee_kind,
        grantee,
        new.confirm_identity,
        &*who.user,
        who.via.as_deref(),
        new.expires_at
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Revokes the grant that somebody has on a thing, as a new one takes its place.
pub(super) async fn revoke_grant_of(
    db: &mut PgConnection,
    who: &Principal,
    on: &Owned<'_>,
    to: &Subject,
) -> Result<(), sqlx::Error> {
    let (grantee_kind, grantee) = to.parts();
    sqlx::query!(
        "update access_grant set revoked_at = now(), revoked_by = $5, revoked_via = $6
          where resource_kind = $1 and resource_id = $2 and grantee_kind = $3 and grantee = $4 and revoked_at is null",
        on.kind.as_str(),
        on.id,
        grantee_kind,
        grantee,
        &*who.user,
        who.via.as_deref()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Revokes a grant on a thing; false when there is none of that id to be revoked.
pub(super) async fn revoke_grant(
    db: &mut PgConnection,
    who: &Principal,
    on: &Owned<'_>,
    id: GrantId,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update access_grant set revoked_at = now(), revoked_by = $4, revoked_via = $5
          where grant_id = $1 and resource_kind = $2 and resource_id = $3 and revoked_at is null",
        id.0,
        on.kind.as_str(),
        on.id,
        &*who.user,
        who.via.as_deref()
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A decision of the sample.
pub(super) struct DecisionRow {
    pub question: serde_json::Value,
    pub allowed: bool,
    pub policies: Vec<String>,
    pub decided_at: Timestamp,
}

/// Keeps decisions, each in place of the last one of its sort.
pub(super) async fn keep_decisions(db: &mut PgConnection, decided: &[Decided]) -> Result<(), sqlx::Error> {
    // An array of arrays would have to be rectangular.
    let policies: Vec<serde_json::Value> = decided.iter().map(|d| d.policies.clone().into()).collect();
    sqlx::query!(
        "insert into access_decision (digest, question, allowed, policies)
         select digest, question, allowed, array(select jsonb_array_elements_text(policies))
           from unnest($1::bytea[], $2::text[]::jsonb[], $3::boolean[], $4::jsonb[]) as d (digest, question, allowed, policies)
          order by digest
             on conflict (digest) do update
            set question = excluded.question, allowed = excluded.allowed, policies = excluded.policies, decided_at = now()",
        &decided.iter().map(|d| d.digest.to_vec()).collect::<Vec<_>>(),
        &decided.iter().map(|d| d.question.get().to_owned()).collect::<Vec<_>>(),
        &decided.iter().map(|d| d.allowed).collect::<Vec<_>>(),
        &policies
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Lets go of all but the newest decisions.
pub(super) async fn trim_decisions(db: &mut PgConnection, most: i64) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from access_decision
          where decided_at < (select decided_at from access_decision order by decided_at desc offset $1 limit 1)",
        most
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Decisions of the sample, newest first: those asked by members of a tenant, or all.
pub(super) async fn load_decisions(
    db: &mut PgConnection,
    tenant: Option<&str>,
    most: i64,
) -> Result<Vec<DecisionRow>, sqlx::Error> {
    sqlx::query_as!(
        DecisionRow,
        "select question, allowed, policies, decided_at from access_decision
          where $1::text is null or question ->> 'tenant' = $1
          order by decided_at desc limit $2",
        tenant,
        most
    )
    .fetch_all(db)
    .await
}
