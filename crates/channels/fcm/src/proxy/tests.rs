//! URLs of proxies, and what is said to one and understood of it.

use super::*;

fn proxy(url: &str) -> ProxyConfig {
    url.parse().unwrap()
}

#[test]
fn a_url_says_where_it_is_and_who_we_are() {
    let check = |url: &str, shown: &str, login: Option<&str>| {
        let proxy = proxy(url);
        assert_eq!(proxy.to_string(), shown, "{url}");
        let expect = login.map(|login| format!("Basic {}", BASE64_STANDARD.encode(login)));
        assert_eq!(proxy.authorization.map(|value| value.expose_secret().to_owned()), expect, "{url}");
    };
    check("http://proxy:3128", "http://proxy:3128", None);
    check("HTTP://proxy.example.com:8080/", "http://proxy.example.com:8080", None);
    check("proxy:3128", "http://proxy:3128", None);
    check(" http://[fd00::1]:3128 ", "http://[fd00::1]:3128", None);
    check("http://ann:secret@proxy:3128", "http://…@proxy:3128", Some("ann:secret"));
    check("http://a%40b:p%3A%2fw%25@proxy:1", "http://…@proxy:1", Some("a@b:p:/w%"));
    check("http://ann:p@ss/word@proxy:1", "http://…@proxy:1", Some("ann:p@ss/word"));
    check("http://ann@[::1]:1", "http://…@[::1]:1", Some("ann:"));
    check("http://%EC%95%A4:%E2%82%AC@proxy:1", "http://…@proxy:1", Some("앤:€"));
}

#[test]
fn other_urls_are_refused_without_being_quoted() {
    let check = |url: &str, reason: &str| {
        let error = url.parse::<ProxyConfig>().unwrap_err();
        assert_eq!(error.field, "proxy");
        assert!(error.problem.contains(reason), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    };
    check("https://ann:secret@proxy:443", "is an https:// proxy");
    check("socks5://secret:1080", "is no http:// proxy");
    check("http://secret", "names no port");
    check("secret", "names no port");
    check("http://ann:secret@proxy:", "names no port");
    check("http://proxy:99999", "names no port");
    check("http://proxy:1/secret", "is no URL");
    check("http://ann:secret@", "is no URL");
    check("", "is no URL");
    check("http://ann:secret%@proxy:1", "a '%' in its user or password");
    check("http://ann:secret%€@proxy:1", "a '%' in its user or password");
    check("http://ann:secret%+1@proxy:1", "a '%' in its user or password");
}

#[test]
fn debug_output_holds_no_password() {
    let shown = format!("{:?}", proxy("http://ann:secret@proxy:1"));
    assert!(!shown.contains("secret") && !shown.contains("Basic"), "{shown}");
}

#[test]
fn what_is_on_this_machine_goes_past_it() {
    let serves = |url: &str| proxy("http://proxy:1").serves(&url.parse().unwrap());
    assert!(serves("https://fcm.googleapis.com"));
    assert!(serves("https://10.0.0.1:8443"));
    for here in ["https://localhost", "http://127.0.0.1:9", "https://127.8.8.8", "https://[::1]:9"] {
        assert!(!serves(here), "{here}");
    }
    let except = "googleapis.com".parse().unwrap();
    assert!(!proxy("http://proxy:1").with_exceptions(except).serves(&Endpoint::google()));
}

async fn tunnel(answer: &[u8]) -> Result<(), String> {
    let (mut ours, mut theirs) = tokio::io::duplex(2 * HEAD_BYTES_MAX);
    theirs.write_all(answer).await.unwrap();
    theirs.shutdown().await.unwrap();
    proxy("http://ann:pw@proxy:1")
        .tunnel(&mut ours, &"https://[fd00::1]:8443".parse().unwrap())
        .await
        .map_err(|error| error.to_string())?;
    drop(ours);
    let mut asked = String::new();
    theirs.read_to_string(&mut asked).await.unwrap();
    let expect = "CONNECT [fd00::1]:8443 HTTP/1.1\r\nHost: [fd00::1]:8443\r\nProxy-Authorization: Basic YW5uOnB3\r\n\r\n";
    assert_eq!(asked, expect);
    Ok(())
}

#[tokio::test]
async fn a_tunnel_is_there_after_any_success() {
    tunnel(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    tunnel(b"HTTP/1.0 200\r\n\r\n").await.unwrap();
    tunnel(b"HTTP/1.0 200 \r\nVia: x\r\nContent-Length: 5\r\n\r\n").await.unwrap();
}

#[tokio::test]
async fn any_other_answer_is_told_by_its_status_alone() {
    let check = async |answer: &[u8], expect: &str| assert_eq!(tunnel(answer).await.unwrap_err(), expect);
    check(
        b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n<html>",
        "it refuses with 407 Proxy Authentication Required: it wants another user and password",
    )
    .await;
    check(b"HTTP/1.1 403 No\r\n\r\n", "it refuses with 403 Forbidden: it does not let us there").await;
    check(b"HTTP/1.1 502 Bad\r\n\r\n", "it refuses with 502 Bad Gateway").await;
    check(b"HTTP/1.1 200 OK\r\n\r\nhello", "it speaks before the server does").await;
    check(b"SSH-2.0-OpenSSH\r\n\r\n", "it does not answer as an HTTP proxy does").await;
    check(b"HTTP/1.1 two hundred\r\n\r\n", "it does not answer as an HTTP proxy does").await;
    check(b"HTTP/1.1 200 OK\r\n", "it hung up without an answer").await;
    check(b"", "it hung up without an answer").await;
    check(&vec![b'x'; HEAD_BYTES_MAX], "its answer's head is longer than 16384 bytes").await;
}

#[tokio::test]
async fn an_answer_may_come_in_any_pieces() {
    let (mut ours, mut theirs) = tokio::io::duplex(1);
    let answering = tokio::spawn(async move {
        let mut asked = Vec::new();
        while !asked.ends_with(HEAD_END) {
            theirs.read_buf(&mut asked).await.unwrap();
        }
        theirs.write_all(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n").await.unwrap();
        theirs
    });
    proxy("http://proxy:1").tunnel(&mut ours, &Endpoint::google()).await.unwrap();
    answering.await.unwrap();
}
