//! Two people with Kerberos tickets on one machine: whose code runs as whom, and what of each other and of the gateway it can reach. A
//! gateway that is started as root, on both lines of Spark.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use harness::kdc::Kdc;
use harness::livy::Livy;
use harness::os_users::OsUsers;
use harness::{BOUND, COLD, Gateway, Setup, until};
use nix::unistd::Uid;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const GATE: usize = 0;
const ALICE: usize = 1;
const BOB: usize = 2;
/// A service account, to whose group alice belongs too.
const CREW: usize = 3;

/// Says as JSON whose process it is, what it is left with, and what it may do: paths and pids in its arguments.
const WHO_AM_I: &str = r#"
import json, os, socket
def tries(action):
    try:
        action()
        return "done"
    except OSError as refused:
        return type(refused).__name__
def proc(field):
    return [line.split()[1] for line in open("/proc/self/status") if line.startswith(field + ":")][0]
mask = os.umask(0o077)
open("mine", "w").close()
found = dict(uid=os.getuid(), gid=os.getgid(), groups=sorted(os.getgroups()), umask=mask, cwd=os.getcwd(), home=os.environ["HOME"],
    owner=os.stat("mine").st_uid, caps=[proc(c) for c in ("CapPrm", "CapEff", "CapInh", "CapAmb")], new=proc("NoNewPrivs"),
    tmp=os.environ["TMPDIR"], variables=sorted(os.environ), back=tries(lambda: os.setuid(0)),
    closed={path: tries(lambda: os.listdir(path) if os.path.isdir(path) else open(path).close()) for path in PATHS},
    sockets={path: tries(lambda: socket.socket(socket.AF_UNIX).connect(path)) for path in SOCKETS},
    kill={pid: tries(lambda: os.kill(pid, 0)) for pid in PIDS})
print(json.dumps(found))
"#;

/// As another OS user of the machine: what answers on the ports of the user whose uid is given, and what of a process can be seen.
const STRANGER: &str = r#"
import ctypes, json, os, socket, sys
uid, pids = int(sys.argv[1]), [int(pid) for pid in sys.argv[2:]]
ports = set()
for table in ("/proc/net/tcp", "/proc/net/tcp6"):
    for line in open(table).readlines()[1:]:
        field = line.split()
        if field[3] == "0A" and int(field[7]) == uid:
            host, port = field[1].rsplit(":", 1)
            ports.add((int(port, 16), host[-8:] == "0100007F"))
near = all(loopback for _, loopback in ports)
def answer(port, words):
    link = socket.create_connection(("127.0.0.1", port), timeout=5)
    try:
        link.sendall(words)
        return link.recv(4000).decode("latin1")
    except OSError:
        return ""
answers = {port: answer(port, b"GET / HTTP/1.0\r\n\r\n") for port, _ in ports}
# A call by Python's own protocol.
calls = {port: answer(port, b"c\nz:java.lang.System\nlineSeparator\ne\n") for port, _ in ports}
seen = {}
for pid in pids:
    for what in ("environ", "mem", "maps", "fd", "cwd"):
        path = "/proc/%d/%s" % (pid, what)
        try:
            os.listdir(path) if what == "fd" else os.readlink(path) if what == "cwd" else open(path, "rb").read(1)
            seen[path] = "seen"
        except OSError as refused:
            pass
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, 0, 0) == 0:
        seen["ptrace %d" % pid] = "attached"
print(json.dumps(dict(answers=answers, calls=calls, near=near, seen=seen)))
"#;

