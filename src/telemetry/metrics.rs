//! Every series, declared once. The registry is a value that the gateway owns, so several gateways can live in one process.
//!
//! Labels come from small fixed sets: never an id, a user's name or a path.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds: from what a read takes to what a slow statement takes.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];
/// Messages in one commit.
const MESSAGES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    door: &'static str,
    method: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatementLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Door {
    door: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SessionLabels {
    state: &'static str,
    kind: &'static str,
}

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;

/// The series of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Seconds<Door>,
    statements: Family<StatementLabels, Counter>,
    statement_seconds: Seconds<Kind>,
    overhead_seconds: Seconds<Kind>,
    output_bytes: Counter,
    result_bytes: Counter,
    commit_messages: Histogram,
    commit_seconds: Histogram,
    sessions: Family<SessionLabels, Gauge>,
    contexts: Family<State, Gauge>,
    batches: Family<State, Gauge>,
    links: Gauge,
    line: Gauge,
    database_up: Gauge,
    connections: Family<State, Gauge>,
}

/// What is counted anew at every scrape.
#[derive(Debug, Default)]
pub struct Census {
    /// State and kind of each session that this gateway answers for.
    pub sessions: Vec<(&'static str, &'static str)>,
    /// How many agents are connected here.
    pub links: usize,
    /// Connections to the database: open, and idle among them.
    pub connections: (u32, usize),
    /// What the rows say of this host; none while the database does not answer.
    pub launches: Option<Launches>,
}

