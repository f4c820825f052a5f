//! `hearth handles`: the handles that there are, as an operator sees them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::desk::{Desk, all, operator};
use super::serve::Settings;
use crate::handle::Handle;
use crate::identity::DEFAULT_TENANT;

#[derive(Debug, clap::Args)]
pub(super) struct Handles {
    /// Of one context alone: its id, or the name of a living one.
    #[arg(long)]
    context: Option<String>,
    /// The tenant in which that name is looked up.
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
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
