//! The own API on a real gateway, a real Postgres and real Sparks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::api::{API, ended, session, submit};
use harness::livy::Answer;
use harness::{BOUND, Setup, until};
use reqwest::Method;
use serde_json::{Value, json};

/// The body of an error, which must be a problem document about this path.
fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    let body = answer.expect(status);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer}");
    assert_eq!((&body["status"], &body["code"]), (&json!(status), &json!(code)), "{answer}");
    for member in ["type", "title", "detail", "instance"] {
        assert!(body[member].as_str().is_some_and(|t| !t.is_empty()), "{member}: {answer}");
    }
    body
}

#[tokio::test]
async fn what_is_wrong_is_said_as_a_problem() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let sessions = format!("{API}/sessions");
    let nobody = format!("{sessions}/0193e2f0-0000-7000-8000-000000000000");

    for path in
        [nobody.as_str(), &format!("{sessions}/7"), &format!("{API}/nothing"), API, &format!("{nobody}/statements/x")]
    {
        let body = problem(&api.get(path).await, 404, "not_found");
        assert_eq!(body["instance"], path);
    }
    let answer = api.send(api.request(Method::PUT, &sessions)).await;
    problem(&answer, 405, "method_not_allowed");
    let allowed = answer.header("allow");
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");

    for (body, field) in [
        ("", "the body"),
        ("null", "the body"),
        ("{", "the body"),
        ("{} x", "the body"),
        ("[null, null]", "an object"),
        (r#"{"resources": []}"#, "resources"),
        (r#"{"kind": 7}"#, "kind"),
        (r#"{"kind": null}"#, "kind"),
        (r#"{"kind": "cobol"}"#, "kind"),
        (r#"{"surprise": 1}"#, "surprise"),
        (r#"{"resources": {"conf": {"spark.x": 1}}}"#, "resources.conf.spark.x"),
        (r#"{"resources": {"driver_cores": -1}}"#, "resources.driver_cores"),
        (r#"{"heartbeat_seconds": 99999999999}"#, "heartbeat_seconds"),
        (r#"{"name": "123"}"#, "123"),
        (r#"{"name": "a\u0000b"}"#, "name"),
        (r#"{"profile": "none such"}"#, "none such"),
        (r#"{"ttl": "soon"}"#, "ttl"),
        (r#"{"context": "x", "profile": "default"}"#, "profile"),
        (r#"{"resources": {"jars": ["/no/such.jar"]}}"#, "/no/such.jar"),
        (r#"{"resources": {"conf": {"spark.master": "yarn"}}}"#, "spark.master"),
    ] {
        let body_text = problem(&api.post_text(&sessions, body).await, 400, "invalid");
        assert!(body_text["detail"].as_str().unwrap().contains(field), "{body}: {body_text}");
    }
    problem(&api.post(&sessions, json!({"context": "nowhere"})).await, 404, "not_found");
    for query in ["from=-1", "size=0", "size=1001", "from=x", "surprise=1", "from=99999999999999999999"] {
        problem(&api.get(&format!("{sessions}?{query}")).await, 400, "invalid");
    }
    let form = api.request(Method::POST, &sessions).header("content-type", "text/plain").body("{}");
    problem(&api.send(form).await, 415, "unsupported_media_type");
    let foreign = api.request(Method::POST, &sessions).header("origin", "https://evil.example").json(&json!({}));
    problem(&api.send(foreign).await, 403, "denied");
    let keyed = api.request(Method::POST, &sessions).header("idempotency-key", "with blank").json(&json!({}));
    problem(&api.send(keyed).await, 400, "invalid");
    let large = api.post_text(&sessions, vec![b' '; 17 << 20]).await;
    problem(&large, 413, "too_large");

    assert_eq!(api.get(&sessions).await.expect(200)["total"], 0, "nothing was made");
    gateway.end().await;
}

#[tokio::test]
async fn code_runs_and_every_answer_is_typed() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let path = session(&api, json!({"kind": "pyspark", "name": "typed", "ttl": "1h"})).await;
    let shown = api.get(&path).await.expect(200);
    assert_eq!(
        (&shown["kind"], &shown["name"], &shown["ttl_ms"]),
        (&json!("pyspark"), &json!("typed"), &json!(3_600_000))
    );
    assert!(shown["livy_id"].is_i64() && shown["waits"].is_null(), "{shown}");

    let taken = api.post(&format!("{API}/sessions"), json!({"name": "typed"})).await;
    problem(&taken, 409, "conflict");

    let statements = format!("{path}/statements");
    let made = api
        .post(&format!("{statements}?wait=60"), json!({"code": "spark.range(3).toDF('n')", "kind": "pyspark"}))
        .await;
    let first = made.expect(201);
    assert_eq!(made.header("location"), format!("{statements}/0"));
    assert_eq!((&first["state"], &first["output"]["status"]), (&json!("available"), &json!("ok")), "{first}");
    assert!(first["ran_us"].as_i64().unwrap() > 0 && first["completed_at"].is_string(), "{first}");

    // The same key gives the same statement and runs nothing.
    let keyed = |code: &str| {
        api.request(Method::POST, &statements).header("idempotency-key", "k1").json(&json!({"code": code}))
    };
    let one = api.send(keyed("40 + 2")).await.expect(201);
    let again = api.send(keyed("40 + 2")).await.expect(201);
    assert_eq!(one["number"], again["number"]);
    problem(&api.send(keyed("something else")).await, 422, "key_reused");

    let printed = api
        .post(&format!("{statements}?wait=60"), json!({"code": "for i in range(3): print('line', i)"}))
        .await
        .expect(201);
    let output = format!("{statements}/{}/output", printed["number"]);
    let pieces = api.get(&output).await.expect(200);
    let text: String = pieces["items"].as_array().unwrap().iter().map(|p| p["text"].as_str().unwrap()).collect();
    assert_eq!(text, "line 0\nline 1\nline 2\n");
    let rest = api.get(&format!("{output}?after={}", pieces["last"])).await.expect(200);
    assert_eq!(rest["items"], json!([]));

    let sql = api
        .post(&format!("{statements}?wait=60"), json!({"code": "select 1 as one, 'x' as two", "kind": "sql"}))
        .await
        .expect(201);
    let columns = sql["columns"].as_array().unwrap_or_else(|| panic!("{sql}"));
    assert_eq!(columns.iter().map(|c| c["name"].as_str().unwrap()).collect::<Vec<_>>(), ["one", "two"]);

    let rdd = api
        .post(&format!("{statements}?wait=60"), json!({"code": "sc.parallelize(Seq((1, \"x\")))", "kind": "spark"}))
        .await
        .expect(201);
    let pair = json!([
        {"name": "_1", "type": "int", "class": "number"},
        {"name": "_2", "type": "string", "class": "text"},
    ]);
    assert_eq!(rdd["columns"], pair, "told by its type, without a job: {rdd}");

    let page = api.get(&format!("{statements}?size=2")).await;
    assert_eq!(page.expect(200)["items"].as_array().unwrap().len(), 2);
    let next =
        page.header("link").strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
    assert_eq!(api.get(&next).await.expect(200)["items"][0]["number"], 2);

    for kind in ["pyspark", "spark"] {
        let candidates = api
            .post(&format!("{path}/completion"), json!({"code": "spark.ran", "cursor": 9, "kind": kind}))
            .await
            .expect(200);
        assert!(
            candidates["candidates"].as_array().unwrap().iter().any(|c| c.as_str().unwrap().contains("range")),
            "{kind}: {candidates}"
        );
    }

    let slow = api.post(&statements, json!({"code": "import time; time.sleep(600)"})).await.expect(201);
    let slow = format!("{statements}/{}", slow["number"]);
    until("it runs", BOUND, async || (api.get(&slow).await.expect(200)["state"] == "running").then_some(())).await;
    let cancelled = api.post_text(&format!("{slow}/cancel?wait=60"), "").await.expect(200);
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    problem(&api.post_text(&format!("{statements}/999/cancel"), "").await, 404, "not_found");

    let metrics = api.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"), "{metrics}");
    for line in [
        r#"hearth_sessions{state="idle",kind="pyspark"} 1"#,
        r#"hearth_contexts{state="ready"} 1"#,
        "hearth_links 1",
        "hearth_launch_line 0",
        "hearth_database_up 1",
        r#"hearth_statements_total{kind="sql",outcome="ok"} 1"#,
        r#"hearth_statements_total{kind="pyspark",outcome="cancelled"} 1"#,
        r#"hearth_statement_overhead_seconds_count{kind="sql"} 1"#,
        r#"hearth_requests_total{door="api",method="POST",status="2xx"}"#,
        "hearth_output_bytes_total ",
        "hearth_commit_messages_count ",
    ] {
        assert!(metrics.text.lines().any(|l| l.starts_with(line)), "{line}\n{}", metrics.text);
    }
    assert!(metrics.text.ends_with("# EOF\n"));

    let log = api.get(&format!("{path}/log?size=5")).await.expect(200);
    assert_eq!(log["lines"].as_array().unwrap().len(), 5);
    let deleted = api.delete(&format!("{path}?wait=60")).await.expect(200);
    assert_eq!(deleted["state"], "dead");
    assert!(deleted["cause"].as_str().unwrap().starts_with("it was deleted by "), "{deleted}");
    assert_eq!(api.get(&format!("{statements}/0")).await.expect(200)["output"], first["output"], "results stay");
    let over = problem(&api.post(&statements, json!({"code": "1"})).await, 410, "gone");
    assert!(over["detail"].as_str().unwrap().contains("it was deleted by "), "{over}");
    gateway.end().await;
}

#[tokio::test]
async fn sessions_share_a_context_that_is_named() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let made = api.post(&format!("{API}/contexts?wait=60"), json!({"name": "team", "profile": "spark4"})).await;
    let context = made.expect(201);
    assert_eq!((&context["outlives_sessions"], &context["profile"]), (&json!(true), &json!("spark4")));
    let first = session(&api, json!({"kind": "sql", "context": "team"})).await;
    let began = std::time::Instant::now();
    let second = session(&api, json!({"kind": "sql", "context": context["id"]})).await;
    assert!(began.elapsed() < BOUND / 4, "a second session needs no application of its own");
    for path in [&first, &second] {
        assert_eq!(api.get(path).await.expect(200)["context"], context["id"]);
    }
    let run = async |path: &str, code: &str| {
        api.post(&format!("{path}/statements?wait=60"), json!({ "code": code })).await.expect(201)
    };
    run(&first, "create temp view mine as select 7 as n").await;
    assert_eq!(run(&first, "select n from mine").await["output"]["status"], "ok");
    assert_eq!(run(&second, "select n from mine").await["output"]["status"], "error", "views are a session's own");
    api.delete(&format!("{first}?wait=60")).await.expect(200);
    assert_eq!(run(&second, "select 1").await["output"]["status"], "ok", "the other lives on");

    let path = made.header("location").to_owned();
    assert_eq!(api.get(&path).await.expect(200)["state"], "ready");
    let ended = api.delete(&format!("{path}?wait=60")).await.expect(200);
    assert_eq!(ended["state"], "ended");
    assert_eq!(api.get(&second).await.expect(200)["state"], "dead");
    gateway.end().await;
}

#[tokio::test]
async fn a_sessions_own_context_ends_with_the_last_session_in_it() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let first = session(&api, json!({"kind": "sql"})).await;
    let context = api.get(&first).await.expect(200)["context"].clone();
    let second = session(&api, json!({"kind": "sql", "context": context})).await;
    api.delete(&first).await.expect(202);
    let gone = async || api.get(&first).await.expect(200)["ended_at"].is_string().then_some(());
    until("the first has ended", BOUND, gone).await;
    let still = ended(&api, &submit(&api, &second, "select 40 + 2 as n").await).await;
    assert!(still.to_string().contains("42"), "{still}");
    api.delete(&second).await.expect(202);
    let context = format!("{API}/contexts/{}", context.as_str().unwrap());
    let over = async || (api.get(&context).await.expect(200)["state"] == "ended").then_some(());
    until("the context has ended", BOUND, over).await;
    gateway.end().await;
}

/// The first twenty characters of a time: as people are told of it, but for the zone.
fn second(at: &Value) -> &str {
    at.as_str().unwrap().get(..19).unwrap()
}

#[tokio::test]
async fn what_is_over_says_who_ended_it_and_when_and_why() {
    let gateway = Setup::new().start().await;
    let api = gateway.livy();
    let me = api.get(&format!("{API}/login")).await.expect(200)["user"].clone();
    let by_me = json!({"user": me, "via": null, "clock": null});
    let why = format!("it was deleted by {}", me.as_str().unwrap());
    let told = |answer: &Answer, status: u16, code: &str, ended: &Value, cause: &str| {
        let detail = problem(answer, status, code)["detail"].as_str().unwrap().to_owned();
        let said = format!("ended at {}Z: {cause}", second(&ended["ended_at"]));
        assert!(detail.contains(&said), "{detail} does not say {said}");
    };

    // A session that is deleted by Livy's clients is gone for them, and known by its id.
    let path = session(&api, json!({"kind": "sql"})).await;
    let living = api.get(&path).await.expect(200);
    assert!(living["ended_by"].is_null() && living["cause"].is_null(), "{living}");
    assert!(living["ends_at"].is_string(), "the idle timeout of the configuration: {living}");
    let livy = format!("/sessions/{}", living["livy_id"]);
    assert!(!api.get(&livy).await.text.contains("ends_at"), "Livy's clients refuse fields that they do not know");
    api.delete(&livy).await.expect(200);
    let gone = api.get(&livy).await;
    assert_eq!((gone.status, gone.text), (404, format!(r#"{{"msg":"Session '{}' not found."}}"#, living["livy_id"])));
    let ended = api.get(&path).await.expect(200);
    assert_eq!((&ended["state"], &ended["ended_by"]), (&json!("dead"), &by_me), "{ended}");
    assert_eq!((&ended["cause"], &ended["ends_at"]), (&json!(why), &Value::Null), "{ended}");
    told(&api.post(&format!("{path}/statements"), json!({"code": "1"})).await, 410, "gone", &ended, &why);
    let code = json!({"code": "1", "cursor": 1, "kind": "sql"});
    told(&api.post(&format!("{path}/completion"), code).await, 410, "gone", &ended, &why);
    // What it has said can still be read, and ending it again changes nothing.
    api.get(&format!("{path}/log")).await.expect(200);
    assert_eq!(api.delete(&path).await.expect(200)["ended_at"], ended["ended_at"]);

    // Its own context ended with it, for good.
    let own = api.get(&format!("{API}/contexts/{}", ended["context"].as_str().unwrap())).await.expect(200);
    assert_eq!((&own["state"], &own["ended_by"], &own["cause"]), (&json!("ended"), &by_me, &json!(why)), "{own}");
    let attach = api.post(&format!("{API}/sessions"), json!({"kind": "sql", "context": own["id"]})).await;
    told(&attach, 410, "gone", &own, &why);
    let restart = api.post_text(&format!("{API}/contexts/{}/restart", own["id"].as_str().unwrap()), "").await;
    told(&restart, 410, "gone", &own, &why);

    // A context that can begin again says so; its sessions ended with it.
    let made = api.post(&format!("{API}/contexts?wait=60"), json!({"name": "team"})).await;
    let path = made.header("location").to_owned();
    let inside = session(&api, json!({"kind": "sql", "context": "team"})).await;
    let ended = api.delete(&format!("{path}?wait=60")).await.expect(200);
    assert_eq!((&ended["state"], &ended["ended_by"]), (&json!("ended"), &by_me), "{ended}");
    let attach = api.post(&format!("{API}/sessions"), json!({"kind": "sql", "context": "team"})).await;
    told(&attach, 409, "conflict", &ended, &why);
    assert!(attach.json()["detail"].as_str().unwrap().contains("restart it"), "{attach}");
    let with_it = api.get(&inside).await.expect(200);
    let cause = format!("its context ended: {why}");
    assert_eq!((&with_it["ended_by"], &with_it["cause"]), (&by_me, &json!(cause)), "{with_it}");
    told(&api.post(&format!("{inside}/statements"), json!({"code": "1"})).await, 410, "gone", &with_it, &cause);
    let dead = api.post(&format!("/sessions/{}/statements", with_it["livy_id"]), json!({"code": "1"})).await;
    assert_eq!(
        (dead.status, dead.text.as_str()),
        (500, r#""java.lang.IllegalStateException: Session is in state dead""#)
    );

    // A driver that dies was ended by nobody; what became of it is the cause.
    let path = session(&api, json!({"kind": "pyspark"})).await;
    let kill = "import os, signal\nos.kill(spark.sparkContext._jvm.ProcessHandle.current().pid(), signal.SIGKILL)";
    api.post(&format!("{path}/statements"), json!({ "code": kill })).await.expect(201);
    let died = until("the driver is dead", BOUND, async || {
        let now = api.get(&path).await.expect(200);
        (now["state"] == "dead").then_some(now)
    })
    .await;
    assert!(died["ended_by"].is_null(), "{died}");
    let cause = died["cause"].as_str().unwrap();
    assert!(cause.contains("the driver was killed"), "{died}");
    told(&api.post(&format!("{path}/statements"), json!({"code": "1"})).await, 410, "gone", &died, cause);

    // A batch.
    let batch = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/known.py");
    let made = api.post(&format!("{API}/batches"), json!({ "file": batch })).await;
    made.expect(201);
    let ended = api.delete(&format!("{}?wait=60", made.header("location"))).await.expect(200);
    assert_eq!(
        (&ended["state"], &ended["ended_by"], &ended["cause"]),
        (&json!("killed"), &by_me, &json!(why)),
        "{ended}"
    );
    assert!(ended["ended_at"].is_string(), "{ended}");
    gateway.end().await;
}