struct Fixture {
    users: OsUsers,
    kdc: Kdc,
    gateway: Gateway,
    _sparks: tempfile::TempDir,
    folders: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        assert!(Uid::effective().is_root(), "only root can try what only root can do");
        let users = OsUsers::new(&["system-gate", "alice", "bob", "crew"]);
        users.join(ALICE, CREW);
        let kdc = Kdc::start(&[users.name(ALICE), users.name(BOB), "carol"]).await;
        let (sparks, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::set_permissions(folders.path(), fs::Permissions::from_mode(0o711)).unwrap();
        for user in [GATE, ALICE, BOB] {
            users.folder(user, &folders.path().join(users.name(user)));
        }
        let keytab = folders.path().join(users.name(GATE)).join("keytab");
        fs::copy(kdc.keytab(), &keytab).unwrap();
        own(&users, GATE, &keytab);
        for user in [ALICE, BOB] {
            let secret = folders.path().join(users.name(user)).join("secret");
            fs::write(&secret, "").unwrap();
            own(&users, user, &secret);
        }
        let of_the_crew = |profile: &str, share: &str| {
            format!(
                "[profiles.{profile}]\nspark_home = {:?}\npython = \"/usr/bin/python3\"\nrun_as = \"service:{}\"\nshare = {share:?}",
                sparks.path().join("default"),
                users.name(CREW)
            )
        };
        let setup = Setup::new()
            .run_as_users(users.name(GATE), sparks.path())
            .env("KRB5_CONFIG", kdc.conf().display())
            .env("KRB5RCACHENAME", format!("file2:{}/replays", keytab.parent().unwrap().display()))
            .env("SECRET_OF_THE_GATEWAY", "canary")
            .set("auth.negotiate.keytab", keytab.to_str().unwrap())
            .toml("[auth]\nschemes = [\"negotiate\", \"token\"]\ngroups = \"os\"")
            .toml(&format!("[profiles.default]\nfile_roots = [{:?}]", folders.path()))
            .toml(&of_the_crew("team", "session"))
            .toml(&of_the_crew("members", &format!("group:{}", users.name(CREW))))
            .toml(&of_the_crew("everybody", "service"));
        let gateway = setup.start().await;
        Self { users, kdc, gateway, _sparks: sparks, folders }
    }

    /// The Livy door as a principal.
    fn door(&self, principal: &str) -> Livy {
        let url = format!("{}/api/v1/tokens", self.gateway.url().replace("127.0.0.1", "localhost"));
        let new = r#"{"name":"test","scope":"manage","ttl":"1h"}"#;
        let said = self.kdc.curl(principal, &["-H", "Content-Type: application/json", "-d", new, &url]);
        let body = said.rsplit("\r\n\r\n").next().unwrap();
        let made: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{said}"));
        self.gateway.livy().bearer(made["secret"].as_str().unwrap_or_else(|| panic!("{said}")))
    }

    fn secret(&self, user: usize) -> PathBuf {
        self.folders.path().join(self.users.name(user)).join("secret")
    }

    fn processes(&self, user: usize) -> Vec<(i32, String)> {
        processes(self.users.account(user).0)
    }

    fn jvm(&self, user: usize) -> i32 {
        let java = |(_, line): &(i32, String)| line.contains("SparkSubmit");
        self.processes(user).into_iter().find(java).expect("a driver").0
    }

    /// What `curl --negotiate` is answered with a ticket of this user: status and body.
    fn ticket(&self, user: usize, path: &str, more: &[&str]) -> (u16, Value) {
        let url = format!("{}{path}", self.gateway.url().replace("127.0.0.1", "localhost"));
        let arguments: Vec<&str> = more.iter().copied().chain(["-H", "Expect:", &url]).collect();
        let said = self.kdc.curl(self.users.name(user), &arguments);
        let (head, body) = said[said.rfind("HTTP/1.1 ").expect("a head")..].split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{said}")))
    }

    /// POSTs JSON with a ticket.
    fn post(&self, user: usize, path: &str, body: &Value) -> (u16, Value) {
        self.ticket(user, path, &["-H", "Content-Type: application/json", "-d", &body.to_string()])
    }

    /// What a user's code says of itself.
    async fn who(&self, door: &Livy, session: &str, other: usize) -> Value {
        let done = door.run(session, json!({"kind": "pyspark", "code": self.question(other)})).await;
        let text = done["output"]["data"]["text/plain"].as_str().unwrap_or_else(|| panic!("{done}"));
        serde_json::from_str(text).unwrap()
    }

