//! Defects that were seen in a Livy server, each as a test: what breaks a session or a server there must not here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::{BOUND, Setup, until};
use serde_json::{Value, json};

#[tokio::test]
async fn what_breaks_a_session_elsewhere() {
    // A secret of the gateway's own environment, which no code of a session may read.
    let gateway = Setup::new().set("log.json", "false").start().await;
    let livy = gateway.livy();
    let session = livy.session(json!({"kind": "pyspark"})).await;
    let run = async |code: &str, kind: &str| livy.run(&session, json!({"code": code, "kind": kind})).await;

    // A result of more than 50 MB: cut, told so, and the session goes on.
    let big = run("'x' * 60_000_000", "pyspark").await;
    assert_eq!(big["state"], "available");
    assert!(big["output"].to_string().len() < 8 << 20, "a result is bounded");
    let printed = run("for _ in range(60): print('y' * 1_000_000)", "pyspark").await;
    assert!(printed["output"].to_string().len() < 8 << 20, "what is printed is bounded");
    assert_eq!(livy.text(&session, "1+1").await, "2");

    // %json and %table of what JSON has no word for leave the interpreter alive.
    run("kept = 7", "pyspark").await;
    for code in [
        "s = {1, 2}\n%json s",
        "df = spark.range(2)\n%json df",
        "%json",
        "t = [[1], ['x']]\n%table t",
        "o = object()\n%json o",
    ] {
        let ended = run(code, "pyspark").await;
        assert_eq!(ended["state"], "available", "{code}: {ended}");
        assert_eq!(livy.text(&session, "kept").await, "7", "after {code}");
    }

    // In Scala, %json shows the value that it names.
    run("val one = 1\nval two = 2", "spark").await;
    let named = run("%json one", "spark").await;
    assert_eq!(named["output"]["data"], json!({"application/json": 1}), "{named}");

    // A Python process that dies takes its variables with it, not the session.
    let died = run("import os\nos._exit(3)", "pyspark").await;
    assert_eq!(died["output"]["status"], "error", "{died}");
    let anew = livy.text(&session, "1+1").await;
    assert!(anew.starts_with('2') && anew.contains("started anew"), "it goes on, and says what is gone: {anew}");

    // Code of a session sees nothing of the gateway: no address, no password, no key.
    let seen = livy.text(&session, "import os; print([k for k in os.environ if k.startswith('HEARTH__')])").await;
    assert_eq!(seen.trim(), "[]");
    let scala = run("println(sys.env.keys.filter(_.startsWith(\"HEARTH__\")).size)", "spark").await;
    assert!(scala["output"]["data"]["text/plain"].as_str().unwrap().contains('0'), "{scala}");

    only_loopback(&gateway.processes());
    livy.delete(&session).await.expect(200);
    let left = async || (gateway.processes().len() == 1).then_some(());
    until(&format!("the driver is gone: {:?}", gateway.processes()), BOUND, left).await;
    gateway.end().await;
}

/// No process of ours listens where others can reach it.
fn only_loopback(processes: &[(u32, String)]) {
    let mut listening = 0;
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // State 0A is LISTEN.
            if fields[3] != "0A" || !processes.iter().any(|(pid, _)| holds(*pid, fields[9])) {
                continue;
            }
            listening += 1;
            let address = fields[1].split(':').next().unwrap();
            let loopback =
                address == "0100007F" || address.ends_with("0100007F") || address == "00000000000000000000000001000000";
            assert!(loopback, "{line} is open to others");
        }
    }
    assert!(listening > 0, "the driver listens somewhere");
}

fn holds(pid: u32, inode: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let wanted = format!("socket:[{inode}]");
    entries
        .filter_map(Result::ok)
        .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy() == wanted))
}

/// A refused create leaks nothing, and a refused batch is not listed.
#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let gateway = Setup::new().start().await;
    let livy = gateway.livy();
    livy.post("/sessions", json!({"kind": "spark", "name": "123"})).await.expect(400);
    livy.post("/sessions", json!({"kind": "spark", "driverMemory": "lots"})).await.expect(400);
    livy.post("/batches", json!({})).await.expect(400);
    livy.post("/batches", json!({"file": "/nowhere/at/all.py"})).await.expect(400);
    livy.post("/batches", json!({"file": "relative.py"})).await.expect(400);
    for list in ["/sessions", "/batches"] {
        assert_eq!(livy.get(list).await.expect(200), json!({"from": 0, "total": 0, "sessions": Value::Array(vec![])}));
    }
    assert_eq!(gateway.processes().len(), 1, "{:?}", gateway.processes());
    gateway.end().await;
}

/// Nothing that others could reach is opened while nobody is asked who they are.
#[tokio::test]
async fn without_authentication_only_loopback_is_served() {
    let home = tempfile::tempdir().unwrap();
    let refused = tokio::process::Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(["serve", "--listen", "0.0.0.0:0", "--database-url", "postgres://nobody@127.0.0.1:1/none"])
        .env("HEARTH_HOME", home.path())
        .kill_on_drop(true)
        .output();
    let refused = tokio::time::timeout(BOUND, refused).await.expect("it does not start").unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("authentication"), "{said}");
}

/// A name is shown as JSON that no browser takes for a page.
#[tokio::test]
async fn names_are_no_markup() {
    let gateway = Setup::new().set("launch.contexts", "1").start().await;
    let livy = gateway.livy();
    let name = "<img src=x onerror=alert(1)>";
    let created = livy.post("/sessions", json!({"kind": "sql", "name": name})).await;
    assert_eq!(created.expect(201)["name"], name);
    for path in [created.header("location"), "/sessions"] {
        let shown = livy.get(path).await;
        assert_eq!(shown.header("content-type"), "application/json;charset=utf-8");
        assert_eq!(shown.header("x-content-type-options"), "nosniff");
        assert!(shown.header("content-security-policy").contains("default-src 'none'"));
    }
    gateway.end().await;
}
