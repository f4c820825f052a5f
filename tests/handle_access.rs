//! Who reaches a handle, and until when: code of other contexts, makers who lose their right to attach, readers whose grant or credential ends
//! while they read, names that somebody else gives to data of theirs. The agents are made of this test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod harness;

use std::io;

use bytes::Bytes;
use futures_util::stream;
use harness::agent::{Agent, Application};
use harness::api::{API, person};
use harness::livy::Livy;
use harness::{BOUND, Gateway, Setup, until};
use reqwest::{Body, Method, Response};
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

const ARROW: &str = "application/vnd.apache.arrow.stream";

/// Alice's context that she lets others attach to, and what she and Bob have there.
struct World {
    gateway: Gateway,
    db: PgConnection,
    alice: Livy,
    bob: Livy,
    home: Application,
    agent: Agent,
    /// Sessions in it of Alice and Bob.
    sessions: [Uuid; 2],
}

impl World {
    async fn new() -> Self {
        let gateway = Setup::new()
            .runs_nothing()
            .toml(
                r#"
                [auth]
                schemes = ["token"]
                groups = "none"
                [profiles.open]
                master = "yarn"
                run_as = "user"
                share_identity = true
                [profiles.etl]
                master = "yarn"
                run_as = "service:etl"
                "#,
            )
            .start()
            .await;
        let mut db = gateway.database().connect().await;
        let home = Application::new(&gateway, "alice", "alice", "open").await;
        let sessions = [home.session(&mut db, "alice", 0).await, home.session(&mut db, "bob", 1).await];
        let agent = home.dial(0, json!({})).await;
        let (alice, bob) = (person(&gateway, "alice").await, person(&gateway, "bob").await);
        Self { gateway, db, alice, bob, home, agent, sessions }
    }

    /// The agent says that a session has shared a version of `states`.
    async fn share(&mut self, session: usize, version: i64, more: Value) {
        let mut body = json!({"name": "states", "kind": "pairs", "version": version, "state": "ready", "key": "string", "partitions": 2,
                              "storage": "NONE", "durable": null});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.agent.say("handle", Some(self.sessions[session]), body).await;
    }

    /// The agent is asked for rows of a handle; the share that is meant.
    async fn asks(&mut self, who: &Livy, handle: &Value) -> Value {
        let reader = rows(who, &id(handle));
        let asked = self.agent.told("open_stream").await;
        reader.abort();
        asked["share"].clone()
    }

    /// The handle of that name as somebody sees it, once it has this version.
    async fn find(&self, who: &Livy, version: i64) -> Value {
        until("the version is known", BOUND, async || {
            let found = who.get(&format!("{API}/contexts/{}/handles/states", self.home.context)).await;
            (found.status == 200 && found.json()["version"] == version).then(|| found.json())
        })
        .await
    }

    /// Lets Bob attach; the grant's path.
    async fn attach(&self) -> String {
        let grants = format!("{API}/contexts/{}/grants", self.home.context);
        let body = json!({"level": "attach", "user": "bob", "confirm_identity": true});
        let grant = self.alice.post(&grants, body).await.expect(201);
        format!("{grants}/{}", grant["id"].as_str().unwrap())
    }

    /// Begins to bring the stream that the agent is asked for next; what is put into the sender comes, and the end when that is dropped.
    async fn bring(&mut self) -> mpsc::Sender<Bytes> {
        let asked = self.agent.told("open_stream").await;
        let (pieces, taken) = mpsc::channel::<Bytes>(1);
        let pieces_to_come = stream::unfold(taken, |mut taken| async {
            let piece = taken.recv().await?;
            Some((Ok::<_, io::Error>(piece), taken))
        });
        let path = format!("/driver/streams/{}", asked["stream"].as_str().unwrap());
        let request = self.home.request(Method::POST, &path).header("x-hearth-handle-version", "1");
        let request = request.body(Body::wrap_stream(pieces_to_come));
        tokio::spawn(async move { request.send().await });
        pieces
    }

    /// How often code of a context has been written down as a reader, and as whom.
    async fn reads_by(&mut self, context: Uuid) -> Vec<String> {
        sqlx::query_scalar(
            "select actor from audit_event where event = 'read' and resource_kind = 'handle' and detail like '%' || $1 order by event_id",
        )
        .bind(context.to_string())
        .fetch_all(&mut self.db)
        .await
        .unwrap()
    }
}

