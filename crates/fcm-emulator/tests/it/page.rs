//! The page's files, who may ask for them, and the stream of events behind it.

use fcm_emulator::{Emulator, Faults, Options, Rates, limits};
use http::header::{HOST, ORIGIN};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::{Answer, Client, DEADLINE, start, start_with};

const PAGE: &str = "/emulator/";
const FAULTS: &str = "/emulator/v1/faults";

/// One event of a stream.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: Option<String>,
    data: Value,
}

/// A stream of events, read as a browser does.
struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    async fn open(emulator: &Emulator, path: &str, last_id: Option<&str>) -> Result<Events, StatusCode> {
        let stream = TcpStream::connect(emulator.address()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::get(path).header(HOST, emulator.address().to_string());
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        if answer.status() != 200 {
            return Err(answer.status());
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Ok(Events { body: answer.into_body(), text: String::new() })
    }

    async fn all(emulator: &Emulator) -> Events {
        Events::open(emulator, "/emulator/v1/events", None).await.unwrap()
    }

    async fn next(&mut self) -> Event {
        tokio::time::timeout(DEADLINE, self.read()).await.expect("an event within the deadline")
    }

    async fn read(&mut self) -> Event {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                        .map(str::to_owned)
                };
                let parsed = field("event").map(|name| Event {
                    name,
                    id: field("id"),
                    data: serde_json::from_str(&field("data").unwrap()).unwrap(),
                });
                self.text = rest.to_owned();
                match parsed {
                    Some(event) => return event,
                    None => continue, // a sign of life
                }
            }
            let data = self.body.frame().await.expect("the stream goes on").unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The next event of this name.
    async fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await;
            if event.name == name {
                return event;
            }
        }
    }
}

async fn send(client: &mut Client, tokens: &[&str]) {
    for token in tokens {
        assert_eq!(client.send(json!({"token": token})).await.status, 200);
    }
}

