//! `hearth contexts` and `hearth handles`: what there is, as an operator sees it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::desk::{Desk, operator};
use super::serve::Settings;
use crate::context::Context;
use crate::handle::Handle;
use crate::identity::DEFAULT_TENANT;
use crate::store::{Page, Range};

/// Rows that are asked for at a time.
const STEP: i64 = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Contexts {
    /// Those that are over, too.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Handles {
    /// Of one context alone: its id, or the name of a living one.
    #[arg(long)]
    context: Option<String>,
    /// The tenant in which that name is looked up.
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
}

/// Every page of a list.
async fn all<T, E>(page: impl AsyncFn(Range) -> Result<Page<T>, E>) -> Result<Vec<T>, E> {
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

#[expect(clippy::print_stdout, reason = "the answer to the command")]
pub(super) fn contexts(settings: &Settings, asked: &Contexts) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let desk = Desk::open(&config)?;
        let me = operator(DEFAULT_TENANT);
        let found = all(async |range| desk.contexts.list(&me, range).await).await;
        desk.close().await;
        for context in found?.iter().filter(|c| asked.all || c.ended_at.is_none()) {
            println!("{}", of_context(context));
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn of_context(c: &Context) -> String {
    let name = c.name.as_deref().unwrap_or("-");
    let ended = c.ended_at.map_or(String::new(), |at| format!(", ended {}", at.to_rfc3339()));
    let cause = c.cause.as_ref().map_or(String::new(), |cause| format!(": {cause}"));
    let (state, created) = (c.state.as_str(), c.created_at.to_rfc3339());
    let (tenant, owner, run_as, profile) = (&c.tenant, &c.owner, &c.run_as, &c.profile);
    format!(
        "{}  {name}  {state}  {tenant}/{owner} as {run_as}, profile {profile}, created {created}{ended}{cause}",
        c.id
    )
}

#[expect(clippy::print_stdout, reason = "the answer to the command")]
pub(super) fn handles(settings: &Settings, asked: &Handles) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let desk = Desk::open(&config)?;
        let me = operator(&asked.tenant);
        let found = all(async |range| desk.handles.list(&me, asked.context.as_deref(), range).await).await;
        desk.close().await;
        let found = found?;
        for handle in &found {
            println!("{}", of_handle(handle));
        }
        for (tenant, (count, memory, disk)) in totals(&found) {
            println!("{tenant}: {count} handles, {memory} bytes in memory, {disk} on disk");
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn of_handle(h: &Handle) -> String {
    let context = h.context_name.clone().unwrap_or_else(|| h.context_id.to_string());
    let durable = if h.durable_path.is_some() { ", durable" } else { "" };
    let made = h.session_id.map_or(String::new(), |s| {
        format!(", made by session {s}{}", h.statement.map_or(String::new(), |n| format!(" statement {n}")))
    });
    let read = match (&h.last_read_by, h.last_read_at) {
        (Some(by), Some(at)) => format!(", last read by {by} at {}", at.to_rfc3339()),
        _ => String::new(),
    };
    let reason = h.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    let (kind, version, state, memory) = (h.kind.as_str(), h.version, h.state.as_str(), h.memory_bytes);
    format!(
        "{}  {context}/{}  {kind} v{version} {state}  {}/{}, {memory} bytes in memory{durable}{made}{read}{reason}",
        h.id, h.name, h.tenant, h.owner
    )
}

/// Number, memory and disk of the handles of each tenant.
fn totals(handles: &[Handle]) -> BTreeMap<&str, (usize, i64, i64)> {
    let mut totals = BTreeMap::new();
    for handle in handles {
        let (count, memory, disk) = totals.entry(handle.tenant.as_str()).or_insert((0, 0, 0));
        *count += 1;
        *memory += handle.memory_bytes;
        *disk += handle.disk_bytes;
    }
    totals
}
