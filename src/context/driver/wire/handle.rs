//! Messages that speak of handles: named data in a context.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::id::ContextId;

/// `handle` of the agent: a handle has a new version, or none any longer.
#[derive(Debug, Deserialize)]
pub struct Handle<'a> {
    /// Its name in the context.
    pub name: String,
    /// `dataframe`, `rdd`, `pairs` or `value`.
    pub kind: String,
    /// Its newest version, from 1.
    pub version: i64,
    /// `ready`, `lost` or `gone`.
    pub state: String,
    /// Why it is lost or gone, for people.
    #[serde(default)]
    pub reason: Option<String>,
    /// Name, type and class of each column.
    #[serde(borrow, default)]
    pub columns: Option<&'a RawValue>,
    /// Type of the keys of `pairs`.
    #[serde(default)]
    pub key: Option<String>,
    /// Partitions.
    #[serde(default)]
    pub partitions: i32,
    /// Spark's storage level.
    #[serde(default)]
    pub storage: String,
    /// Its time to live, ms.
    #[serde(default)]
    pub ttl_ms: Option<i64>,
    /// Where it is written, too.
    #[serde(default)]
    pub durable: Option<Durable>,
    /// Stays while the name stands for data of the same owner, from one `share` to the end of the name: agents of before name none.
    #[serde(default)]
    pub share: Option<Uuid>,
    /// Whether a session has given the name to these data, be it for the first time or in the place of others; else they were changed or
    /// written. Agents of before never say so.
    #[serde(default)]
    pub shared: bool,
}

/// Where a durable handle is written.
#[derive(Debug, Deserialize)]
pub struct Durable {
    /// Address of the folder.
    pub path: String,
    /// The version that is written there.
    pub version: i64,
}

/// `handle_usage` of the agent: what has changed.
#[derive(Debug, Deserialize)]
pub struct Usage {
    /// Of which handles.
    pub handles: Vec<Used>,
}

/// Memory and use of a handle.
#[derive(Debug, Deserialize)]
pub struct Used {
    /// Its name in the context.
    pub name: String,
    /// Bytes in memory, of the driver and the executors.
    #[serde(default)]
    pub memory_bytes: i64,
    /// Bytes on the executors' disks.
    #[serde(default)]
    pub disk_bytes: i64,
    /// 0 to 1.
    #[serde(default)]
    pub cached_fraction: f64,
    /// When it was last used, ms since 1970.
    #[serde(default)]
    pub last_used_at: Option<i64>,
}

/// `handle_answer` of the agent.
#[derive(Debug, Deserialize)]
pub struct Answer<'a> {
    /// Which request it answers.
    pub request: Uuid,
    /// Why there is no result.
    #[serde(default)]
    pub error: Option<Failure>,
    /// What was asked for.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
}

/// Why an agent could not do what it was asked.
#[derive(Debug, Clone, Deserialize)]
pub struct Failure {
    /// `not_found`, `not_pairs`, `bad_key`, `bad_value`, `bad_columns`, `lost`, `cancelled` or `failed`.
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
}

/// What `handle_request` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The values of keys.
    Get,
    /// New values of keys.
    Put,
    /// Keys to be left out.
    Delete,
    /// How many rows.
    Count,
    /// Some rows.
    Rows,
    /// That the name be taken away.
    Unshare,
}

/// `handle_request` to the agent; it may be a repeat.
#[derive(Debug, Serialize)]
pub struct Request<'a> {
    /// By which it is answered.
    pub request: Uuid,
    /// What is asked.
    pub op: Op,
    /// Of which handle.
    pub name: &'a str,
    /// What the name stood for when this was decided, as the agent has called it: it is `not_found` when it stands for another's data. None:
    /// whatever it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Uuid>,
    /// Keys of `get` and `delete`, JSON values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<&'a [Box<RawValue>]>,
    /// Keys and values of `put`, JSON values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<&'a [(Box<RawValue>, Box<RawValue>)]>,
    /// Rows at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Columns that are wanted; none: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<&'a [String]>,
}

/// `cancel_request` to the agent: nobody waits any longer.
#[derive(Debug, Serialize)]
pub struct CancelRequest {
    /// Which.
    pub request: Uuid,
}

/// `open_stream` to the agent: it is to send the rows to `POST /driver/streams/{stream}`.
#[derive(Debug, Serialize)]
pub struct OpenStream<'a> {
    /// By which the stream is known.
    pub stream: Uuid,
    /// Of which handle.
    pub name: &'a str,
    /// As of [`Request`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Uuid>,
    /// `arrow`, `jsonl` or `csv`.
    pub format: &'a str,
    /// Rows at most; none: all.
    pub limit: Option<i64>,
    /// Columns that are wanted; none: all.
    pub columns: Option<&'a [String]>,
}

/// `handles` to the agent of a new application: what those before it have left.
#[derive(Debug, Serialize)]
pub struct Handles {
    /// The context that it is.
    pub context: Place,
    /// Where durable handles are to be written; none: nowhere.
    pub store: Option<String>,
    /// Why nowhere, for people, where it is not that the profile names no place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unstored: Option<&'static str>,
    /// Those that were, to be opened when they are first used.
    pub durable: Vec<Kept>,
}

/// By what a context is called.
#[derive(Debug, Serialize)]
pub struct Place {
    /// Its id.
    pub id: ContextId,
    /// Its name.
    pub name: Option<String>,
}

