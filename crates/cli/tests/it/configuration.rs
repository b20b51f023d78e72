//! `config check`, and what a wrong configuration says.

use serde_json::{Value, json};

use crate::program::{Installation, pabal, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_good_configuration_shows_where_each_project_sends() {
    let installation = Installation::make().await;
    let (code, out, error) = run(&mut pabal(&["config", "check", "--config", &installation.config()]));
    assert_eq!((code, error.as_str()), (0, ""));
    let base = installation.emulator.base_url();
    assert!(out.contains(&format!("sends to     {base}/v1/projects/demo/messages:send")), "{out}");
    assert!(out.contains(&format!("tokens from  {base}/token")), "{out}");

    let (code, out, _) = run(&mut pabal(&["--json", "config", "check", "--config", &installation.config()]));
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &shown["problems"]), (0, &json!([])));
    assert_eq!(shown["projects"][0]["name"], "demo");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_file_is_named() {
    let installation = Installation::make().await;
    let path = installation.folder.path().join("sa.json");
    for (content, problem) in [(None, "can't read"), (Some("{\"project_info\":{}}"), "google-services.json")]
    {
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let (code, out, error) = run(&mut pabal(&["config", "check", "--config", &installation.config()]));
        assert_eq!((code, error.as_str()), (6, "pabal: 1 problem was found\n"));
        assert!(
            out.contains("PROBLEM fcm.projects.demo.service_account: ") && out.contains(problem),
            "{out}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_are_named_whichever_way_they_come() {
    let installation = Installation::make().await;
    installation.configure("[retry]\natempts_max = 3");
    let (code, _, error) = run(&mut pabal(&["serve", "--config", &installation.config()]));
    assert_eq!(code, 6);
    assert!(
        error.contains("pabal.toml: retry.atempts_max is not known; known here: attempts_max"),
        "{error}"
    );
    installation.configure("");
    let mut command = pabal(&["config", "check", "--config", &installation.config()]);
    let (code, _, error) = run(command.env("PABAL_RETRY_ATEMPTS_MAX", "3"));
    assert_eq!(code, 6);
    assert_eq!(error, "pabal: PABAL_RETRY_ATEMPTS_MAX: is no key of the configuration\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_is_none_is_refused_at_the_check_and_at_the_start() {
    let installation = Installation::make().await;
    let file = installation.config();
    for command in [&["config", "check"][..], &["serve"]] {
        let arguments = [command, &["--config", &file]].concat();
        let (code, _, error) = run(pabal(&arguments).env("PABAL_LOG_LEVEL", "inof"));
        assert_eq!(code, 6, "{error}");
        assert!(error.starts_with("pabal: PABAL_LOG_LEVEL: log.level: must be error, warn, info"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_server_holds_is_a_note_and_no_problem() {
    let installation = Installation::make().await;
    let _served = installation.serve();
    let (code, out, error) = run(&mut pabal(&["config", "check", "--config", &installation.config()]));
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.contains("note    a running server holds ") && out.contains("pabal.db"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_through_a_proxy_is_shown_without_its_password() {
    let installation = Installation::make().await;
    let account = installation.emulator.service_account_with("demo", "https://oauth2.googleapis.com/token");
    std::fs::write(installation.folder.path().join("google.json"), account.to_string()).unwrap();
    installation.configure("[fcm.projects.real]\nservice_account = 'google.json'");
    let check = |variables: &[(&str, &str)]| {
        let mut command = pabal(&["config", "check", "--config", &installation.config()]);
        run(command.env("PABAL_LISTEN", "127.0.0.1:0").envs(variables.iter().copied()))
    };
    let environment = ("HTTPS_PROXY", "http://ann:secret@proxy.lan:3128");
    let (code, out, _) = check(&[environment]);
    assert_eq!((code, out.matches(" through proxy http://…@proxy.lan:3128\n").count()), (0, 2), "{out}");
    let (_, out, _) = check(&[environment, ("NO_PROXY", "oauth2.googleapis.com")]);
    assert!(out.contains("https://oauth2.googleapis.com/token\n"), "{out}");
    for ways in [[environment, ("NO_PROXY", "*")], [environment, ("PABAL_FCM_PROXY", "off")]] {
        let (code, out, _) = check(&ways);
        assert_eq!((code, out.contains("proxy")), (0, false), "{out}");
    }
    let (_, out, _) = check(&[environment, ("PABAL_FCM_PROXY", "http://other:1")]);
    assert_eq!(out.matches(" through proxy http://other:1\n").count(), 2, "{out}");
    for (name, named) in [("HTTPS_PROXY", "HTTPS_PROXY"), ("PABAL_FCM_PROXY", "fcm.proxy")] {
        let (code, out, _) = check(&[(name, "https://ann:secret@proxy.lan:3128")]);
        assert!(code == 6 && out.contains(&format!("PROBLEM {named}: is an https:// proxy")), "{out}");
        assert!(!out.contains("secret"), "{out}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let (code, _, error) = run(&mut pabal(&["serve", "--config", "/nowhere/pabal.toml"]));
    assert_eq!(code, 6);
    assert!(error.starts_with("pabal: /nowhere/pabal.toml: can't be read"), "{error}");
}
