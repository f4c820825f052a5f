//! Whatever is sent to the Livy door, the answer is a clear 4xx, or the request is taken: never a 5xx, a hang or a leak.

#![expect(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod harness;

use std::io::Write as _;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use harness::livy::{Answer, Livy};
use harness::{BOUND, Gateway, Setup, until};
use reqwest::{Body, Method};
use serde_json::{Value, json};

/// A refusal that a person understands: its status, JSON, and nothing of the gateway's insides.
fn assert_clear(answer: &Answer, status: u16, of: &str) {
    assert_eq!(answer.status, status, "{of}: {answer}");
    assert_eq!(answer.header("content-type"), "application/json;charset=utf-8", "{of}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{of}");
    let text = match answer.json() {
        Value::String(text) => text,
        body => body["msg"].as_str().unwrap_or_else(|| panic!("{of}: no msg: {answer}")).to_owned(),
    };
    assert!(text.len() > 8, "{of}: {text:?} says nothing");
    for inside in ["panicked", "src/", "\tat ", "sqlx", "error returned from database", "Backtrace"] {
        assert!(!text.contains(inside), "{of} tells of the inside: {text}");
    }
}

/// A gateway that launches one application at most, so that sessions stay in line.
async fn gateway_with_a_line(queue: &str) -> Gateway {
    Setup::new().set("launch.contexts", "1").set("launch.queue", queue).start().await
}