/// Contexts and batches of a host that have not ended, by state.
#[derive(Debug, Default)]
pub struct Launches {
    /// State and number of contexts.
    pub contexts: Vec<(&'static str, i64)>,
    /// State and number of batches.
    pub batches: Vec<(&'static str, i64)>,
    /// How many of both wait in line for a launch.
    pub waiting: i64,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        let new = Self {
            registry: Mutex::new(Registry::with_prefix("hearth")),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            statements: Family::default(),
            statement_seconds: Family::new_with_constructor(seconds),
            overhead_seconds: Family::new_with_constructor(seconds),
            output_bytes: Counter::default(),
            result_bytes: Counter::default(),
            commit_messages: Histogram::new(MESSAGES),
            commit_seconds: seconds(),
            sessions: Family::default(),
            contexts: Family::default(),
            batches: Family::default(),
            links: Gauge::default(),
            line: Gauge::default(),
            database_up: Gauge::default(),
            connections: Family::default(),
        };
        new.declare();
        new
    }
}

impl Metrics {
    fn declare(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let r = &mut *registry;
        r.register("requests", "Requests answered, by door, method and class of status", self.requests.clone());
        r.register_with_unit(
            "request",
            "Time to the head of the answer, of requests that did not ask to wait",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        r.register("statements", "Statements ended, by kind and outcome", self.statements.clone());
        r.register_with_unit(
            "statement",
            "The interpreter's own time for a statement",
            Unit::Seconds,
            self.statement_seconds.clone(),
        );
        r.register_with_unit(
            "statement_overhead",
            "Time from taking a statement, or from the end of the one before it, to its committed end, less the interpreter's own",
            Unit::Seconds,
            self.overhead_seconds.clone(),
        );
        r.register_with_unit("output", "Output of statements as it came", Unit::Bytes, self.output_bytes.clone());
        r.register_with_unit("result", "Results of statements", Unit::Bytes, self.result_bytes.clone());
        r.register("commit_messages", "Messages of agents in one commit", self.commit_messages.clone());
        r.register_with_unit(
            "commit",
            "Time of one commit of agents' messages",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        r.register("sessions", "Sessions that this gateway answers for", self.sessions.clone());
        r.register("contexts", "Contexts of this host that have not ended", self.contexts.clone());
        r.register("batches", "Batches of this host that have not ended", self.batches.clone());
        r.register("links", "Agents connected to this gateway", self.links.clone());
        r.register("launch_line", "Contexts and batches that wait for a launch on this host", self.line.clone());
        r.register("database_up", "Whether the database answered this scrape", self.database_up.clone());
        r.register("database_connections", "Connections of this gateway's pool", self.connections.clone());
    }

    /// A request is answered. `took` is none when the client asked to wait.
    pub fn request(&self, door: &'static str, method: &'static str, status: &'static str, took: Option<Duration>) {
        self.requests.get_or_create(&RequestLabels { door, method, status }).inc();
        if let Some(took) = took {
            self.request_seconds.get_or_create(&Door { door }).observe(took.as_secs_f64());
        }
    }

    /// A statement has ended.
    pub fn statement(&self, kind: &'static str, outcome: &'static str, result: usize) {
        self.statements.get_or_create(&StatementLabels { kind, outcome }).inc();
        self.result_bytes.inc_by(result as u64);
    }

    /// How long a statement ran, and how much longer its client had to wait for it.
    pub fn statement_took(&self, kind: &'static str, ran: Duration, overhead: Duration) {
        self.statement_seconds.get_or_create(&Kind { kind }).observe(ran.as_secs_f64());
        self.overhead_seconds.get_or_create(&Kind { kind }).observe(overhead.as_secs_f64());
    }

    /// So many bytes of output have come.
    pub fn output(&self, bytes: usize) {
        self.output_bytes.inc_by(bytes as u64);
    }

    /// So many messages of an agent were committed together.
    pub fn committed(&self, messages: usize, took: Duration) {
        self.commit_messages.observe(f64::from(u32::try_from(messages).unwrap_or(u32::MAX)));
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// All series as OpenMetrics text, which Prometheus reads.
    #[must_use]
    pub fn text(&self, census: &Census) -> String {
        // One scrape at a time counts and writes.
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.count(census);
        let mut out = String::new();
        // Writing into a String does not fail.
        let _ = text::encode(&mut out, &registry);
        out
    }

    fn count(&self, census: &Census) {
        self.sessions.clear();
        for &(state, kind) in &census.sessions {
            self.sessions.get_or_create(&SessionLabels { state, kind }).inc();
        }
        self.links.set(i64::try_from(census.links).unwrap_or(i64::MAX));
        let (open, idle) = (i64::from(census.connections.0), i64::try_from(census.connections.1).unwrap_or(i64::MAX));
        self.connections.get_or_create(&State { state: "idle" }).set(idle);
        self.connections.get_or_create(&State { state: "used" }).set((open - idle).max(0));
        self.database_up.set(i64::from(census.launches.is_some()));
        let nothing = Launches::default();
        let launches = census.launches.as_ref().unwrap_or(&nothing);
        for (family, counts) in [(&self.contexts, &launches.contexts), (&self.batches, &launches.batches)] {
            family.clear();
            for &(state, count) in counts {
                family.get_or_create(&State { state }).set(count);
            }
        }
        self.line.set(launches.waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::default();
        metrics.request("livy", "GET", "2xx", Some(Duration::from_millis(2)));
        metrics.statement("sql", "ok", 100);
        let launches = Launches { contexts: vec![("ready", 2)], batches: vec![], waiting: 3 };
        let sessions = vec![("idle", "sql"), ("idle", "sql"), ("busy", "spark")];
        let census = Census { sessions, links: 2, connections: (5, 4), launches: Some(launches) };
        let text = metrics.text(&census);
        for line in [
            r#"hearth_requests_total{door="livy",method="GET",status="2xx"} 1"#,
            r#"hearth_request_seconds_bucket{le="0.0025",door="livy"} 1"#,
            r#"hearth_statements_total{kind="sql",outcome="ok"} 1"#,
            "hearth_result_bytes_total 100",
            r#"hearth_sessions{state="idle",kind="sql"} 2"#,
            r#"hearth_contexts{state="ready"} 2"#,
            r#"hearth_database_connections{state="used"} 1"#,
            "hearth_launch_line 3",
            "hearth_database_up 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        let later = metrics.text(&Census::default());
        assert!(!later.contains("hearth_sessions{") && later.contains("hearth_database_up 0"), "{later}");
    }
}
