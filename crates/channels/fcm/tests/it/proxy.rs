//! Through a proxy: Google's names are reached by way of it alone, and what it does never costs a credential.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fcm_emulator::Emulator;
use pabal_core::outcome::{Outcome, Report};
use pabal_core::seam::channel::Channel;
use pabal_fcm::{FcmConfig, ProxyConfig};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::support::{World, channel, config, outbound, within};
use crate::tls::{as_for_google, ca, emulator, redirected};

/// What a proxy does with a CONNECT.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Leads every tunnel to this address, whatever name was asked for.
    Leads(SocketAddr),
    /// Refuses with this status line.
    Refuses(&'static str),
    /// Says nothing at all.
    Hangs,
    /// Says that the tunnel is there, and nothing more.
    HalfOpen,
}

/// A small CONNECT proxy, and the heads of the requests that it got.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    /// Tunnels end when it changes.
    cut: watch::Sender<()>,
}

impl Proxy {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heads) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (cut, cuts) = watch::channel(());
        let book = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner.clone(), Arc::clone(&book), cuts.clone()));
            }
        });
        Self { address, heads, cut }
    }

    pub(crate) fn config(&self, login: &str) -> ProxyConfig {
        format!("http://{login}{}", self.address).parse().unwrap()
    }

    /// The hosts and ports that were asked for, in order of the alphabet.
    fn asked(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        let mut asked: Vec<_> = heads.iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
        asked.sort();
        asked
    }
}

async fn serve(
    stream: TcpStream,
    manner: Manner,
    book: Arc<Mutex<Vec<String>>>,
    mut cuts: watch::Receiver<()>,
) {
    // Only what is cut from now on.
    cuts.mark_unchanged();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    book.lock().unwrap().push(head);
    let answer = match &manner {
        Manner::Leads(_) | Manner::HalfOpen => "200 Connection established",
        Manner::Refuses(status) => status,
        Manner::Hangs => return std::future::pending().await,
    };
    stream.write_all(format!("HTTP/1.1 {answer}\r\nVia: test\r\n\r\n").as_bytes()).await.unwrap();
    match manner {
        Manner::Leads(address) => {
            let mut server = TcpStream::connect(address).await.unwrap();
            tokio::select! {
                // Either end may go at any time: that is what tunnels do.
                _ = copy_bidirectional(&mut stream, &mut server) => {}
                _ = cuts.changed() => {}
            }
        }
        Manner::HalfOpen => std::future::pending().await,
        Manner::Refuses(_) | Manner::Hangs => {}
    }
}

/// Google's own names, which lead nowhere without the proxy.
pub(crate) fn google_through(emulator: &Emulator, proxy: ProxyConfig) -> FcmConfig {
    FcmConfig { extra_ca: ca(emulator), proxy: Some(proxy), ..as_for_google(emulator) }
}

async fn send(config: &FcmConfig) -> Report {
    within(channel(config).send(&outbound("a"))).await
}

/// Nothing was sent, no credential is blamed, and the reason names proxy and status.
#[track_caller]
fn check_not_sent(report: &Report, proxy: &Proxy, expect: &str) {
    assert_eq!(report.outcome, Outcome::NotSent, "{report:?}");
    let detail = report.detail.as_deref().unwrap();
    let named = format!("through proxy http://…@{}: {expect}", proxy.address);
    assert!(detail.contains(&named), "{detail}");
    assert!(!detail.contains("secret"), "{detail}");
}

#[tokio::test]
async fn messages_and_token_requests_go_through_it() {
    let emulator = emulator().await;
    let proxy = Proxy::start(Manner::Leads(emulator.address())).await;
    let config = google_through(&emulator, proxy.config("ann:secret@"));
    let channel = channel(&config);
    for number in 0..20 {
        let report = within(channel.send(&outbound(&format!("t{number}")))).await;
        assert_eq!(report.outcome, Outcome::Delivered, "{report:?}");
    }
    assert_eq!(emulator.count().accepted, 20);
    assert_eq!(proxy.asked(), ["fcm.googleapis.com:443", "oauth2.googleapis.com:443"]);
    for head in proxy.heads.lock().unwrap().iter() {
        assert!(head.contains("Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n"), "{head}");
    }
    let shown = config.describe().remove(0).to_string();
    assert_eq!(shown.matches(&format!(" through proxy http://…@{}", proxy.address)).count(), 2, "{shown}");
}