/// A request over HTTP/1.1 with headers of a browser.
async fn ask(emulator: &Emulator, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = http_body_util::Full::new(Bytes::from_static(br#"{"rates":{"internal":1}}"#));
    Client::http1(emulator).await.request(request.body(body).unwrap()).await.unwrap()
}

#[tokio::test]
async fn the_page_is_served_with_what_it_may_do() {
    let emulator = start(Faults::default()).await;
    for mut client in [Client::h2c(&emulator).await, Client::http1(&emulator).await] {
        let page = client.get(PAGE).await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.text().contains("<title>FCM emulator</title>"));
        let policy = page.header("content-security-policy").unwrap();
        for rule in
            ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(rule), "{rule} is not in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let script = client.get("/emulator/main.js").await;
        assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
        let moved = client.get("/emulator").await;
        assert_eq!((moved.status.as_u16(), moved.header("location")), (308, Some(PAGE)));
        assert_eq!(client.get("/emulator/nothing.js").await.status, 404);
        assert_eq!(client.call(Method::POST, PAGE, "").await.status, 405);
        assert_eq!(client.call(Method::POST, "/emulator/v1/events", "").await.status, 405);
        let head = client.call(Method::HEAD, PAGE, "").await;
        assert_eq!((head.status.as_u16(), head.header("content-type")), (200, page.header("content-type")));
    }
    let tls = start_with(Options { tls: true, ..Options::default() }).await;
    assert_eq!(Client::tls(&tls, "localhost", b"h2").await.get(PAGE).await.status, 200);
}

#[tokio::test]
async fn a_host_that_is_not_this_machine_is_refused() {
    let emulator = start(Faults::default()).await;
    for path in [PAGE, "/emulator/main.js", FAULTS, "/emulator/v1/messages", "/emulator/v1/events"] {
        let rebound = ask(&emulator, Method::GET, path, &[("host", "evil.example:9099")]).await;
        assert_eq!(rebound.status, 403, "{path}");
        assert!(rebound.json()["error"].as_str().unwrap().contains("evil.example"), "{}", rebound.text());
    }
    for host in ["localhost:9099", "127.0.0.1", "[::1]:9099", "fcm.googleapis.com"] {
        assert_eq!(ask(&emulator, Method::GET, FAULTS, &[("host", host)]).await.status, 200, "{host}");
    }
    // What needs a service account's key may be reached by any name, through a proxy for instance.
    let token = ask(&emulator, Method::POST, "/token", &[("host", "fcm.internal")]).await;
    assert_ne!(token.status, 403);
}

#[tokio::test]
async fn another_site_changes_nothing() {
    let emulator = start(Faults::default()).await;
    let host = emulator.address().to_string();
    let put = async |origin: Option<&str>| {
        let mut headers = vec![(HOST.as_str(), host.as_str())];
        headers.extend(origin.map(|origin| (ORIGIN.as_str(), origin)));
        ask(&emulator, Method::PUT, FAULTS, &headers).await.status.as_u16()
    };
    for foreign in ["https://evil.example", "null", "http://localhost:3000"] {
        assert_eq!(put(Some(foreign)).await, 403, "{foreign}");
        assert_eq!(emulator.faults(), Faults::default());
    }
    let mut client = Client::connect(&emulator).await;
    send(&mut client, &["t"]).await;
    let headers = [(HOST.as_str(), host.as_str()), (ORIGIN.as_str(), "https://evil.example")];
    let clear = ask(&emulator, Method::DELETE, "/emulator/v1/messages", &headers).await;
    assert_eq!((clear.status.as_u16(), emulator.count().accepted), (403, 1));

    assert_eq!(put(Some(&emulator.base_url())).await, 200, "the page itself");
    assert_eq!(put(None).await, 200, "curl");
}

#[tokio::test]
async fn a_stream_tells_what_is_and_what_comes() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    send(&mut client, &["early"]).await;
    let mut events = Events::all(&emulator).await;
    let hello = events.next().await;
    assert_eq!((hello.name.as_str(), &hello.data["projects"]), ("hello", &json!(["demo"])));
    assert_eq!(events.until("faults").await.data["rates"]["internal"], 0.0);
    let early = events.until("message").await;
    assert_eq!((early.data["target"].as_str(), early.data["cursor"].as_u64()), (Some("early"), Some(1)));
    assert_eq!(events.until("counts").await.data["accepted"], 1);

    client.try_send(r#"{"message":{"token":"never"},"validate_only":true}"#).await.unwrap();
    send(&mut client, &["late"]).await;
    assert_eq!(events.until("message").await.data["target"], "late");
    assert_eq!(events.until("counts").await.data["accepted"], 2);

    let rates = Rates { internal: 0.5, ..Rates::default() };
    emulator.set_faults(Faults { rates, ..Faults::default() }).unwrap();
    assert_eq!(events.until("faults").await.data["rates"]["internal"], 0.5);
    emulator.set_faults(Faults::default()).unwrap();
    emulator.clear();
    assert_eq!(events.until("cleared").await.data, json!({"cleared_at": 2}));
    assert_eq!(events.until("counts").await.data["accepted"], 0);
    send(&mut client, &["new"]).await;
    assert_eq!(events.until("message").await.data["cursor"], 3);
    assert_eq!(Events::all(&emulator).await.until("message").await.data["target"], "new");
}

#[tokio::test]
async fn a_stream_resumes_where_it_broke() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    send(&mut client, &["a", "b"]).await;
    let id = Events::all(&emulator).await.until("message").await.id.unwrap();
    let next = async |path: &str, last_id: Option<&str>| {
        let mut events = Events::open(&emulator, path, last_id).await.unwrap();
        events.until("message").await.data["target"].clone()
    };
    assert_eq!(next("/emulator/v1/events", Some(&id)).await, "b");
    assert_eq!(next(&format!("/emulator/v1/events?after={id}"), None).await, "b");
    assert_eq!(next("/emulator/v1/events", Some("another-run-1")).await, "a");
    assert_eq!(next("/emulator/v1/events", Some("nonsense")).await, "a");
}

#[tokio::test]
async fn who_is_too_far_behind_is_told_what_was_skipped() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::connect(&emulator).await;
    let sends = limits::MAX_EVENTS_BEHIND + 3;
    for _ in 0..sends {
        send(&mut client, &["t"]).await;
    }
    let mut events = Events::all(&emulator).await;
    assert_eq!(events.until("skipped").await.data, json!({"count": 3}));
    for cursor in 4..=sends {
        assert_eq!(events.until("message").await.data["cursor"], cursor);
    }
}

#[tokio::test]
async fn watchers_are_bounded_and_give_their_place_back() {
    let emulator = start(Faults::default()).await;
    let mut watchers = Vec::new();
    for _ in 0..limits::MAX_EVENT_STREAMS {
        watchers.push(Events::all(&emulator).await);
    }
    let refused = Events::open(&emulator, "/emulator/v1/events", None).await;
    assert_eq!(refused.err().map(|status| status.as_u16()), Some(503));
    watchers.pop();
    let again = async {
        while Events::open(&emulator, "/emulator/v1/events", None).await.is_err() {
            tokio::task::yield_now().await; // until the emulator has noticed
        }
    };
    tokio::time::timeout(DEADLINE, again).await.unwrap();
    emulator.stop().await;
    while let Some(frame) = tokio::time::timeout(DEADLINE, watchers[0].body.frame()).await.unwrap() {
        if frame.is_err() {
            break; // the emulator ends with all its streams
        }
    }
}
