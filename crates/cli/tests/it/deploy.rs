//! The files in deploy/ against the program: what they start, with which options and variables, on which port, and how
//! long they let it stop. Nothing here builds an image or starts a unit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::program::{Installation, pabal, run};

const DOCKERFILE: &str = include_str!("../../../../deploy/Dockerfile");
const COMPOSE: &str = include_str!("../../../../deploy/compose.yaml");
const UNIT: &str = include_str!("../../../../deploy/systemd/pabal.service");
const ALERTS: &str = include_str!("../../../../deploy/prometheus-alerts.yaml");
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

/// Variables of the command line, which are no keys of the configuration.
const OF_CLIENTS: [&str; 4] = ["PABAL_CONFIG", "PABAL_URL", "PABAL_API_KEY", "PABAL_CA"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What follows a word at the beginning of lines of a Dockerfile, lines that go on joined.
fn instructions(word: &str) -> Vec<String> {
    let joined = DOCKERFILE.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn instruction(word: &str) -> String {
    instructions(word).pop().unwrap_or_else(|| panic!("the Dockerfile has no {word}"))
}

/// The words of a command in the form of a list.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(&text[text.find('[').unwrap()..]).unwrap()
}

/// The values of a key of the unit.
fn unit(key: &str) -> Vec<&'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn yaml(text: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(text).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn texts(list: &Yaml) -> Vec<&str> {
    list.as_vec().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// The program, started as a file says, which takes its options: it ends for want of `missing` and not for its command
/// line.
fn is_taken(words: &[&str], missing: i32) {
    let (code, _, error) = run(&mut pabal(words));
    assert_eq!(code, missing, "{words:?}: {error}");
}

/// Seconds that a stop may take: the engine's deadline for attempts, the same again for what is cut off to be written, and
/// the API's.
fn stop_s() -> u64 {
    let reference = reference();
    let default = |key: &str| reference[key]["default"].as_u64().unwrap();
    (2 * default("engine.drain_deadline_ms") + default("http.drain_deadline_ms")).div_ceil(1000)
}

/// The keys of the configuration.
fn reference() -> BTreeMap<String, Value> {
    let (_, out, _) = run(&mut pabal(&["config", "reference", "--json"]));
    let keys: Vec<Value> = serde_json::from_str(&out).unwrap();
    keys.into_iter().map(|key| (key["key"].as_str().unwrap().to_owned(), key)).collect()
}

#[test]
fn the_image_is_built_with_a_rust_that_is_new_enough() {
    let version = |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap()).collect() };
    let (_, wanted) = WORKSPACE.split_once("rust-version = \"").unwrap();
    let image =
        instructions("FROM").into_iter().find_map(|from| Some(from.strip_prefix("rust:")?.to_owned()));
    let image = image.unwrap();
    let (has, system) = image.split_once('-').unwrap();
    assert!(version(has) >= version(wanted.split('"').next().unwrap()), "{image}");
    let runs_on = instruction("FROM");
    assert!(
        runs_on.starts_with(&format!("debian:{}", system.split(' ').next().unwrap())),
        "another C library: {runs_on}"
    );
    let build = instructions("RUN").into_iter().find(|line| line.contains("cargo build")).unwrap();
    assert!(build.contains(&format!("--release --locked -p {}", env!("CARGO_PKG_NAME"))), "{build}");
    let copied = instruction("COPY");
    assert!(copied.ends_with("/target/release/pabal /usr/local/bin/pabal"), "{copied}");
    assert!(root().join(".dockerignore").exists(), "the build would copy target/");
}