#[tokio::test]
async fn without_a_login_none_is_shown() {
    let emulator = emulator().await;
    let proxy = Proxy::start(Manner::Leads(emulator.address())).await;
    let report = send(&google_through(&emulator, proxy.config(""))).await;
    assert_eq!(report.outcome, Outcome::Delivered, "{report:?}");
    assert!(!proxy.heads.lock().unwrap()[0].contains("Proxy-Authorization"));
}

#[tokio::test]
async fn a_refusal_is_no_matter_of_the_credential() {
    let emulator = emulator().await;
    let statuses = [
        ("407 Whoever", "it refuses with 407 Proxy Authentication Required: it wants another user"),
        ("403 Never", "it refuses with 403 Forbidden"),
        ("502 Sorry", "it refuses with 502 Bad Gateway"),
        ("401 Odd", "it refuses with 401 Unauthorized"),
    ];
    for (status, expect) in statuses {
        let proxy = Proxy::start(Manner::Refuses(status)).await;
        let report = send(&google_through(&emulator, proxy.config("ann:secret@"))).await;
        check_not_sent(&report, &proxy, expect);
    }
    assert_eq!(emulator.connections(), 0);
}

#[tokio::test]
async fn a_refusal_of_messages_alone_is_none_either() {
    let emulator = emulator().await;
    let proxy = Proxy::start(Manner::Refuses("407 Whoever")).await;
    let except = "oauth2.googleapis.com".parse().unwrap();
    let through = proxy.config("ann:secret@").with_exceptions(except);
    let report = send(&redirected(google_through(&emulator, through), &emulator)).await;
    check_not_sent(&report, &proxy, "it refuses with 407");
    assert_eq!((emulator.oauth_requests(), emulator.count().accepted), (1, 0));
}

#[tokio::test]
async fn what_is_excepted_goes_past_it() {
    let emulator = emulator().await;
    let proxy = Proxy::start(Manner::Leads(emulator.address())).await;
    for (list, asked) in
        [("fcm.googleapis.com", &["oauth2.googleapis.com:443"][..]), (".googleapis.com:443", &[])]
    {
        proxy.heads.lock().unwrap().clear();
        let through = proxy.config("").with_exceptions(list.parse().unwrap());
        let report = send(&redirected(google_through(&emulator, through), &emulator)).await;
        assert_eq!(report.outcome, Outcome::Delivered, "{report:?}");
        assert_eq!(proxy.asked(), asked, "{list}");
    }
}

#[tokio::test]
async fn what_is_on_this_machine_goes_past_it() {
    let world = World::start(fcm_emulator::Faults::default()).await;
    let proxy = Proxy::start(Manner::Refuses("403 Never")).await;
    let config = FcmConfig { proxy: Some(proxy.config("")), ..config(&world.emulator) };
    assert_eq!(send(&config).await.outcome, Outcome::Delivered);
    assert_eq!(proxy.asked(), [""; 0]);
    assert_eq!(config.describe().remove(0).sends_through, None);
}

#[tokio::test]
async fn a_proxy_that_says_nothing_more_is_given_up_in_time() {
    let emulator = emulator().await;
    for manner in [Manner::Hangs, Manner::HalfOpen] {
        let proxy = Proxy::start(manner).await;
        let config = google_through(&emulator, proxy.config("ann:secret@"));
        let began = Instant::now();
        let report = send(&FcmConfig { connect_timeout: Duration::from_millis(300), ..config }).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        check_not_sent(&report, &proxy, "none within 300 ms");
    }
}

#[tokio::test]
async fn tunnels_that_are_cut_are_made_anew() {
    let emulator = emulator().await;
    let proxy = Proxy::start(Manner::Leads(emulator.address())).await;
    let channel = channel(&google_through(&emulator, proxy.config("")));
    assert_eq!(within(channel.send(&outbound("a"))).await.outcome, Outcome::Delivered);
    proxy.cut.send_replace(());
    // The first may still meet the tunnel's end.
    within(channel.send(&outbound("b"))).await;
    assert_eq!(within(channel.send(&outbound("c"))).await.outcome, Outcome::Delivered);
    let to_fcm = proxy.asked().iter().filter(|asked| asked.starts_with("fcm.")).count();
    assert_eq!(to_fcm, 2);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let emulator = emulator().await;
    let proxy = Proxy::start(Manner::Hangs).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy { address: gone.local_addr().unwrap(), ..proxy };
    drop(gone);
    let report = send(&google_through(&emulator, proxy.config("ann:secret@"))).await;
    check_not_sent(&report, &proxy, "");
}