    /// The code that says who runs it, and what it reaches of another who has a driver too.
    fn question(&self, other: usize) -> String {
        let home = self.gateway.home();
        let gateway = self.gateway.pid();
        let keytab = self.folders.path().join(self.users.name(GATE)).join("keytab");
        let paths = [
            self.secret(other).display().to_string(),
            home.display().to_string(),
            home.join("launch").display().to_string(),
            home.join("work").display().to_string(),
            home.join("postgres/data").display().to_string(),
            home.join("lock").display().to_string(),
            keytab.display().to_string(),
            format!("/proc/{gateway}/environ"),
            format!("/proc/{}/environ", self.jvm(other)),
            "/etc/shadow".to_owned(),
        ];
        let sockets = [home.join("postgres/run/.s.PGSQL.5432").display().to_string()];
        let pids = [i32::try_from(gateway).unwrap(), self.jvm(other), 1];
        let constants = format!("PATHS, SOCKETS, PIDS = {}, {}, {pids:?}\n", json!(paths), json!(sockets));
        constants + WHO_AM_I
    }
}

/// Processes of a user: pid and command line.
fn processes(uid: Uid) -> Vec<(i32, String)> {
    let listed = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    listed
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.metadata().ok()?.uid())))
        .filter(|(_, owner)| *owner == uid.as_raw())
        .map(|(pid, _): (i32, u32)| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}