fn id(handle: &Value) -> String {
    format!("{API}/handles/{}", handle["id"].as_str().unwrap())
}

fn rows(who: &Livy, handle: &str) -> JoinHandle<Response> {
    let request = who.request(Method::GET, &format!("{handle}/rows")).header("accept", "text/csv");
    tokio::spawn(async move { request.send().await.unwrap() })
}

fn read(by: &Application, home: &Application) -> JoinHandle<Response> {
    let request = by.request(Method::GET, &format!("/driver/handles/{}/states", home.context));
    tokio::spawn(async move { request.send().await.unwrap() })
}

/// It breaks off, so that nobody takes what came for the whole.
async fn breaks_off(mut answer: Response) {
    let broken = async {
        loop {
            match answer.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended as if it were whole"),
                Err(_) => return,
            }
        }
    };
    tokio::time::timeout(BOUND, broken).await.expect("it breaks off");
}

#[tokio::test]
async fn code_reads_as_whom_it_runs_while_its_application_lives() {
    let mut world = World::new().await;
    world.share(0, 1, json!({"shared": true})).await;
    let handle = id(&world.find(&world.alice, 1).await);
    let own = Application::new(&world.gateway, "alice", "alice", "open").await;
    let service = Application::new(&world.gateway, "alice", "etl", "etl").await;

    // Many people's code may run there: that Alice has made the context is no right of theirs.
    assert_eq!(read(&service, &world.home).await.unwrap().status(), 404);
    let grants = format!("{handle}/grants");
    world.alice.post(&grants, json!({"level": "read", "user": "etl"})).await.expect(201);
    for (by, actor) in [(&service, "etl"), (&own, "alice")] {
        let answer = read(by, &world.home);
        let pieces = world.bring().await;
        pieces.send(Bytes::from_static(b"rows")).await.unwrap();
        drop(pieces);
        let answer = answer.await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, ARROW));
        assert_eq!(answer.text().await.unwrap(), "rows");
        assert_eq!(world.reads_by(by.context).await, [actor], "also what is the reader's own");
    }

    // The end of the application ends what its code reads, and its token opens no more.
    let answer = read(&own, &world.home);
    let pieces = world.bring().await;
    pieces.send(Bytes::from_static(b"more")).await.unwrap();
    let answer = answer.await.unwrap();
    own.end(&mut world.db).await;
    breaks_off(answer).await;
    drop(pieces);
    let refused = read(&own, &world.home).await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(refused.text().await.unwrap().contains("is over"));
    let waits = rows(&world.alice, &handle);
    let asked = world.agent.told("open_stream").await;
    world.home.end(&mut world.db).await;
    let brought = world.home.bring(&asked["stream"], ("x-hearth-handle-version", "1".to_owned()), "forged").await;
    assert_eq!(brought, Some(401));
    waits.abort();
    assert_eq!(own.dial(0, json!({})).await.told("close").await, 4004, "its agent learns that it is to stop itself");
    world.gateway.end().await;
}

