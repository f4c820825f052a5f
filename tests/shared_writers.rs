//! People write and read one key-value handle at the same time, from sessions of all languages and from outside, and an executor dies
//! amid it: every read is explained by the history of puts, nothing is lost, and nothing stays behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and is configured by its environment"
)]

mod harness;
mod real;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Included};
use std::time::{Duration, SystemTime};

use harness::api::{API, ended, session, submit, text};
use harness::cluster::Cluster;
use harness::livy::Livy;
use harness::{BOUND, COLD, Gateway, Setup, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Entries of the RDD that the handle is made of, and keys that every put writes, all with one tag.
const SOURCE: usize = 10_000;
const SHARED: usize = 20;
/// Keys of its own that every put of a session writes besides, and how many such sets a session has.
const OWN: usize = 300;
const SETS: usize = 40;
/// Turns that everybody has at least, however slow the machine is.
const LEAST: usize = 12;

/// Every third turn puts, the others read, with an entry of the source that only executors have.
const SCALA: &str = r#"
val ledger = SharedRdd[String, String]("ledger")
def micros: Long = { val now = java.time.Instant.now; now.getEpochSecond * 1000000 + now.getNano / 1000 }
def work(who: String, seconds: Int): String = {
  val said = new StringBuilder
  val limit = micros + seconds * 1000000L
  val shared = (0 until SHARED).map("g" + _)
  var n = 0
  while (micros < limit || n < LEAST) {
    val begun = micros
    if (n % 3 == 0) {
      val own = (0 until OWN).map(i => s"$who/${n / 3 % SETS}/$i" -> n.toString)
      val version = ledger.put((shared.map(_ -> s"$who:$n") ++ own).toMap)
      said ++= s"put $version $version $who:$n $begun $micros\n"
    } else {
      val (before, source) = (ledger.version, n * 7919 % SOURCE)
      val found = ledger.getAll(shared :+ s"s$source")
      require(found(s"s$source") == s"source $source" && found.size == SHARED + 1, found.toString)
      said ++= s"get $before ${ledger.version} ${shared.map(found).distinct.mkString("+")} $begun $micros\n"
    }
    n += 1
  }
  said.toString
}"#;
const PYTHON: &str = r#"
import time
ledger = SharedRdd("ledger")
def micros(): return time.time_ns() // 1000
def work(who, seconds):
    said, limit, n = [], micros() + seconds * 1000000, 0
    shared = ["g%d" % i for i in range(SHARED)]
    while micros() < limit or n < LEAST:
        begun = micros()
        if n % 3 == 0:
            entries = {key: "%s:%d" % (who, n) for key in shared}
            entries.update(("%s/%d/%d" % (who, n // 3 % SETS, i), str(n)) for i in range(OWN))
            version = ledger.put(entries)
            said.append("put %d %d %s:%d %d %d" % (version, version, who, n, begun, micros()))
        else:
            before, source = ledger.version, n * 7919 % SOURCE
            found = ledger.get_all(shared + ["s%d" % source])
            assert found["s%d" % source] == "source %d" % source and len(found) == SHARED + 1, found
            tags = sorted({found[key] for key in shared})
            said.append("get %d %d %s %d %d" % (before, ledger.version, "+".join(tags), begun, micros()))
        n += 1
    return "\n".join(said)"#;

/// A put or a read, as the one who did it knows it. Versions: of the put, or before and after the read. Times in µs since 1970.
#[derive(Debug)]
struct Deed {
    is_put: bool,
    versions: (i64, i64),
    tag: String,
    times: (u128, u128),
}

impl Deed {
    fn told(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        Self {
            is_put: words[0] == "put",
            versions: (words[1].parse().unwrap(), words[2].parse().unwrap()),
            tag: words[3].to_owned(),
            times: (words[4].parse().unwrap(), words[5].parse().unwrap()),
        }
    }
}

fn micros() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros()
}

fn filled(code: &str) -> String {
    let sizes = [("SOURCE", SOURCE), ("SHARED", SHARED), ("OWN", OWN), ("SETS", SETS), ("LEAST", LEAST)];
    sizes.iter().fold(code.to_owned(), |code, (name, size)| code.replace(name, &size.to_string()))
}

/// Somebody with an API token.
async fn person(gateway: &Gateway, user: &str) -> Livy {
    let token = format!("hearth_{user:x<43}");
    sqlx::query(
        "insert into api_token (token_id, tenant, owner, groups, name, scope, secret_hash, made_by, expires_at)
         values ($1, 'default', $2, '{}', 'test', 'manage', $3, $2, now() + interval '1 hour')",
    )
    .bind(Uuid::now_v7())
    .bind(user)
    .bind(Sha256::digest(&token).to_vec())
    .execute(&mut gateway.database().connect().await)
    .await
    .unwrap();
    gateway.livy().bearer(&token)
}

/// A context of three people on the cluster. Its driver is started while nobody has to show who they are, and then all have to.
async fn team(cluster: &Cluster) -> (Gateway, Livy) {
    let profile = format!(
        "[profiles.cluster]\nspark_home = {:?}\nmaster = \"{}\"\n[profiles.cluster.conf]\n\"spark.executor.cores\" = \"2\"",
        real::spark_4(),
        cluster.master()
    );
    let mut gateway = Setup::new().toml(&profile).start().await;
    let api = gateway.livy();
    let made = api.post(&format!("{API}/contexts"), json!({"name": "team", "profile": "cluster"})).await.expect(201);
    let context = format!("{API}/contexts/{}", made["id"].as_str().unwrap());
    let ready = async |api: &Livy| (api.get(&context).await.expect(200)["state"] == "ready").then_some(());
    until("the context is ready", COLD, || ready(&api)).await;
    gateway.terminate().await;
    gateway.set("auth.schemes", "[\"token\"]");
    gateway.set("auth.groups", "none");
    gateway.set("launch.launcher", "/nonexistent/launcher.sock");
    for (profile, account) in [("default", "user"), ("spark4", "user"), ("cluster", "service:worker")] {
        gateway.set(&format!("profiles.{profile}.run_as"), account);
    }
    gateway.set("profiles.cluster.share_identity", "true");
    gateway.restart().await;
    let owner = person(&gateway, made["owner"].as_str().unwrap()).await;
    for user in ["bob", "carol"] {
        let grant = json!({"level": "attach", "user": user, "confirm_identity": true});
        owner.post(&format!("{context}/grants"), grant).await.expect(201);
    }
    until("the driver is connected", BOUND, || ready(&owner)).await;
    (gateway, owner)
}

async fn run(api: &Livy, session: &str, code: &str) -> String {
    text(api, &submit(api, session, &filled(code)).await).await
}

/// Puts and reads over HTTP; here each read is told its version.
async fn from_outside(api: &Livy, handle: &str, seconds: u64) -> Vec<Deed> {
    let limit = micros() + u128::from(seconds) * 1_000_000;
    let shared: Vec<String> = (0..SHARED).map(|i| format!("g{i}")).collect();
    let mut deeds = Vec::new();
    while micros() < limit || deeds.len() < LEAST {
        let (begun, n) = (micros(), deeds.len());
        let is_put = n % 5 == 4;
        let (version, tag) = if is_put {
            let tag = format!("outside:{n}");
            let entries: HashMap<&String, &String> = shared.iter().map(|key| (key, &tag)).collect();
            let put = api.request(Method::PUT, &format!("{handle}/entries")).json(&json!({ "entries": entries }));
            (api.send(put).await.expect(200)["version"].as_i64().unwrap(), tag)
        } else {
            let found = api.post(&format!("{handle}/entries/get"), json!({ "keys": shared })).await.expect(200);
            let entries = found["entries"].as_array().unwrap();
            assert_eq!(entries.len(), SHARED, "{found}");
            let tag = entries[0]["value"].as_str().unwrap().to_owned();
            assert!(entries.iter().all(|entry| entry["value"] == *tag), "of one version: {found}");
            (found["version"].as_i64().unwrap(), tag)
        };
        deeds.push(Deed { is_put, versions: (version, version), tag, times: (begun, micros()) });
    }
    deeds
}

/// Reads by SQL, which knows no versions: any may be the one.
async fn by_sql(api: &Livy, session: &str, seconds: u64) -> Vec<Deed> {
    let limit = micros() + u128::from(seconds) * 1_000_000;
    let query = "select value, count(*) from global_temp.ledger where key like 'g%' group by value";
    let mut deeds = Vec::new();
    while micros() < limit || deeds.len() < 3 {
        let begun = micros();
        let done = ended(api, &submit(api, session, query).await).await;
        let rows = done["output"]["data"]["application/json"]["data"].as_array().unwrap_or_else(|| panic!("{done}"));
        assert_eq!((rows.len(), &rows[0][1]), (1, &json!(SHARED)), "of one version: {done}");
        let tag = rows[0][0].as_str().unwrap().to_owned();
        deeds.push(Deed { is_put: false, versions: (0, i64::MAX), tag, times: (begun, micros()) });
    }
    deeds
}

/// An executor is killed when all are at work; another one comes in its place.
async fn an_executor_dies(cluster: &Cluster, seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds / 3)).await;
    let before = cluster.executors();
    assert_eq!(before.len(), 2, "executors: {before:?}");
    kill(Pid::from_raw(before[0].cast_signed()), Signal::SIGKILL).unwrap();
    until("another executor runs", COLD, async || {
        let now = cluster.executors();
        (now.len() == 2 && !now.contains(&before[0])).then_some(())
    })
    .await;
}

/// The version of each tag, once the deeds of all have been found to fit to one history. `histories`: of each reader, in order.
fn one_history(histories: &[Vec<Deed>]) -> HashMap<String, i64> {
    let mut puts: BTreeMap<i64, &Deed> = BTreeMap::new();
    let mut known = HashMap::from([("nobody:0".to_owned(), 1)]);
    for put in histories.iter().flatten().filter(|deed| deed.is_put) {
        assert!(puts.insert(put.versions.0, put).is_none(), "two puts have version {}", put.versions.0);
        known.insert(put.tag.clone(), put.versions.0);
    }
    let last = *puts.keys().last().expect("somebody puts");
    assert_eq!((puts.len() as i64, puts.keys().next()), (last - 1, Some(&2)), "each put makes the next version");
    for history in histories {
        let mut newest = 0;
        for read in history.iter().filter(|deed| !deed.is_put) {
            let version = *known.get(&read.tag).unwrap_or_else(|| panic!("a tag that nobody has put: {read:?}"));
            assert!(version <= read.versions.1, "from the future: {read:?}");
            if let Some(over) = puts.range((Excluded(version), Included(read.versions.0.max(version)))).next() {
                panic!("{read:?} does not see version {over:?}");
            }
            assert!(version >= newest, "one reader goes back from version {newest}: {read:?}");
            newest = version;
            let answered = puts.range((Excluded(version), Included(last))).find(|put| put.1.times.1 < read.times.0);
            assert!(answered.is_none(), "{read:?} does not see what was answered before: {answered:?}");
            let is_begun = puts.get(&version).is_none_or(|put| put.times.0 <= read.times.1);
            assert!(is_begun, "{read:?} sees what nobody had put yet");
        }
    }
    known
}

/// All that was put last is there, and all that nobody has put to. `all`: how many entries of the source there are, then the others.
fn nothing_is_lost(all: &str, histories: &[Vec<Deed>], versions: &HashMap<String, i64>) {
    let (source, others) = all.split_once('\n').unwrap();
    assert_eq!(source, SOURCE.to_string());
    let found: HashMap<&str, &str> = others.lines().map(|line| line.split_once('=').unwrap()).collect();
    let (last, _) = versions.iter().max_by_key(|(_, version)| **version).unwrap();
    let mut expected: HashMap<String, String> = (0..SHARED).map(|i| (format!("g{i}"), last.clone())).collect();
    for put in histories.iter().flatten().filter(|deed| deed.is_put) {
        let (who, n) = put.tag.split_once(':').unwrap();
        if who != "outside" {
            let set = n.parse::<usize>().unwrap() / 3 % SETS;
            expected.extend((0..OWN).map(|i| (format!("{who}/{set}/{i}"), n.to_owned())));
        }
    }
    let wrong = expected.iter().find(|(key, value)| found.get(key.as_str()) != Some(&value.as_str()));
    assert!(wrong.is_none(), "{wrong:?} is {:?}", wrong.map(|(key, _)| found.get(key.as_str())));
    assert_eq!(found.len(), expected.len());
}

#[tokio::test]
async fn every_read_is_explained_by_the_history_of_puts() {
    let seconds = std::env::var("HEARTH_TEST_WRITERS_SECONDS").map_or(10, |text| text.parse::<u64>().unwrap());
    let cluster = Cluster::of(&real::spark_4(), 4, 2).await;
    let (gateway, owner) = team(&cluster).await;
    let (bob, carol) = (person(&gateway, "bob").await, person(&gateway, "carol").await);
    let attach = |kind: &str| json!({"kind": kind, "context": "team"});
    let (python, one, two, sql) = tokio::join!(
        session(&owner, attach("pyspark")),
        session(&bob, attach("spark")),
        session(&carol, attach("spark")),
        session(&carol, attach("sql"))
    );
    let make = r#"lazy val source = sc.parallelize((0 until SOURCE).map(i => s"s$i" -> s"source $i") ++ (0 until SHARED).map(i => s"g$i" -> "nobody:0"), 8)
        println(ShareableRdd(source, "ledger", force = true).version)"#;
    assert!(run(&bob, &one, make).await.ends_with("\n1"));
    for (api, session, code) in [(&bob, &one, SCALA), (&carol, &two, SCALA), (&owner, &python, PYTHON)] {
        submit(api, session, &filled(code)).await;
    }
    let handle = until("the handle is known", BOUND, async || {
        let found = carol.get(&format!("{API}/contexts/team/handles/ledger")).await;
        (found.status == 200).then(|| found.json())
    })
    .await;
    let handle = format!("{API}/handles/{}", handle["id"].as_str().unwrap());

    let (first, second) = (format!("println(work(\"one\", {seconds}))"), format!("println(work(\"two\", {seconds}))"));
    let third = format!("print(work('three', {seconds}))");
    let (one_said, two_said, three_said, outside, by_sql, ()) = tokio::join!(
        run(&bob, &one, &first),
        run(&carol, &two, &second),
        run(&owner, &python, &third),
        from_outside(&carol, &handle, seconds),
        by_sql(&carol, &sql, seconds),
        an_executor_dies(&cluster, seconds)
    );
    let mut histories: Vec<Vec<Deed>> =
        [one_said, two_said, three_said].iter().map(|said| said.lines().map(Deed::told).collect()).collect();
    histories.extend([outside, by_sql]);
    eprintln!("deeds of each: {:?}", histories.iter().map(Vec::len).collect::<Vec<_>>());
    let versions = one_history(&histories);
    let all = r#"{
        val all = ledger.rdd().collect()
        val (old, others) = all.partition(entry => entry._2 == "source " + entry._1.drop(1))
        println((old.size +: others.map(entry => entry._1 + "=" + entry._2)).mkString("\n"))
    }"#;
    let all = run(&bob, &one, all).await;
    nothing_is_lost(&all, &histories, &versions);

    bob.delete(&handle).await.expect(200);
    let left = r#"System.gc()
        println(sc.getPersistentRDDs.keys ++ org.apache.spark.SparkEnv.get.blockManager.master.getMatchingBlockIds(_.isRDD, false))"#;
    until("no block is left", BOUND, async || {
        let left = run(&bob, &one, left).await;
        (left.ends_with("()")).then_some(())
    })
    .await;
    gateway.end().await;
}