fn own(users: &OsUsers, user: usize, path: &Path) {
    let (uid, gid) = users.account(user);
    chown(path, Some(uid.as_raw()), Some(gid.as_raw())).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn as_root_everybody_runs_as_themselves_and_reaches_nothing_of_another() {
    let mut it = Fixture::new().await;
    let (alice, bob) = (it.door(it.users.name(ALICE)), it.door(it.users.name(BOB)));
    refusals(&it, &alice).await;
    let (hers, his) = tokio::join!(
        alice.session(json!({"kind": "shared"})),
        bob.session(json!({"kind": "shared", "conf": {"hearth.profile": "spark4"}}))
    );

    for (door, session, user, other) in [(&alice, &hers, ALICE, BOB), (&bob, &his, BOB, ALICE)] {
        let (uid, gid) = it.users.account(user);
        let who = it.who(door, session, other).await;
        let ids = [&who["uid"], &who["owner"], &who["gid"]];
        assert_eq!(ids, [&json!(uid.as_raw()), &json!(uid.as_raw()), &json!(gid.as_raw())], "{who}");
        let mut groups = vec![gid.as_raw()];
        if user == ALICE {
            groups.push(it.users.account(CREW).1.as_raw());
        }
        groups.sort_unstable();
        assert_eq!(who["groups"], json!(groups), "hers and no others: nothing is left of the launcher's");
        assert_eq!((&who["umask"], &who["new"], &who["back"]), (&json!(0o077), &json!("1"), &json!("PermissionError")));
        assert_eq!(who["caps"], json!(vec!["0000000000000000"; 4]));
        assert_eq!(who["home"], "/nonexistent");
        let cwd = Path::new(who["cwd"].as_str().unwrap());
        let found = fs::metadata(cwd).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (uid.as_raw(), 0o700), "{}", cwd.display());
        assert!(Path::new(who["tmp"].as_str().unwrap()).starts_with(cwd));
        assert!(!who["variables"].to_string().contains("SECRET_OF"), "{who}");
        for what in ["closed", "sockets", "kill"] {
            let tried = who[what].as_object().unwrap();
            assert!(!tried.is_empty() && tried.values().all(|said| said == "PermissionError"), "{what}: {who}");
        }
        // The JVM has the same identity.
        let scala =
            "new java.io.File(\"theirs\").createNewFile(); print(new com.sun.security.auth.module.UnixSystem().getUid)";
        let done = door.run(session, json!({"kind": "spark", "code": scala})).await;
        assert!(done["output"]["data"]["text/plain"].as_str().unwrap().starts_with(&uid.to_string()), "{done}");
        assert_eq!(fs::metadata(cwd.join("theirs")).unwrap().uid(), uid.as_raw());
        let count = door.run(session, json!({"kind": "pyspark", "code": "sc.parallelize(range(100), 4).map(lambda x: (x % 7, x)).reduceByKey(max).count()"})).await;
        assert_eq!(count["output"]["data"]["text/plain"], "7", "{count}");
    }
    for (driver, stranger) in [(ALICE, BOB), (BOB, ALICE)] {
        nothing_answers(&it, driver, stranger).await;
    }

    // Of a profile with a service account code runs as that, whoever asks.
    let team = alice.session(json!({"kind": "pyspark", "conf": {"hearth.profile": "team"}})).await;
    let crew = alice.text(&team, "import os; os.getuid()").await;
    assert_eq!(crew, it.users.account(CREW).0.to_string());
    alice.delete(&team).await.expect(200);

    // The drivers outlive the gateway and its launcher.
    it.gateway.kill().await;
    let launchers = async || {
        let named = |(_, line): &(u32, String)| line.starts_with("hearth launcher ");
        (!it.gateway.processes().iter().any(named)).then_some(())
    };
    until("its launcher is gone", BOUND, launchers).await;
    it.gateway.restart().await;
    alice.idle(&hers).await;
    let again = alice.run(&hers, json!({"kind": "pyspark", "code": "import os; os.getuid()"})).await;
    assert_eq!(again["output"]["data"]["text/plain"], it.users.account(ALICE).0.to_string());
    assert_eq!(bob.get(&hers).await.status, 404);
    alice.delete(&hers).await.expect(200);
    let gone = async || it.processes(ALICE).is_empty().then_some(());
    until(&format!("nothing of her is left, but {:?}", it.processes(ALICE)), BOUND, gone).await;
    assert!(!it.processes(BOB).is_empty());
    let Fixture { gateway, users, .. } = it;
    gateway.end().await;
    let left = processes(users.account(BOB).0);
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn as_root_two_people_with_nothing_but_their_tickets() {
    let it = Fixture::new().await;
    let new = json!({"kind": "pyspark"});
    let mut ids = Vec::new();
    for user in [ALICE, BOB] {
        let (status, made) = it.post(user, "/sessions", &new);
        assert_eq!((status, &made["owner"]), (201, &json!(it.users.name(user))), "{made}");
        ids.push(made["id"].clone());
    }
    let [hers, his] = [&ids[0], &ids[1]].map(|id| format!("/sessions/{id}"));
    for (user, session) in [(ALICE, &hers), (BOB, &his)] {
        let idle = async || (it.ticket(user, &format!("{session}?wait=30"), &[]).1["state"] == "idle").then_some(());
        until(&format!("{session} is idle"), COLD, idle).await;
    }

    // Each sees their own, and of the other nothing.
    for (user, own, other) in [(ALICE, 0, &his), (BOB, 1, &hers)] {
        let listed = it.ticket(user, "/sessions", &[]).1;
        assert_eq!((&listed["total"], &listed["sessions"][0]["id"]), (&json!(1), &ids[own]), "{listed}");
        for path in [other.clone(), format!("{other}/statements"), format!("{other}/log")] {
            assert_eq!(it.ticket(user, &path, &[]).0, 404, "{path}");
        }
    }

    // Her code runs as her, its files are hers, and it reaches nothing of him or of the gateway.
    let code = json!({"code": it.question(BOB)});
    let (status, done) = it.post(ALICE, &format!("{hers}/statements?wait=60"), &code);
    assert_eq!((status, &done["state"]), (201, &json!("available")), "{done}");
    let said = done["output"]["data"]["text/plain"].as_str().unwrap_or_else(|| panic!("{done}"));
    let who: Value = serde_json::from_str(said).unwrap();
    let uid = it.users.account(ALICE).0.as_raw();
    assert_eq!((&who["uid"], &who["owner"]), (&json!(uid), &json!(uid)));
    for what in ["closed", "sockets", "kill"] {
        let tried = who[what].as_object().unwrap();
        assert!(!tried.is_empty() && tried.values().all(|said| said == "PermissionError"), "{what}: {who}");
    }

    // She lets him view: he reads, and runs nothing.
    let (_, listed) = it.ticket(ALICE, "/api/v1/sessions", &[]);
    let id = listed["items"][0]["id"].as_str().unwrap();
    let view = json!({"level": "view", "user": it.users.name(BOB)});
    let (status, given) = it.post(ALICE, &format!("/api/v1/sessions/{id}/grants"), &view);
    assert_eq!(status, 201, "{given}");
    let (status, read) = it.ticket(BOB, &format!("{hers}/statements/0"), &[]);
    assert_eq!((status, read["output"]["data"]["text/plain"].as_str()), (200, Some(said)));
    assert_eq!(it.ticket(BOB, "/sessions", &[]).1["total"], 2);
    let (status, refused) = it.post(BOB, &format!("{hers}/statements"), &json!({"code": "1"}));
    assert!(status == 403 && refused["msg"].as_str().unwrap().contains("not run code in it"), "{refused}");
    assert_eq!(it.ticket(BOB, &hers, &["-X", "DELETE"]).0, 403);
    assert_eq!(it.ticket(ALICE, &format!("{hers}/statements"), &[]).1["total_statements"], 1, "nothing of his ran");

    // And no longer.
    let grant = format!("/api/v1/sessions/{id}/grants/{}", given["id"].as_str().unwrap());
    assert_eq!(it.ticket(ALICE, &grant, &["-X", "DELETE"]).0, 200);
    assert_eq!(it.ticket(BOB, &hers, &[]).0, 404);
    it.gateway.end().await;
}

#[tokio::test]
async fn as_root_several_people_share_a_context_that_is_no_person_s() {
    let it = Fixture::new().await;
    let (alice, bob) = (it.door(it.users.name(ALICE)), it.door(it.users.name(BOB)));
    let crew = it.users.name(CREW);
    let of = |profile: &str| json!({"kind": "pyspark", "conf": {"hearth.profile": profile}});
    let context = async |door: &Livy, session: &str| {
        let all = door.get("/api/v1/sessions").await.json();
        let found = |one: &&Value| session.ends_with(&format!("/{}", one["livy_id"]));
        let id = all["items"].as_array().unwrap().iter().find(found).unwrap()["context"].clone();
        door.get(&format!("/api/v1/contexts/{}", id.as_str().unwrap())).await.json()
    };

    // What a group shares takes its members and nobody else.
    let hers = alice.session(of("members")).await;
    let found = context(&alice, &hers).await;
    let said = (&found["owner"], &found["run_as"], &found["shared_with"]);
    assert_eq!(said, (&json!(format!("group:{crew}")), &json!(crew), &json!("group")), "{found}");
    let refused = bob.post("/sessions", of("members")).await;
    assert!(refused.status == 403 && refused.text.contains("no member"), "{refused}");
    let path = format!("/api/v1/contexts/{}", found["id"].as_str().unwrap());
    assert_eq!(bob.get(&path).await.status, 404);
    // It is no member's to stop.
    assert_eq!(alice.delete(&path).await.status, 403);
    alice.delete(&hers).await.expect(200);

    // What everybody shares takes everybody, each in sessions of their own, as the service account.
    let (hers, his) = tokio::join!(alice.session(of("everybody")), bob.session(of("everybody")));
    let (one, other) = (context(&alice, &hers).await, context(&bob, &his).await);
    assert_eq!((&one["id"], &one["owner"]), (&other["id"], &json!(format!("service:{crew}"))), "{one} {other}");
    for (door, session) in [(&alice, &hers), (&bob, &his)] {
        assert_eq!(door.text(session, "import os; os.getuid()").await, it.users.account(CREW).0.to_string());
    }
    assert_eq!(bob.get(&hers).await.status, 404, "they share the context, not each other's sessions");
    alice.text(&hers, "hearth.share(7, 'seven')").await;
    assert_eq!(bob.text(&his, "hearth.shared('seven')").await, "7");
    assert_eq!(one["shared_with"], "service");
    it.gateway.end().await;
}

/// What is refused before anything runs.
async fn refusals(it: &Fixture, alice: &Livy) {
    for (key, why) in [
        ("spark.jars.packages", "an administrator"),
        ("spark.no.such", "does not know"),
        ("spark.yarn.keytab", "identity"),
    ] {
        let refused = alice.post("/sessions", json!({"kind": "sql", "conf": {key: "x"}})).await;
        assert!(refused.status == 400 && refused.text.contains(key) && refused.text.contains(why), "{refused}");
    }
    let link = |name: &str, to: &Path| {
        let link = it.folders.path().join(it.users.name(ALICE)).join(name);
        std::os::unix::fs::symlink(to, &link).unwrap();
        link.display().to_string()
    };
    for (file, why) in [
        (it.secret(BOB).display().to_string(), "permission denied"),
        (link("to-bob", &it.secret(BOB)), "permission denied"),
        (link("to-the-system", Path::new("/etc/passwd")), "file_roots"),
        (link("to-a-folder", Path::new("/etc")) + "/passwd", "file_roots"),
        (it.secret(ALICE).display().to_string() + ".py", "does not exist"),
        ("/etc/passwd".to_owned(), "file_roots"),
        (format!("{}/../../etc/passwd", it.folders.path().display()), "file_roots"),
    ] {
        for body in [json!({"kind": "sql", "files": [file]}), json!({"kind": "sql", "conf": {"spark.files": file}})] {
            let refused = alice.post("/sessions", body).await;
            assert!(refused.status == 400 && refused.text.contains(why), "{file}: {refused}");
        }
        let refused = alice.post("/batches", json!({"file": file})).await;
        assert!(refused.status == 400 && refused.text.contains(why), "{file}: {refused}");
    }
    let refused = it.door("carol").post("/sessions", json!({"kind": "sql"})).await;
    assert!(refused.status == 403 && refused.text.contains("there is no OS user \\\"carol\\\""), "{refused}");
}

/// As `stranger`, nothing of the driver of `driver` says a word: its ports, its UI, its memory, its folders.
async fn nothing_answers(it: &Fixture, driver: usize, stranger: usize) {
    let (uid, jvm) = (it.users.account(driver).0.to_string(), it.jvm(driver));
    let pids: Vec<String> = it.processes(driver).iter().map(|(pid, _)| pid.to_string()).collect();
    let arguments: Vec<&str> = [uid.as_str()].into_iter().chain(pids.iter().map(String::as_str)).collect();
    let said: Value = serde_json::from_str(&it.users.says(stranger, STRANGER, &arguments)).unwrap();
    assert_eq!((&said["near"], &said["seen"]), (&json!(true), &json!({})), "{said}");
    let answers = said["answers"].as_object().unwrap();
    // The UI says that it says nothing; Spark's own protocols and Python's gateway close, or tell that the secret is missing.
    let forbidden = |said: &str| said.starts_with("HTTP/1.1 403");
    let ui: Vec<&String> =
        answers.iter().filter(|(_, said)| forbidden(said.as_str().unwrap())).map(|(port, _)| port).collect();
    assert_eq!(ui.len(), 1, "{said}");
    assert!(answers.len() >= 4, "RPC, blocks, UI, Python: {said}");
    for (port, said) in answers {
        let said = said.as_str().unwrap();
        // Python's gateway does not know such a command; Spark 4's Python daemon says the number of a process, then wants its secret.
        let harmless = said.chars().count() <= 4 || forbidden(said) || said.contains("Unknown command received");
        assert!(harmless, "{port}: {said:?}");
    }
    let calls: Vec<&str> = said["calls"].as_object().unwrap().values().map(|said| said.as_str().unwrap()).collect();
    assert!(calls.iter().any(|said| said.contains("Authentication error")), "{calls:?}");
    assert!(!calls.iter().any(|said| said.starts_with("!y")), "a call was answered: {calls:?}");

    // The gateway, which knows the hash of the token, can open it.
    let work = fs::read_link(format!("/proc/{jvm}/cwd")).unwrap();
    let conf = fs::read_to_string(work.join("spark.conf")).unwrap();
    let token = conf.lines().find_map(|line| line.strip_prefix("spark.hearth.token=")).unwrap();
    let key: String = Sha256::new_with_prefix("hearth ui")
        .chain_update(Sha256::digest(token))
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (key, status) in [(key.as_str(), 200), (token, 403), ("", 403)] {
        for page in ["/jobs/", "/environment/", "/api/v1/applications", "/static/webui.css"] {
            let url = format!("http://127.0.0.1:{}{page}", ui[0]);
            let answer = client.get(url).header("X-Hearth-Ui-Key", key).send().await.unwrap();
            assert_eq!(answer.status(), status, "{page}");
        }
    }
    let line = &it.processes(driver).into_iter().find(|(pid, _)| *pid == jvm).unwrap().1;
    assert!(!line.contains(token) && !line.contains("canary"), "{line}");
}
