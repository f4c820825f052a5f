//! Plays recordings against a gateway and keeps what differs.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::livy::{Answer, Livy};
use crate::recording::{self, Recording};
use crate::shape;

/// The recordings, what has become of them, and which of our sessions stands for which recorded one.
pub struct Replay {
    pub livy: Livy,
    recordings: BTreeMap<String, Recording>,
    stand_ins: BTreeMap<String, String>,
    played: BTreeSet<String>,
    differences: BTreeSet<(String, String)>,
}

impl Replay {
    pub fn new(livy: Livy) -> Self {
        let recordings = recording::all();
        Self { livy, recordings, stand_ins: BTreeMap::new(), played: BTreeSet::new(), differences: BTreeSet::new() }
    }

    /// From now on `ours`, such as `/sessions/4`, stands for `recorded`.
    pub fn stands_for(&mut self, ours: &str, recorded: &str) {
        self.stand_ins.insert(recorded.to_owned(), ours.to_owned());
    }

    /// A path of ours for a recorded one.
    pub fn path(&self, recorded: &str) -> String {
        let mut parts = recorded.splitn(4, '/');
        let (_, list, id, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
        let head = format!("/{}/{}", list.unwrap_or_default(), id.unwrap_or_default());
        match (self.stand_ins.get(&head), rest) {
            (Some(ours), Some(rest)) => format!("{ours}/{rest}"),
            (Some(ours), None) => ours.clone(),
            (None, _) => recorded.to_owned(),
        }
    }

    pub fn recording(&self, name: &str) -> &Recording {
        self.recordings.get(name).unwrap_or_else(|| panic!("there is no recording {name}"))
    }

    /// The recorded statements of a session, in the order in which they were sent.
    pub fn statements_of(&self, session: u32) -> Vec<String> {
        let mut names: Vec<(u32, &String)> = self
            .recordings
            .iter()
            .filter_map(|(name, r)| r.statement().filter(|s| s.0 == session && r.status == 200).map(|s| (s.1, name)))
            .collect();
        names.sort();
        names.into_iter().map(|(_, name)| name.clone()).collect()
    }

    /// Sends a recorded request and compares the answer.
    pub async fn play(&mut self, name: &str) -> Answer {
        let body = self.recording(name).request.body.clone();
        self.play_with(name, body).await
    }

    /// As [`Replay::play`], with another body (a file that is really there).
    pub async fn play_with(&mut self, name: &str, body: Option<Value>) -> Answer {
        let request = &self.recording(name).request;
        let method: Method = request.method.parse().unwrap();
        let mut dressed = self.livy.request(method, &self.path(&request.path));
        dressed = match body {
            None => dressed,
            Some(Value::String(text)) => dressed.header("content-type", "application/json").body(text),
            Some(json) => dressed.json(&json),
        };
        let answer = self.livy.send(dressed).await;
        self.compare(name, &answer);
        answer
    }

    /// Sends the code of a recorded statement, waits for its end, reads it again by GET and compares that.
    pub async fn run(&mut self, name: &str, session: &str, kind: &str) {
        let code = self.recording(name).body["code"].clone();
        let ended = self.livy.run(session, json!({"code": code, "kind": kind})).await;
        let answer = self.livy.get(&format!("{session}/statements/{}", ended["id"])).await;
        self.compare(name, &answer);
    }

    /// Compares an answer with a recorded one.
    pub fn compare(&mut self, name: &str, answer: &Answer) {
        self.played.insert(name.to_owned());
        let recorded = self.recording(name);
        let mut found = Vec::new();
        if recorded.status != answer.status {
            found.push(format!("status: {} -> {}", recorded.status, answer.status));
        }
        let header = |name: &str| recorded.headers.get(name).map_or("", String::as_str);
        for name in ["Content-Type", "Allow"] {
            if header(name) != answer.header(name) {
                found.push(format!("{name}: {:?} -> {:?}", header(name), answer.header(name)));
            }
        }
        // Ids are ours; their place in the path is Livy's.
        if numberless(header("Location")) != numberless(answer.header("Location")) {
            found.push(format!("Location: {:?} -> {:?}", header("Location"), answer.header("Location")));
        }
        let body = if answer.text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&answer.text).unwrap_or_else(|_| Value::String(answer.text.clone()))
        };
        found.extend(shape::differences(&recorded.body, &body));
        if !found.is_empty() {
            println!("{name}: {found:?}\n  recorded {}\n  answered {answer}", recorded.body);
        }
        self.differences.extend(found.into_iter().map(|difference| (name.to_owned(), difference)));
    }

    /// What differed, as recording and difference; and the recordings that were never played.
    pub fn verdict(self) -> (BTreeSet<(String, String)>, BTreeSet<String>) {
        let unplayed = self.recordings.into_keys().filter(|name| !self.played.contains(name)).collect();
        (self.differences, unplayed)
    }
}

fn numberless(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>().replace("00", "0")
}
