//! What keeps a server from starting, and how it says so.

use std::net::TcpListener;

use fcm_emulator::{Emulator, Options};
use pabal_server::{Config, Server, StartError, inspect};
use serde_json::json;

use crate::world::World;

/// The error of a start that has to fail.
async fn refusal(config: Config) -> StartError {
    match Server::start(config).await {
        Ok(_) => panic!("the server started"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_a_way_out() {
    let world = World::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let error = refusal(Config { listen, ..world.configuration() }).await.to_string();
    assert!(error.starts_with(&format!("can't listen on {listen}: ")), "{error}");
    assert!(error.contains("choose another port with listen (PABAL_LISTEN)"), "{error}");
}

#[tokio::test]
async fn a_database_belongs_to_one_server() {
    let world = World::start().await;
    let error = refusal(world.configuration()).await;
    let StartError::Backend { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), pabal_core::ErrorKind::Locked);
    assert!(error.to_string().contains("pabal.db"), "{error}");
}

#[tokio::test]
async fn another_file_than_a_database_is_named_and_left_alone() {
    let world = World::start().await;
    let (config, database) = (world.configuration(), world.database());
    let World { running, emulator: _emulator, folder: _folder } = world;
    running.stop().await;
    for suffix in ["-wal", "-shm"] {
        let beside = database.with_file_name(format!("pabal.db{suffix}"));
        if beside.exists() {
            std::fs::remove_file(beside).unwrap();
        }
    }
    std::fs::write(&database, "no database at all ".repeat(1000)).unwrap();
    let error = refusal(config).await;
    assert!(matches!(error, StartError::Config(_)), "{error}");
    assert!(error.to_string().contains("pabal.db is another file than a SQLite database"), "{error}");
    assert!(std::fs::read_to_string(database).unwrap().starts_with("no database"));
}

#[tokio::test]
async fn service_accounts_are_looked_at() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sa.json");
    let config = || {
        let toml = folder.path().join("pabal.toml");
        let text = "listen = '127.0.0.1:0'\n[fcm.projects.my-app]\nservice_account = 'sa.json'";
        std::fs::write(&toml, text).unwrap();
        Config::load(Some(&toml), []).unwrap()
    };
    let (key, shown) = ("fcm.projects.my-app.service_account", path.display());

    let error = refusal(config()).await.to_string();
    assert!(error.starts_with(&format!("configuration: {key}: can't read {shown}: ")), "{error}");

    std::fs::write(&path, json!({ "project_info": {}, "client": [] }).to_string()).unwrap();
    let error = refusal(config()).await.to_string();
    assert!(error.starts_with(&format!("configuration: {key}: {shown}: type is missing")), "{error}");
    assert!(error.contains("google-services.json"), "{error}");
    assert_eq!(inspect(&config())[0].as_ref().unwrap_err().path, key);

    std::fs::write(&path, emulator.service_account("demo").to_string()).unwrap();
    let report = inspect(&config()).remove(0).unwrap();
    assert_eq!((report.name.as_str(), report.project_id.as_str()), ("my-app", "demo"));
    assert_eq!(report.sends_to, "https://fcm.googleapis.com/v1/projects/demo/messages:send");
    assert_eq!(report.tokens_from, format!("{}/token", emulator.base_url()));
}

#[tokio::test]
async fn backends_that_do_not_exist_are_named() {
    let world = World::start().await;
    let with = |store: &str, queue: Option<&str>| Config {
        store: store.to_owned(),
        queue: queue.map(str::to_owned),
        ..world.configuration()
    };
    let error = refusal(with("postgres://u:secret@h/d", None)).await.to_string();
    assert_eq!(error, "configuration: store: 'postgres://' is not a store here; there is sqlite://PATH");
    let error = refusal(with("sqlite://x.db", Some("redis://h"))).await.to_string();
    assert!(error.starts_with("configuration: queue: 'redis://' is not a queue here"), "{error}");
    assert_eq!(inspect(&with("nonsense", None))[0].as_ref().unwrap_err().path, "store");
}

#[tokio::test]
async fn a_server_with_nothing_to_send_through_does_not_start() {
    let world = World::start().await;
    let mut config = world.configuration();
    config.fcm.projects.clear();
    let error = refusal(config).await.to_string();
    assert!(error.starts_with("configuration: fcm.projects: there is none"), "{error}");
}

#[tokio::test]
async fn a_queue_elsewhere_is_rebuilt_from_the_store() {
    let world = World::start().await;
    let config = Config { queue: Some("memory://".to_owned()), ..world.configuration() };
    let World { running, emulator, folder } = world;
    running.stop().await;
    let world = World { running: Server::start(config).await.unwrap(), emulator, folder };
    let id = world.accepted(json!({ "to": { "token": "t" }, "title": "t" })).await;
    assert_eq!(world.settled(&id).await["counts"], json!({ "delivered": 1 }));
}