/// A durable handle.
#[derive(Debug, Serialize)]
pub struct Kept {
    /// Its name in the context.
    pub name: String,
    /// `dataframe`, `rdd` or `pairs`.
    pub kind: String,
    /// The version that was written.
    pub version: i64,
    /// Where.
    pub path: String,
    /// Name, type and class of each column.
    pub columns: Option<Box<RawValue>>,
    /// Type of the keys of `pairs`.
    pub key: Option<String>,
    /// Spark's storage level.
    pub storage: String,
    /// Its time to live, ms.
    pub ttl_ms: Option<i64>,
    /// What is left of that, ms.
    pub left_ms: Option<i64>,
    /// Who owns it.
    pub owner: String,
    /// As of [`Handle`].
    pub share: Option<Uuid>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::driver::wire::{Envelope, Outgoing};

    /// The folder that the agent's tests read, too.
    fn golden(name: &str) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("agent/golden/{name}.json"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn same(message: &Outgoing, name: &str) {
        let ours: serde_json::Value = serde_json::from_str(&message.frame(7, 3)).unwrap();
        let theirs: serde_json::Value = serde_json::from_str(&golden(name)).unwrap();
        assert_eq!(ours["body"], theirs["body"], "{name}");
        assert_eq!(ours["type"], theirs["type"], "{name}");
    }

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn what_agents_say_is_read() {
        let text = golden("handle-ready");
        let envelope = Envelope::parse(&text).unwrap();
        let handle: Handle<'_> = envelope.body().unwrap();
        assert_eq!(
            (handle.name.as_str(), handle.kind.as_str(), handle.version, handle.state.as_str()),
            ("states", "pairs", 3, "ready")
        );
        assert_eq!((handle.key.as_deref(), handle.partitions, handle.ttl_ms), (Some("string"), 8, Some(3_600_000)));
        let written = handle.durable.unwrap();
        assert!(written.path.ends_with("/states/3") && written.version == 2);
        assert!(handle.columns.unwrap().get().contains("\"key\""));
        assert!(!handle.shared && handle.share.is_none(), "this was a put, of an agent of before");
        let text = golden("handle-shared");
        let envelope = Envelope::parse(&text).unwrap();
        let shared: Handle<'_> = envelope.body().unwrap();
        assert!(shared.shared && shared.share.is_some());
        let text = golden("handle-lost");
        let lost = Envelope::parse(&text).unwrap();
        let lost: Handle<'_> = lost.body().unwrap();
        assert!(lost.state == "lost" && lost.reason.is_some() && lost.columns.is_none() && lost.durable.is_none());
        let text = golden("handle_usage");
        let usage: Usage = Envelope::parse(&text).unwrap().body().unwrap();
        assert_eq!((usage.handles.len(), usage.handles[0].memory_bytes), (1, 4096));
        let text = golden("handle_answer-get");
        let envelope = Envelope::parse(&text).unwrap();
        let answer: Answer<'_> = envelope.body().unwrap();
        assert!(answer.error.is_none() && answer.result.unwrap().get().contains("Alaska"));
        let text = golden("handle_answer-error");
        let envelope = Envelope::parse(&text).unwrap();
        let answer: Answer<'_> = envelope.body().unwrap();
        assert_eq!(answer.error.unwrap().code, "not_pairs");
    }

    #[test]
    fn what_agents_are_told_is_written() {
        let id = Uuid::parse_str("0192f0c1-0000-7000-8000-00000000000a").unwrap();
        let share = Uuid::parse_str("0192f0c1-0000-7000-8000-0000000000cc").unwrap();
        let keys = [raw("\"ak\""), raw("9007199254740993")];
        let none = Request {
            request: id,
            op: Op::Get,
            name: "states",
            share: None,
            keys: None,
            entries: None,
            limit: None,
            columns: None,
        };
        same(&Outgoing::new("handle_request", &Request { keys: Some(&keys), ..none }), "handle_request-get");
        let entries = [(raw("\"ny\""), raw("\"New York\""))];
        let put = Request {
            request: id,
            op: Op::Put,
            name: "states",
            share: Some(share),
            keys: None,
            entries: Some(&entries),
            limit: None,
            columns: None,
        };
        same(&Outgoing::new("handle_request", &put), "handle_request-put");
        let columns = ["key".to_owned()];
        let rows = Request {
            request: id,
            op: Op::Rows,
            name: "states",
            share: None,
            keys: None,
            entries: None,
            limit: Some(100),
            columns: Some(&columns),
        };
        same(&Outgoing::new("handle_request", &rows), "handle_request-rows");
        same(&Outgoing::new("cancel_request", &CancelRequest { request: id }), "cancel_request");
        let stream =
            OpenStream { stream: id, name: "states", share: Some(share), format: "arrow", limit: None, columns: None };
        same(&Outgoing::new("open_stream", &stream), "open_stream");
        let kept = Kept {
            name: "states".to_owned(),
            kind: "pairs".to_owned(),
            version: 3,
            path: "hdfs:///hearth/handles/states/3".to_owned(),
            columns: Some(raw(
                r#"[{"name":"key","type":"string","class":"text"},{"name":"value","type":"string","class":"text"}]"#,
            )),
            key: Some("string".to_owned()),
            storage: "MEMORY_AND_DISK".to_owned(),
            ttl_ms: Some(3_600_000),
            left_ms: Some(1_200_000),
            owner: "ann".to_owned(),
            share: Some(share),
        };
        let context =
            Place { id: "0190a3c4-0000-7000-8000-000000000002".parse().unwrap(), name: Some("team".to_owned()) };
        let told =
            Handles { context, store: Some("hdfs:///hearth/handles".to_owned()), unstored: None, durable: vec![kept] };
        same(&Outgoing::new("handles", &told), "handles");
    }
}