#[tokio::test]
async fn what_is_revoked_while_it_is_read_breaks_off() {
    let mut world = World::new().await;
    world.share(0, 1, json!({"shared": true})).await;
    let handle = id(&world.find(&world.alice, 1).await);
    let grants = format!("{handle}/grants");
    let grant = world.alice.post(&grants, json!({"level": "read", "user": "bob"})).await.expect(201);

    // Bob asks for an entry, and the driver takes its time; he and Alice read all rows.
    let (bob, path) = (world.bob.clone(), format!("{handle}/entries?key=ak"));
    let entry = tokio::spawn(async move { bob.get(&path).await });
    let asked = world.agent.told("handle_request").await;
    let (his, pieces) = (rows(&world.bob, &handle), world.bring().await);
    his_and_hers(&mut world, &handle, his, pieces, async |world| {
        world.alice.delete(&format!("{grants}/{}", grant["id"].as_str().unwrap())).await.expect(200);
    })
    .await;
    let result = json!({"version": 1, "entries": [{"key": "ak", "value": "Alaska"}]});
    let answer = json!({"request": asked["request"], "error": null, "result": result});
    world.agent.say("handle_answer", None, answer).await;
    let answer = entry.await.unwrap();
    assert!(answer.status == 404 && !answer.text.contains("Alaska"), "{answer}");

    // The same with the token by which he reads.
    world.alice.post(&grants, json!({"level": "read", "user": "bob"})).await.expect(201);
    let (his, pieces) = (rows(&world.bob, &handle), world.bring().await);
    his_and_hers(&mut world, &handle, his, pieces, async |world| {
        let tokens = world.bob.get(&format!("{API}/tokens")).await.expect(200);
        let token = tokens["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(world.bob.delete(&format!("{API}/tokens/{token}")).await.status, 204);
    })
    .await;
    world.gateway.end().await;
}

/// Bob's stream, which the agent brings by `pieces`, breaks off once something is `taken` from him; Alice's, which began before, comes whole.
async fn his_and_hers(
    world: &mut World,
    handle: &str,
    his: JoinHandle<Response>,
    pieces: mpsc::Sender<Bytes>,
    taken: impl AsyncFnOnce(&World),
) {
    let hers = rows(&world.alice, handle);
    let to_her = world.bring().await;
    for to in [&pieces, &to_her] {
        to.send(Bytes::from_static(b"ak\n")).await.unwrap();
    }
    let (his, hers) = (his.await.unwrap(), hers.await.unwrap());
    assert_eq!((his.status().as_u16(), hers.status().as_u16()), (200, 200));
    taken(world).await;
    breaks_off(his).await;
    to_her.send(Bytes::from_static(b"ca\n")).await.unwrap();
    drop(to_her);
    assert_eq!(hers.text().await.unwrap(), "ak\nca\n");
}

#[tokio::test]
async fn what_bob_makes_in_alices_context_is_his_while_he_may_attach() {
    let mut world = World::new().await;
    let grant = world.attach().await;
    world.share(1, 1, json!({"shared": true})).await;
    let found = world.find(&world.bob, 1).await;
    let handle = id(&found);
    assert_eq!(found["owner"], "bob");
    let to_carol = json!({"level": "read", "user": "carol"});
    let carol = world.bob.post(&format!("{handle}/grants"), to_carol).await.expect(201);
    assert_eq!(world.bob.get(&format!("{API}/handles")).await.expect(200)["total"], 1);
    world.alice.delete(&grant).await.expect(200);
    until("it is his no longer", BOUND, async || (world.bob.get(&handle).await.status == 404).then_some(())).await;
    assert_eq!(world.bob.get(&format!("{API}/handles")).await.expect(200)["total"], 0);
    let carol = format!("{handle}/grants/{}", carol["id"].as_str().unwrap());
    world.bob.get(&format!("{handle}/rows")).await.expect(404);
    world.bob.post(&format!("{handle}/grants"), json!({"level": "read", "user": "dave"})).await.expect(404);
    world.bob.delete(&carol).await.expect(404);
    world.bob.delete(&handle).await.expect(404);
    world.alice.get(&handle).await.expect(200);
    let again = world.attach().await;
    until("it is his again", BOUND, async || (world.bob.get(&handle).await.status == 200).then_some(())).await;
    world.alice.delete(&again).await.expect(200);
    world.gateway.end().await;
}

#[tokio::test]
async fn a_name_that_somebody_else_gives_to_other_data_is_theirs() {
    let mut world = World::new().await;
    let carol = person(&world.gateway, "carol").await;
    world.attach().await;
    world.share(1, 1, json!({"shared": true})).await;
    let his = world.find(&world.bob, 1).await;
    let path = id(&his);
    world.bob.post(&format!("{path}/grants"), json!({"level": "read", "user": "carol"})).await.expect(201);
    carol.get(&path).await.expect(200);

    // Who puts changes the data, not whose they are; so does who shares his own anew, and an agent that does not tell the two apart.
    world.share(0, 2, json!({})).await;
    world.share(1, 3, json!({"shared": true})).await;
    let same = world.find(&world.alice, 3).await;
    assert_eq!((&same["id"], &same["owner"]), (&his["id"], &json!("bob")));
    carol.get(&path).await.expect(200);

    // What is older than what is known takes no name; a session of nowhere takes none either.
    world.share(0, 2, json!({"shared": true})).await;
    let lost = Uuid::now_v7();
    let nowhere =
        json!({"name": "states", "kind": "rdd", "version": 9, "state": "ready", "storage": "NONE", "shared": true});
    world.agent.say("handle", Some(lost), nowhere).await;
    world.share(0, 4, json!({"shared": true})).await;
    let hers = world.find(&world.alice, 4).await;
    assert_ne!(hers["id"], his["id"]);
    assert_eq!((&hers["owner"], &hers["created_by_session"]), (&json!("alice"), &json!(world.sessions[0])));
    carol.get(&path).await.expect(404);
    carol.get(&id(&hers)).await.expect(404);
    world.alice.get(&path).await.expect(404);
    assert_eq!(world.alice.get(&format!("{}/grants", id(&hers))).await.expect(200)["total"], 0);
    let ended: (String, String) = sqlx::query_as("select state, reason from handle where handle_id = $1::uuid")
        .bind(his["id"].as_str().unwrap())
        .fetch_one(&mut world.db)
        .await
        .unwrap();
    assert_eq!(ended, ("gone".to_owned(), "its name was given to other data by alice".to_owned()));
    world.gateway.end().await;
}

/// What is allowed of one handle is not done to another that has come to bear its name.
#[tokio::test]
async fn what_is_asked_says_whose_data_are_meant() {
    let mut world = World::new().await;
    world.attach().await;
    let (alice, bob) = (world.alice.clone(), world.bob.clone());
    // An agent of before knows no shares, and is asked by name alone.
    world.share(1, 1, json!({"shared": true})).await;
    let his = world.find(&bob, 1).await;
    assert_eq!(world.asks(&bob, &his).await, Value::Null);
    let [first, second] = [(); 2].map(|()| Uuid::now_v7());
    world.share(1, 2, json!({"shared": true, "share": first})).await;
    world.share(0, 3, json!({"share": first})).await;
    let same = world.find(&bob, 3).await;
    assert_eq!((&same["id"], world.asks(&bob, &same).await), (&his["id"], json!(first)));

    let (reader, path) = (bob.clone(), format!("{}/entries?key=ak", id(&his)));
    let waits = tokio::spawn(async move { reader.get(&path).await });
    let asked = world.agent.told("handle_request").await;
    assert_eq!(asked["share"], json!(first));
    world.share(0, 4, json!({"shared": true, "share": second})).await;
    let hers = world.find(&alice, 4).await;
    assert_eq!(world.asks(&alice, &hers).await, json!(second));
    let error = json!({"code": "not_found", "message": "the name states stands for other data by now"});
    let answer = json!({"request": asked["request"], "error": error, "result": null});
    world.agent.say("handle_answer", None, answer).await;
    let answer = waits.await.unwrap();
    assert!(answer.expect(410)["detail"].as_str().unwrap().contains("other data"), "{answer}");
    // What is no uuid is no share: the message is passed over.
    world.share(0, 5, json!({"share": "second"})).await;
    world.share(0, 6, json!({})).await;
    assert_eq!(world.find(&alice, 6).await["id"], hers["id"]);
    assert_eq!(world.asks(&alice, &hers).await, json!(second), "an agent that says none keeps it");
    world.gateway.end().await;
}

/// Whoever may read a handle may not keep the others from theirs by asking much at once.
#[tokio::test]
async fn one_reader_does_not_take_every_place() {
    let mut world = World::new().await;
    world.share(0, 1, json!({"shared": true})).await;
    let handle = id(&world.find(&world.alice, 1).await);
    world.alice.post(&format!("{handle}/grants"), json!({"level": "read", "user": "bob"})).await.expect(201);
    let count = |who: &Livy| {
        let (who, path) = (who.clone(), format!("{handle}/count"));
        tokio::spawn(async move { who.get(&path).await })
    };
    let his: Vec<_> = (0..9).map(|_| count(&world.bob)).collect();
    for _ in 0..8 {
        world.agent.told("handle_request").await;
    }
    let hers = count(&world.alice);
    let asked = world.agent.told("handle_request").await;
    let answer = json!({"request": asked["request"], "error": null, "result": {"version": 1, "count": 7}});
    world.agent.say("handle_answer", None, answer).await;
    let hers = tokio::time::timeout(BOUND, hers).await.expect("hers is answered").unwrap();
    assert_eq!(hers.expect(200)["count"], 7);
    let (refused, _, rest) = futures_util::future::select_all(his).await;
    let refused = refused.unwrap();
    assert!(refused.expect(429)["detail"].as_str().unwrap().contains("one person"), "{refused}");
    // Whoever leaves gives the place back.
    rest.iter().for_each(JoinHandle::abort);
    for _ in &rest {
        world.agent.told("cancel_request").await;
    }
    let again = count(&world.bob);
    world.agent.told("handle_request").await;
    again.abort();
    world.gateway.end().await;
}