#[test]
fn the_image_starts_what_there_is() {
    let entry = list(&instruction("ENTRYPOINT"));
    assert_eq!(entry, ["pabal"]);
    let command = list(&instruction("CMD"));
    is_taken(&command.iter().map(String::as_str).collect::<Vec<_>>(), 6);
    assert_eq!(instruction("STOPSIGNAL"), "SIGTERM");
    let listen =
        instruction("ENV").split(' ').find_map(|set| Some(set.strip_prefix("PABAL_LISTEN=")?.to_owned()));
    assert_eq!(listen.unwrap(), format!("0.0.0.0:{}", instruction("EXPOSE")));
    let health = list(&instruction("HEALTHCHECK"));
    assert_eq!(health.last().unwrap(), &format!("http://127.0.0.1:{}", instruction("EXPOSE")));
    assert!(instruction("ENV").contains(&format!("PABAL_STORE=sqlite://{}/", instruction("VOLUME"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_needs_no_key_and_nothing_to_write_to() {
    let installation = Installation::make().await;
    let folder = installation.folder.path().display();
    let config = installation.config();
    // Nobody can write there, whoever this test runs as.
    let mut command = pabal(&["serve", "--json", "--config", &config]);
    command.env("PABAL_STORE", format!("sqlite://{folder}/pabal.db")).env("PABAL_LOG_FORMAT", "json");
    command.current_dir("/proc").env("TMPDIR", "/proc").env("HOME", "/proc");
    let served = installation.serve_by(command);
    let health = list(&instruction("HEALTHCHECK"));
    let mut check: Vec<&str> = health.iter().skip(1).map(String::as_str).collect();
    let url = served.url.clone();
    *check.last_mut().unwrap() = &url;
    let (code, out, error) = run(pabal(&check).current_dir("/proc"));
    assert_eq!((code, out.as_str(), error.as_str()), (0, "ready: 0 in flight, 0 routes paused\n", ""));
    let (code, _, error) = run(&mut served.client(&["send", "--to-token", "t", "--title", "t"]));
    assert_eq!(code, 0, "{error}");
    drop(served);
    assert_eq!(run(&mut pabal(&check)).0, 4, "a server that is gone is healthy");
}

#[test]
fn the_compose_file_fits_the_image() {
    let compose = yaml(COMPOSE);
    let service = &compose["services"]["pabal"];
    let build = &service["build"];
    let context = root().join("deploy").join(build["context"].as_str().unwrap());
    assert!(context.join(build["dockerfile"].as_str().unwrap()).is_file());
    let port = instruction("EXPOSE");
    assert_eq!(texts(&service["ports"]), [format!("127.0.0.1:{port}:{port}")]);
    let command = list(&instruction("CMD"));
    let mounts =
        [format!("data:{}", instruction("VOLUME")), format!("./pabal.toml:{}:ro", command.last().unwrap())];
    assert_eq!(texts(&service["volumes"]), mounts);
    assert!(compose["volumes"].as_hash().unwrap().contains_key(&Yaml::String("data".to_owned())));
    for secret in texts(&service["secrets"]) {
        assert!(!compose["secrets"][secret].is_badvalue(), "{secret}");
        assert!(COMPOSE.contains(&format!("service_account = \"/run/secrets/{secret}\"")), "{secret}");
    }
    let grace = service["stop_grace_period"].as_str().unwrap().strip_suffix('s').unwrap();
    assert!(grace.parse::<u64>().unwrap() > stop_s(), "killed before it has ended: {grace} s");
    let user = COMPOSE.split("chown ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(DOCKERFILE.contains(&format!("--uid {user} ")), "the container's user is not {user}");
}

#[test]
fn the_unit_starts_what_there_is_and_lets_it_end() {
    for line in unit("ExecStart").into_iter().chain(unit("ExecStartPre")) {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], "/usr/local/bin/pabal");
        is_taken(&words[1..], 6);
        assert!(
            UNIT.contains(&format!("pabal.toml {}\n", words.last().unwrap())),
            "the unit's head installs another"
        );
    }
    let timeout: u64 = unit("TimeoutStopSec")[0].parse().unwrap();
    assert!(timeout > stop_s(), "killed before it has ended: {timeout} s");
    let (_, help, _) = run(&mut pabal(&["help-markdown"]));
    for (code, meaning) in
        unit("RestartPreventExitStatus")[0].split(' ').zip(["wrong command line", "wrong configuration"])
    {
        assert!(help.contains(&format!("| {code} | {meaning}")), "{code}");
    }
    let reference = reference();
    let default = |key: &str| reference[key]["default"].as_u64().unwrap();
    let handles: u64 = unit("LimitNOFILE")[0].parse().unwrap();
    assert!(handles > default("http.connections_max") + default("http.newcomers_max"));
    let state = format!("/var/lib/{}", unit("StateDirectory")[0]);
    assert_eq!(unit("WorkingDirectory"), [state.as_str()]);
    assert_eq!(unit("Environment"), [format!("PABAL_STORE=sqlite://{state}/pabal.db")]);
}

#[test]
fn every_variable_is_a_key() {
    let reference = reference();
    let keys: Vec<&str> = reference.values().map(|key| key["variable"].as_str().unwrap()).collect();
    for text in [DOCKERFILE, COMPOSE, UNIT, include_str!("../../../../deploy/README.md")] {
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        for variable in words.filter(|word| word.starts_with("PABAL_")) {
            let of_file = variable.strip_suffix("_FILE").unwrap_or(variable);
            assert!(keys.contains(&of_file) || OF_CLIENTS.contains(&of_file), "{variable} is no key");
        }
        // Keys that comments and texts name.
        let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_' && c != '.');
        let named = words.filter(|word| word.starts_with("engine.") || word.starts_with("http."));
        for key in named.map(|word| word.trim_end_matches('.')) {
            assert!(reference.contains_key(key), "{key} is no key");
        }
    }
}

#[test]
fn the_alerts_are_rules() {
    let alerts = yaml(ALERTS);
    let rules = alerts["groups"][0]["rules"].as_vec().unwrap();
    assert!(rules.len() > 10);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert!(rule["expr"].as_str().is_some_and(|expr| !expr.is_empty()), "{name}");
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("page" | "ticket")), "{name}");
        assert!(rule["annotations"]["summary"].as_str().is_some(), "{name}");
    }
}
