//! The pages that people follow command by command do what they say.

use std::net::TcpListener;

use crate::walk::{Step, blocks, steps, walk};

const QUICKSTART: &str = include_str!("../../../../docs/guide/quickstart.md");
const TESTING: &str = include_str!("../../../../docs/guide/testing.md");

/// The ports of the pages, and free ones in their place.
fn ports() -> [(&'static str, String); 2] {
    // Both are held until both are known, so that they differ.
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [api, fcm] = listeners.map(|listener| listener.local_addr().unwrap().to_string());
    [("127.0.0.1:8080", api), ("127.0.0.1:9099", fcm)]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstart_goes_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let [(api, free_api), (fcm, free_fcm)] = &ports();
    let steps = steps(QUICKSTART);
    assert_eq!(steps.len(), 13, "blocks of the page that are tested");
    walk(&steps, folder.path(), &[(api, free_api), (fcm, free_fcm)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulators_page_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let [(api, free_api), (fcm, free_fcm)] = &ports();
    let configuration = format!(
        "listen = '{free_api}'\n[fcm.projects.demo]\nservice_account = 'sa.json'\nendpoint = 'http://{free_fcm}'\n\
         [retry]\nbackoff_base_ms = 10\nbackoff_cap_ms = 10\nthrottled_floor_ms = 10\n"
    );
    std::fs::write(folder.path().join("pabal.toml"), configuration).unwrap();
    // Where the page has only the emulator's own program, and a sender of the reader's own.
    let before = format!(
        "fcm-emulator() {{ exec pabal emulator fcm --listen {free_fcm} \"$@\"; }}\n{} > emulator.log 2>&1 &\n\
         curl -sS --retry 30 --retry-connrefused --retry-delay 1 http://{free_fcm}/emulator/v1/healthz\n\
         export PABAL_API_KEY=a-key-of-twenty-four-chars PABAL_URL=http://{free_api}\n\
         pabal serve --config pabal.toml > pabal.log 2>&1 &\npabal status --wait\n",
        start_of_the_emulator()
    );
    let sends = "pabal send --to-token any-token --title Hello > sent.txt";
    let after = "for token in gone-1 flaky-1; do\n\
                   ID=$(pabal send --json --to-token $token --title Hello | sed 's/.*\"id\":\"\\([^\"]*\\)\".*/\\1/')\n\
                   pabal status $ID --wait\ndone\n";
    let expected = "…\n… token gone-1 dead 1 unregistered\n…\n… token flaky-1 delivered … -";
    let mut steps = steps(TESTING);
    steps.insert(0, Step::of(&before, None));
    steps.push(Step::of(after, Some(expected)));
    walk(&steps, folder.path(), &[("# …your code sends…", sends), (api, free_api), (fcm, free_fcm)]).await;
}

/// The page's line that starts the emulator, which runs until it is stopped.
fn start_of_the_emulator() -> String {
    let lines = blocks(TESTING).into_iter().filter(|(language, _)| *language == "sh").map(|(_, text)| text);
    let lines: Vec<String> =
        lines.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.into_iter().find(|line| line.starts_with("fcm-emulator ")).expect("the page starts the emulator")
}
