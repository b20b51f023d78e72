//! What is taken for a certificate and its key, and how what is not is told.

use tempfile::TempDir;

use super::*;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What is said of two files with these texts, with the folder's name taken out.
    fn refused(&self, certificate: &str, key: &str) -> String {
        let section = TlsSection {
            certificate: Some(self.write("chain.pem", certificate)),
            key: Some(self.write("key.pem", key)),
        };
        let misfit = Pair::read(&section).err().unwrap();
        misfit.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn made() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_pair_that_fits_is_taken() {
    let (folder, (certificate, key)) = (Folder::new(), made());
    let section = TlsSection {
        certificate: Some(folder.write("chain.pem", &certificate)),
        key: Some(folder.write("key.pem", &key)),
    };
    let pair = Pair::read(&section).unwrap().unwrap();
    assert_eq!(pair.config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert!(pair.not_after.is_some());
    assert!(Pair::read(&TlsSection::default()).unwrap().is_none());
}

#[test]
fn what_does_not_fit_is_named() {
    let (folder, (certificate, key), (_, other)) = (Folder::new(), made(), made());
    let told = |certificate: &str, key: &str, expect: &str| {
        assert_eq!(folder.refused(certificate, key), expect);
    };
    told(&certificate, &other, "tls.key: key.pem is not the key of the certificate in chain.pem");
    told("", &key, "tls.certificate: chain.pem holds no certificate in PEM, as -----BEGIN CERTIFICATE-----");
    told(
        &key,
        &key,
        "tls.certificate: chain.pem holds no certificate in PEM, as -----BEGIN CERTIFICATE-----",
    );
    told(
        &certificate,
        &certificate,
        "tls.key: key.pem holds no private key in PEM, as -----BEGIN PRIVATE KEY-----",
    );
    for locked in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        assert!(folder.refused(&certificate, locked).contains("is locked with a password"), "{locked}");
    }
    let damaged = key.replacen("MI", "§§", 1);
    assert!(folder.refused(&certificate, &damaged).starts_with("tls.key: key.pem "), "{damaged}");
    let cut = &certificate[..certificate.len() / 2];
    assert!(folder.refused(cut, &key).starts_with("tls.certificate: chain.pem "));
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::new();
    let (certificate, _) = made();
    let section = TlsSection {
        certificate: Some(folder.write("chain.pem", &certificate)),
        key: Some(folder.0.path().join("nowhere.pem")),
    };
    let misfit = Pair::read(&section).err().unwrap();
    assert_eq!(misfit.path, "tls.key");
    assert!(misfit.to_string().contains("nowhere.pem can't be read: "), "{misfit}");
}

struct At(std::sync::atomic::AtomicI64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.0.load(std::sync::atomic::Ordering::Relaxed))
    }
}

fn keeper(folder: &Folder, now: &Arc<At>) -> (Keeper, watch::Receiver<Arc<ServerConfig>>) {
    let (certificate, key) = made();
    let section = TlsSection {
        certificate: Some(folder.write("chain.pem", &certificate)),
        key: Some(folder.write("key.pem", &key)),
    };
    let pair = Pair::read(&section).unwrap().unwrap();
    let (sender, current) = watch::channel(Arc::clone(&pair.config));
    (Keeper { pair, refused: None, warned_at: None, clock: now.clone(), sender }, current)
}

#[test]
fn a_pair_that_does_not_fit_leaves_the_one_before() {
    let (folder, now) = (Folder::new(), Arc::new(At(0.into())));
    let (mut keeper, current) = keeper(&folder, &now);
    let first = Arc::clone(&current.borrow());
    let (certificate, key) = made();
    folder.write("key.pem", &key);
    let (contents, mark) = keeper.pair.files.look();
    keeper.take(contents, mark.clone());
    assert!(Arc::ptr_eq(&current.borrow(), &first));
    assert_eq!(keeper.refused, Some(mark), "told once");

    folder.write("chain.pem", &certificate);
    let (contents, mark) = keeper.pair.files.look();
    keeper.take(contents, mark.clone());
    assert!(!Arc::ptr_eq(&current.borrow(), &first));
    assert_eq!((keeper.pair.mark == mark, keeper.refused), (true, None));
}

#[test]
fn the_end_of_a_certificate_is_told_once_a_day() {
    let (folder, now) = (Folder::new(), Arc::new(At(0.into())));
    let (mut keeper, _current) = keeper(&folder, &now);
    let end = keeper.pair.not_after.unwrap().as_ms();
    let days = |days: i64| i64::try_from(DAY_MS).unwrap() * days;
    let mut told = |ms: i64| {
        now.0.store(end + ms, std::sync::atomic::Ordering::Relaxed);
        let before = keeper.warned_at;
        keeper.warn_before_the_end();
        keeper.warned_at != before
    };
    assert!(!told(-days(8)));
    assert!(told(-days(6)));
    assert!(!told(-days(6) + 1));
    assert!(told(-days(5)));
    assert!(told(days(3)), "and after it too");
}
