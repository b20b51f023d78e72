//! TLS: a server with a certificate of one's own, clients that are told whom to trust, and a certificate that changes.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Installation, pabal, run};

const DEADLINE: Duration = Duration::from_secs(30);

/// Writes a new pair into the installation's folder. Answers the path of the certificate.
fn replace(installation: &Installation) -> PathBuf {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    let certificate = installation.folder.path().join("chain.pem");
    std::fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(installation.folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    certificate
}

fn configure(installation: &Installation) {
    let tls = "[tls]\ncertificate = 'chain.pem'\nkey = 'key.pem'";
    installation.configure(&format!("listen = '127.0.0.1:0'\nstore = 'sqlite://pabal.db'\n{tls}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_whom_to_trust() {
    let installation = Installation::make().await;
    let certificate = replace(&installation);
    configure(&installation);
    let served = installation.serve();
    assert!(served.url.starts_with("https://127.0.0.1:"), "{}", served.url);

    let (code, out, error) = run(served.client(&["status"]).env("PABAL_CA", &certificate));
    assert_eq!((code, out.as_str()), (0, "ready: 0 in flight, 0 routes paused\n"), "{error}");
    let ca = certificate.display().to_string();
    let (code, _, error) = run(&mut served.client(&["status", "--ca", &ca]));
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = run(&mut served.client(&["status"]));
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("given with --ca or PABAL_CA"), "{error}");
    for (file, problem) in [("key.pem", "holds no certificate"), ("nowhere.pem", "can't be read as PEM")] {
        let path = installation.folder.path().join(file).display().to_string();
        let (code, _, error) = run(&mut served.client(&["status", "--ca", &path]));
        assert_eq!(code, 6, "{error}");
        assert!(error.contains(problem), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_has_the_certificate_read_anew() {
    let installation = Installation::make().await;
    replace(&installation);
    configure(&installation);
    let mut served = installation.serve();
    let certificate = replace(&installation);
    let hung_up = Command::new("kill").args(["-HUP", &served.child.id().to_string()]).status().unwrap();
    assert!(hung_up.success());
    let until = Instant::now() + DEADLINE;
    while run(served.client(&["status"]).env("PABAL_CA", &certificate)).0 != 0 {
        assert!(Instant::now() < until, "the new certificate is not shown");
    }
    assert_eq!(served.child.try_wait().unwrap(), None, "and the server goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_shows_the_certificate_and_what_is_wrong_with_it() {
    let installation = Installation::make().await;
    let check = |arguments: &[&str]| {
        run(&mut pabal(&[&["config", "check", "--config", &installation.config()], arguments].concat()))
    };
    assert!(check(&[]).1.contains("tls     off\n"));
    let certificate = replace(&installation);
    configure(&installation);
    let (code, out, _) = check(&[]);
    assert_eq!(code, 0, "{out}");
    let line = format!("tls     {}, valid until 2099-01-01T00:00:00Z\n", certificate.display());
    assert!(out.contains(&line), "{out}");
    let shown: Value = serde_json::from_str(&check(&["--json"]).1).unwrap();
    assert_eq!(shown["tls"]["expires_at"], "2099-01-01T00:00:00Z");
    assert_eq!(shown["tls"]["is_expired"], false);

    let first = std::fs::read(&certificate).unwrap();
    replace(&installation);
    std::fs::write(&certificate, first).unwrap();
    let (code, out, _) = check(&[]);
    assert_eq!(code, 6);
    assert!(
        out.contains("PROBLEM tls.key: ") && out.contains("is not the key of the certificate in"),
        "{out}"
    );
    let (code, _, error) = run(&mut pabal(&["serve", "--config", &installation.config()]));
    assert_eq!(code, 6, "{error}");
}
