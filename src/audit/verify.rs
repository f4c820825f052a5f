//! Verifies every chain: nothing changed, nothing missing, nothing cut off its end.

use std::collections::HashMap;
use std::path::Path;

use sqlx::PgPool;
use uuid::Uuid;

use super::chain::{self, Hash, START};
use super::key::Signed;
use super::{seal, store};

/// Links looked at together.
const STEP: i64 = 2_000;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Chains that were looked at.
    pub chains: usize,
    /// Events whose place is proven.
    pub events: u64,
    /// What is wrong, for people.
    pub wrong: Vec<String>,
}

/// The signed heads of a file, as [`seal`] wrote it: the newest of each chain.
///
/// # Errors
/// The file cannot be read, or a line of it is none of ours.
pub fn read_heads(path: &Path) -> std::io::Result<Vec<Signed>> {
    let mut newest: HashMap<Uuid, Signed> = HashMap::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let head: Signed = serde_json::from_str(line)?;
        if newest.get(&head.gateway).is_none_or(|known| known.place < head.place) {
            newest.insert(head.gateway, head);
        }
    }
    Ok(newest.into_values().collect())
}

/// Where the file of heads of a state folder is.
#[must_use]
pub fn heads_of(home: &Path) -> std::path::PathBuf {
    home.join(seal::HEADS)
}

/// Verifies all chains of a database against their own heads, and the `kept` ones, which were written elsewhere. With `trusted` keys, signatures of
/// others are wrong.
///
/// # Errors
/// The database's.
pub async fn verify(pool: &PgPool, kept: &[Signed], trusted: &[Vec<u8>]) -> Result<Report, crate::store::Error> {
    let mut report = Report::default();
    let checkpoints = signed(store::checkpoints(pool).await?, "checkpoint", trusted, &mut report);
    let own = signed(store::heads(pool).await?, "head", trusted, &mut report);
    let kept = signed(kept.to_vec(), "kept head", trusted, &mut report);
    let mut chains = store::chains(pool).await?;
    chains.extend(own.keys().chain(kept.keys()));
    chains.sort();
    chains.dedup();
    for gateway in chains {
        report.chains += 1;
        let heads = [own.get(&gateway), kept.get(&gateway)];
        one(pool, gateway, checkpoints.get(&gateway), heads, &mut report).await?;
    }
    Ok(report)
}

/// Those whose signature holds, by chain.
fn signed(all: Vec<Signed>, what: &str, trusted: &[Vec<u8>], report: &mut Report) -> HashMap<Uuid, Signed> {
    let mut good = HashMap::new();
    for one in all {
        if !one.is_genuine() {
            report
                .wrong
                .push(format!("chain {}: the {what} at place {} has a false signature", one.gateway, one.place));
        } else if !trusted.is_empty() && !trusted.contains(&one.public_key) {
            report
                .wrong
                .push(format!("chain {}: the {what} at place {} is signed by a strange key", one.gateway, one.place));
        } else {
            good.insert(one.gateway, one);
        }
    }
    good
}

async fn one(
    pool: &PgPool,
    gateway: Uuid,
    checkpoint: Option<&Signed>,
    heads: [Option<&Signed>; 2],
    report: &mut Report,
) -> Result<(), crate::store::Error> {
    let (mut place, mut hash): (i64, Hash) = checkpoint.map_or((0, START), |signed| (signed.place, signed.hash));
    let mut expected: Vec<&Signed> = Vec::new();
    for head in heads.into_iter().flatten() {
        match checkpoint.filter(|cut| cut.place >= head.place) {
            None => expected.push(head),
            // What was signed lies before the cut: whoever signed it must have made the cut, and at the same place say the same.
            Some(cut) if cut.public_key != head.public_key || cut.place == head.place && cut.hash != head.hash => {
                report.wrong.push(format!(
                    "chain {gateway}: the checkpoint at place {} hides place {}, which another key or hash was signed for",
                    cut.place, head.place
                ));
            }
            Some(_) => {}
        }
    }
    loop {
        let links = store::links(pool, gateway, place, STEP).await?;
        if links.is_empty() {
            break;
        }
        for link in links {
            let at = format!("chain {gateway}, place {}", link.place);
            if link.place != place + 1 {
                report.wrong.push(format!("{at}: the {} places before it are missing", link.place - place - 1));
                // What follows hangs on a hash that is gone; it is compared from here on.
            } else if let Some(event) = &link.event {
                if chain::link(&hash, link.place, event).as_slice() == link.hash {
                    report.events += 1;
                } else {
                    report.wrong.push(format!("{at}: event {} was changed, or its seal was", event.event_id));
                }
            } else {
                report.wrong.push(format!("{at}: its event is gone"));
            }
            place = link.place;
            hash = link.hash.try_into().unwrap_or_default();
            expected.retain(|head| {
                if head.place == place && head.hash != hash {
                    report.wrong.push(format!("{at}: its hash is not the one that was signed"));
                }
                head.place != place
            });
        }
    }
    for head in expected {
        report.wrong.push(format!(
            "chain {gateway}: it ends at place {place}, but place {} was signed: its end was cut off",
            head.place
        ));
    }
    Ok(())
}