#[tokio::test]
async fn bodies_that_make_no_sense() {
    let gateway = gateway_with_a_line("20").await;
    let livy = gateway.livy();
    for body in [
        "",
        " ",
        "null",
        "[]",
        "1",
        "\"x\"",
        "true",
        "{",
        "{\"kind\":",
        "{\"kind\" \"spark\"}",
        "{\"kind\":\"spark\"}}",
        "nul",
        "{\"kind\":\"spark\",}",
        "{'kind':'spark'}",
        "kind=spark",
        "<kind/>",
        "\u{feff}{}",
        "{\"a\":",
        "[[[[[[[[",
    ] {
        for path in ["/sessions", "/batches"] {
            assert_clear(&livy.post_text(path, body).await, 400, &format!("{path} {body:?}"));
        }
    }
    let deep = format!("{{\"conf\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_clear(&livy.post_text("/sessions", deep).await, 400, "a deep body");
    assert_clear(&livy.post_text("/sessions", &b"{\"kind\":\"\xff\xfe\"}"[..]).await, 400, "no UTF-8");
    for body in [
        json!({"nope": 1}),
        json!({"kind": "cobol"}),
        json!({"kind": "sparkr"}),
        json!({"kind": ["spark"]}),
        json!({"kind": ""}),
        json!({"conf": "x"}),
        json!({"conf": ["x"]}),
        json!({"conf": {"spark.x": {}}}),
        json!({"conf": {"hearth.nope": "x"}}),
        json!({"conf": {"hearth.profile": "nope"}}),
        json!({"conf": {"hearth.context": "nope"}}),
        json!({"profile": "nope"}),
        json!({"jars": 1}),
        json!({"jars": [[]]}),
        json!({"driverCores": "many"}),
        json!({"driverCores": -1}),
        json!({"driverCores": 1.5}),
        json!({"driverCores": 4_294_967_296_u64}),
        json!({"driverMemory": {}}),
        json!({"driverMemory": "lots"}),
        json!({"driverMemory": "1g\u{0}"}),
        json!({"ttl": "soon"}),
        json!({"idleTimeout": "-1s"}),
        json!({"heartbeatTimeoutInSecond": "x"}),
        json!({"proxyUser": "a\u{0}b"}),
        json!({"name": "123"}),
        json!({"name": ""}),
        json!({"name": "a\u{0}b"}),
        json!({"name": "a\nb"}),
        json!({"name": "\u{1b}[31m"}),
        json!({"name": "x".repeat(200)}),
        json!({"name": "a/b"}),
    ] {
        let answer = livy.post("/sessions", body.clone()).await;
        let status = if body.pointer("/conf/hearth.context").is_some() { 404 } else { 400 };
        assert_clear(&answer, status, &body.to_string().chars().take(100).collect::<String>());
    }
    assert_eq!(livy.get("/sessions").await.json()["total"], 0, "a refused create leaves nothing behind");
    let processes = gateway.processes();
    assert_eq!(processes.len(), 1, "and starts nothing: {processes:?}");
    gateway.end().await;
}

#[tokio::test]
async fn paths_and_queries_that_make_no_sense() {
    let gateway = gateway_with_a_line("20").await;
    let livy = gateway.livy();
    let created = livy.post("/sessions", json!({"kind": "sql", "name": "there"})).await;
    created.expect(201);
    let session = created.header("location").to_owned();
    for id in [
        "9999",
        "2147483648",
        "99999999999999999999",
        "-1",
        "+0",
        "0x1",
        "nobody",
        "%00",
        "%0a",
        "a%20b",
        "%F0%9F%98%80",
        "..%2f",
    ] {
        for rest in ["", "/state", "/log", "/statements", "/statements/0"] {
            let answer = livy.get(&format!("/sessions/{id}{rest}")).await;
            assert_clear(&answer, 404, &format!("/sessions/{id}{rest}"));
        }
        assert_clear(&livy.delete(&format!("/sessions/{id}")).await, 404, id);
        for rest in ["/statements", "/completion"] {
            let answer = livy.post(&format!("/sessions/{id}{rest}"), json!({"code": "1", "kind": "sql"})).await;
            assert_clear(&answer, 404, &format!("POST /sessions/{id}{rest}"));
        }
    }
    for id in ["9999", "-1", "nobody", "2147483648"] {
        assert_clear(&livy.get(&format!("/batches/{id}")).await, 404, id);
    }
    // Not even text: the path cannot be read at all.
    assert_eq!(livy.get("/sessions/%ff").await.status, 400);
    for query in ["from=abc", "from=-1", "size=-1", "from=2147483648", "size=1e3", "from=", "size=%00", "from=1&from=2"]
    {
        assert_clear(&livy.get(&format!("/sessions?{query}")).await, 400, query);
        assert_clear(&livy.get(&format!("/batches?{query}")).await, 400, query);
        assert_clear(&livy.get(&format!("{session}/statements?{query}")).await, 400, query);
    }
    for query in ["wait=x", "wait=-1", "wait=NaN", "wait=", "wait=1&wait=2"] {
        assert_clear(&livy.get(&format!("{session}?{query}")).await, 400, query);
    }
    for number in ["x", "99999999999", "1.0", "%00"] {
        assert_clear(&livy.get(&format!("{session}/statements/{number}")).await, 400, number);
        let cancel = livy.post(&format!("{session}/statements/{number}/cancel"), json!({})).await;
        assert_clear(&cancel, 400, number);
    }
    for number in ["-1", "7"] {
        assert_clear(&livy.get(&format!("{session}/statements/{number}")).await, 404, number);
    }
    for (method, path) in [
        (Method::PUT, "/sessions"),
        (Method::PATCH, "/sessions/0"),
        (Method::DELETE, "/sessions"),
        (Method::POST, "/sessions/0"),
        (Method::GET, "/sessions/0/completion"),
        (Method::DELETE, "/version"),
    ] {
        let answer = livy.send(livy.request(method.clone(), path)).await;
        assert_eq!(answer.status, 405, "{method} {path}: {answer}");
        assert!(!answer.header("allow").is_empty(), "{method} {path}");
    }
    for path in
        ["/nope", "/sessions/0/nope", "/sessions/0/statements/0/nope", "/sessions//0", "//nope", "/../etc/passwd"]
    {
        assert_eq!(livy.get(path).await.status, 404, "{path}");
    }
    gateway.end().await;
}

/// Every POST of the door with a null, an empty and a wrong body.
#[tokio::test]
async fn odd_bodies_of_every_post() {
    let gateway = gateway_with_a_line("20").await;
    let livy = gateway.livy();
    let session = livy.post("/sessions", json!({"kind": "shared"})).await.header("location").to_owned();
    for body in
        ["null", "[]", "x", "{\"code\":1}", "{\"code\":null}", "{\"code\":\"1\",\"more\":1}", "{\"code\":[\"1\"]}", ""]
    {
        let answer = livy.post_text(&format!("{session}/statements"), body).await;
        assert_clear(&answer, 400, &format!("statement {body:?}"));
    }
    for kind in ["cobol", "sparkr", "shared"] {
        let answer = livy.post(&format!("{session}/statements"), json!({"code": "1", "kind": kind})).await;
        assert_clear(&answer, 400, kind);
    }
    assert_clear(&livy.post(&format!("{session}/statements"), json!({"code": "1"})).await, 400, "no kind on shared");
    for body in ["null", "[]", "", "{\"code\":{}}", "{\"cursor\":-1}", "{\"kind\":1}"] {
        assert_clear(
            &livy.post_text(&format!("{session}/completion"), body).await,
            400,
            &format!("completion {body:?}"),
        );
    }
    // Where the body means nothing, any is taken.
    for body in ["", "{}", "null", "x"] {
        let cancel = livy.post_text(&format!("{session}/statements/5/cancel"), body).await;
        assert_eq!(cancel.expect(200), json!({"msg": "canceled"}));
        livy.post_text(&format!("{session}/connect"), body).await.expect(200);
    }
    let bare = livy.send(livy.request(Method::POST, &format!("{session}/statements/5/cancel"))).await;
    assert_eq!(bare.expect(200), json!({"msg": "canceled"}), "no body and no Content-Type");
    for path in
        ["submit-job", "run-job", "upload-jar", "upload-file", "upload-pyfile", "add-jar", "add-pyfile", "add-file"]
    {
        assert_clear(&livy.post(&format!("{session}/{path}"), json!({"job": ""})).await, 501, path);
    }
    // Livy's Python client looks at no status, and would wait for ever for a job without a number and an end.
    let job = livy.post(&format!("{session}/run-job"), json!({"job": "gAM=", "jobType": "pyspark"})).await;
    for answer in [job, livy.get(&format!("{session}/jobs/0")).await] {
        assert_clear(&answer, 501, "a job");
        let told = answer.json();
        assert_eq!(
            (&told["id"], &told["state"], &told["error"]),
            (&json!(0), &json!("FAILED"), &told["msg"]),
            "{told}"
        );
    }
    assert_clear(&livy.post("/sessions/9999/submit-job", json!({})).await, 404, "a job to nowhere");
    let interrupt = livy.send(livy.request(Method::POST, &format!("{session}/interrupt"))).await;
    assert_eq!(interrupt.expect(200), json!({"msg": "interrupted"}));
    assert_eq!(livy.get(&format!("{session}/state")).await.json()["state"], "dead");
    gateway.end().await;
}

#[tokio::test]
async fn more_than_the_limit() {
    let gateway = gateway_with_a_line("20").await;
    let livy = gateway.livy();
    let session = livy.post("/sessions", json!({"kind": "sql"})).await.header("location").to_owned();
    let path = format!("{session}/statements");
    // A known length, and one that only shows as it comes.
    let code = format!("{{\"code\":\"{}\"}}", "x".repeat(100 << 20));
    let began = Instant::now();
    assert_clear(&livy.post_text(&path, code).await, 413, "100 MB of code");
    let piece = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    let pieces = futures_util::stream::iter((0..100).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    assert_clear(&livy.post_text(&path, Body::wrap_stream(pieces)).await, 413, "100 MB in chunks");
    // A little that would be much.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(b"{\"code\":\"").unwrap();
    packed.write_all(&vec![b'x'; 200 << 20]).unwrap();
    let request = livy.request(Method::POST, &path).header("content-type", "application/json");
    let bomb = request.header("content-encoding", "gzip").body(packed.finish().unwrap());
    assert_clear(&livy.send(bomb).await, 413, "200 MB in 200 kB");
    assert!(began.elapsed() < BOUND);
    // More than any would wait for is refused without being read.
    let huge = livy
        .request(Method::POST, &path)
        .header("content-length", u64::from(u32::MAX))
        .header("expect", "100-continue");
    let refused = tokio::time::timeout(BOUND, livy.try_send(huge)).await.unwrap();
    assert!(refused.is_err() || refused.unwrap().status == 413);
    // Code within the limit is taken, byte for byte.
    let large = format!("{{\"code\":\"select '{}' -- \\u0000 \\ud800 é\"}}", "y".repeat(10 << 20));
    let taken = livy.post_text(&path, large.clone()).await;
    assert_eq!(taken.status, 201, "{taken}");
    let read = livy.get(taken.header("location")).await;
    assert!(read.text.contains(&large[1..large.len() - 1]), "code comes back as it was sent");
    let memory = rss(gateway.pid());
    assert!(memory < 600 << 20, "{memory} bytes of memory after large bodies");
    gateway.end().await;
}

fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// A page of another site can do nothing, and neither can a name that was made to point here.
#[tokio::test]
async fn foreign_pages_and_hosts() {
    let gateway = gateway_with_a_line("20").await;
    let livy = gateway.livy();
    let body = json!({"kind": "sql"}).to_string();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("host", "evil.example"),
    ] {
        let post = livy.request(Method::POST, "/sessions").header("content-type", "text/plain").header(name, value);
        assert_eq!(livy.send(post.body(body.clone())).await.status, 403, "{name}: {value}");
    }
    let read = livy.request(Method::GET, "/sessions").header("host", "evil.example:8998");
    assert_eq!(livy.send(read).await.status, 403);
    assert_eq!(livy.get("/sessions").await.json()["total"], 0);
    gateway.end().await;
}

#[tokio::test]
async fn forged_requests_when_protection_is_on() {
    let gateway = Setup::new().set("http.csrf_protection", "true").set("launch.contexts", "1").start().await;
    let livy = gateway.livy();
    let refused = livy.post("/sessions", json!({"kind": "sql"})).await;
    assert_clear(&refused, 400, "no header");
    assert_eq!(refused.json()["msg"], "Missing Required Header for CSRF protection.");
    assert_clear(&livy.delete("/sessions/0").await, 400, "DELETE without the header");
    livy.get("/sessions").await.expect(200);
    let named = livy.request(Method::POST, "/sessions").header("X-Requested-By", "hue").json(&json!({"kind": "sql"}));
    livy.send(named).await.expect(201);
    gateway.end().await;
}

#[tokio::test]
async fn keys_of_repeated_requests() {
    let gateway = gateway_with_a_line("20").await;
    let livy = gateway.livy();
    let keyed = async |path: &str, key: &str, body: Value| {
        livy.send(livy.request(Method::POST, path).header("Idempotency-Key", key).json(&body)).await
    };
    let first = keyed("/sessions", "a", json!({"kind": "sql"})).await.expect(201);
    let again = keyed("/sessions", "a", json!({"kind": "sql"})).await.expect(201);
    assert_eq!(first["id"], again["id"]);
    assert_clear(&keyed("/sessions", "a", json!({"kind": "spark"})).await, 422, "another body");
    for bad in ["", "with space", &"k".repeat(300)] {
        assert_clear(&keyed("/sessions", bad, json!({"kind": "sql"})).await, 400, bad);
    }
    let session = format!("/sessions/{}", first["id"]);
    let statements = format!("{session}/statements");
    let one = keyed(&statements, "a", json!({"code": "select 1"})).await.expect(201);
    assert_eq!(keyed(&statements, "a", json!({"code": "select 1"})).await.expect(201)["id"], one["id"]);
    assert_clear(&keyed(&statements, "a", json!({"code": "select 2"})).await, 422, "another statement");
    let cancel = format!("{statements}/0/cancel");
    keyed(&cancel, "c", json!({})).await.expect(200);
    keyed(&cancel, "c", json!({})).await.expect(200);
    assert_clear(&keyed(&cancel, "c", json!({"x": 1})).await, 422, "another cancel");
    // Many at once with one key make one session.
    let many: Vec<Value> = (0..20)
        .map(|_| keyed("/sessions", "at-once", json!({"kind": "sql"})))
        .collect::<FuturesUnordered<_>>()
        .map(|answer| answer.expect(201)["id"].clone())
        .collect()
        .await;
    assert!(many.iter().all(|id| *id == many[0]), "{many:?}");
    assert_eq!(livy.get("/sessions").await.json()["total"], 2);
    gateway.end().await;
}

/// Two hundred creates at once: each is taken, and its log tells its position and why it waits, or refused with when to come back.
#[tokio::test]
async fn two_hundred_creates_at_once() {
    let gateway = gateway_with_a_line("50").await;
    let livy = gateway.livy();
    let began = Instant::now();
    let answers: Vec<Answer> = (0..200)
        .map(|_| livy.post("/sessions", json!({"kind": "sql"})))
        .collect::<FuturesUnordered<_>>()
        .collect()
        .await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 201);
    for answer in &refused {
        assert_clear(answer, 429, "above the line");
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
        assert!(answer.json()["msg"].as_str().unwrap().contains("wait in line"), "{answer}");
    }
    // Fifty wait; the first may have left the line before it was full.
    assert!((50..=51).contains(&taken.len()), "{} were taken", taken.len());
    // One of them is launched; the others say why they wait.
    let told = async || {
        let list = livy.get("/sessions?size=200").await.expect(200);
        let waiting =
            list["sessions"].as_array().unwrap().iter().filter(|s| s["log"].to_string().contains("waits in line"));
        (waiting.count() >= taken.len() - 1).then_some(())
    };
    until("sessions in line say their place", BOUND, told).await;
    reads_of_waiting_sessions(&livy, taken[taken.len() - 1].header("location")).await;
    let deleted = taken.iter().map(|a| livy.delete(a.header("location"))).collect::<FuturesUnordered<_>>();
    for answer in deleted.collect::<Vec<_>>().await {
        assert_eq!(answer.expect(200), json!({"msg": "deleted"}));
    }
    assert_eq!(livy.get("/sessions").await.json()["total"], 0);
    gateway.end().await;
}

/// A server that gives each such read a thread hangs as a whole.
async fn reads_of_waiting_sessions(livy: &Livy, session: &str) {
    let path = format!("{session}/statements");
    let reads = (0..200).map(|_| livy.get(&path)).collect::<FuturesUnordered<_>>();
    let answers = tokio::time::timeout(BOUND, reads.collect::<Vec<_>>()).await.unwrap();
    for answer in answers {
        assert_eq!(answer.expect(200), json!({"total_statements": 0, "statements": []}));
    }
    let waiting = format!("{session}?wait=2");
    let waits = (0..200).map(|_| livy.get(&waiting)).collect::<FuturesUnordered<_>>();
    let (health, _) = tokio::join!(livy.get("/healthz"), waits.collect::<Vec<_>>());
    assert_eq!(health.status, 200);
}
