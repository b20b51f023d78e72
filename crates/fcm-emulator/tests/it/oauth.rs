//! The token endpoint, and what its tokens are good for.

use fcm_emulator::{Emulator, Faults, Options};
use serde_json::{Value, json};

use crate::client::{Client, assertion, form, start, start_with};

async fn refused(client: &mut Client, form: &str, error: &str, description: &str) {
    let answer = client.token_request(form).await;
    assert_eq!(answer.status, 400, "{description}");
    assert_eq!(answer.json(), json!({"error": error, "error_description": description}));
}

#[tokio::test]
async fn a_good_assertion_gets_a_token() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::h2c(&emulator).await;
    let account = emulator.service_account("demo");
    assert_eq!(account["token_uri"], format!("{}/token", emulator.base_url()));
    let answer = client.token_request(&form(&assertion(&account, json!({})))).await;
    let token = answer.json();
    assert_eq!(token["expires_in"], 3_599);
    assert_eq!(token["token_type"], "Bearer");
    assert!(token["access_token"].as_str().unwrap().starts_with("ya29."));
    assert_eq!(emulator.oauth_requests(), 1);
}

#[tokio::test]
async fn errors_come_in_googles_order() {
    const WINDOW: &str = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
                          Check your iat and exp values in the JWT claim.";
    let emulator = start(Faults::default()).await;
    let mut client = Client::h2c(&emulator).await;
    let account = emulator.service_account("demo");
    let now_s = jsonwebtoken::get_current_timestamp();

    refused(&mut client, "", "invalid_request", "Bad Request").await;
    refused(&mut client, "grant_type=password", "unsupported_grant_type", "Invalid grant_type: password")
        .await;
    refused(&mut client, &form("a.b.c"), "invalid_request", "Bad Request").await;

    // Each assertion has every later mistake too, and hears of the first.
    let mistakes = |mut mine: Value| {
        for (claim, value) in json!({"scope": "", "aud": "https://elsewhere"}).as_object().unwrap() {
            if mine.get(claim).is_none() {
                mine[claim] = value.clone();
            }
        }
        form(&assertion(&account, mine))
    };
    let stale = json!({"iss": "nobody@nowhere", "iat": 0, "exp": 3_600});
    let mut forged = mistakes(stale.clone());
    let last = if forged.ends_with("AAAA") { "BBBB" } else { "AAAA" };
    forged.replace_range(forged.len() - 8..forged.len() - 4, last);
    refused(&mut client, &forged, "invalid_grant", "Invalid JWT Signature.").await;
    refused(&mut client, &mistakes(stale), "invalid_grant", "Invalid grant: account not found").await;
    for window in [
        json!({"iat": 0, "exp": 3_600}),
        json!({"iat": now_s, "exp": now_s + 3_700}),
        json!({"iat": now_s + 400, "exp": now_s + 3_600}),
        json!({"iat": null}),
    ] {
        refused(&mut client, &mistakes(window), "invalid_grant", WINDOW).await;
    }
    let scope = "Invalid OAuth scope or ID token audience provided.";
    refused(&mut client, &mistakes(json!({})), "invalid_scope", scope).await;
    let audience = mistakes(json!({"scope": "https://www.googleapis.com/auth/cloud-platform"}));
    refused(&mut client, &audience, "invalid_grant", "Invalid JWT: Failed audience check.").await;
}

#[tokio::test]
async fn another_accounts_key_is_a_bad_signature() {
    let projects = vec!["one".to_owned(), "two".to_owned()];
    let emulator = start_with(Options { projects, ..Options::default() }).await;
    let mut client = Client::h2c(&emulator).await;
    let other = emulator.service_account("two")["client_email"].clone();
    let forged = form(&assertion(&emulator.service_account("one"), json!({"iss": other})));
    refused(&mut client, &forged, "invalid_grant", "Invalid JWT Signature.").await;
    assert_eq!(emulator.service_account("three"), Value::Null);
}

#[tokio::test]
async fn the_audience_may_be_google_or_however_the_emulator_was_addressed() {
    let emulator = start(Faults::default()).await;
    let port = emulator.address().port();
    for uri in ["https://oauth2.googleapis.com/token", &format!("http://127.0.0.1:{port}/token")] {
        let account = emulator.service_account_with("demo", uri);
        assert_eq!(account["token_uri"], uri);
        for mut client in [Client::h2c(&emulator).await, Client::http1(&emulator).await] {
            client.access_token(&account).await;
        }
    }
}

#[tokio::test]
async fn clocks_that_disagree() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::h2c(&emulator).await;
    let account = emulator.service_account("demo");
    let now_s = jsonwebtoken::get_current_timestamp();
    let signed = |iat: u64| form(&assertion(&account, json!({"iat": iat, "exp": iat + 3_600})));

    assert_eq!(client.token_request(&signed(now_s + 290)).await.status, 200, "+300 s are tolerated");
    emulator.set_clock_offset(-7_200);
    let answer = client.token_request(&signed(now_s)).await;
    assert_eq!(answer.json()["error"], "invalid_grant");
    let date = answer.header("date").unwrap();
    let shifted = client.get("/emulator/v1/healthz").await;
    assert_eq!(&shifted.header("date").unwrap()[..16], &date[..16], "every answer has the shifted date");
    assert_eq!(client.token_request(&signed(now_s - 7_200)).await.status, 200);
    emulator.set_clock_offset(0);
    let back = client.get("/emulator/v1/healthz").await;
    assert_ne!(back.header("date"), Some(date));
}

#[tokio::test]
async fn a_scope_google_does_not_know_gets_an_id_token_only() {
    let emulator = start(Faults::default()).await;
    let mut client = Client::h2c(&emulator).await;
    let account = emulator.service_account("demo");
    let answer = client.token_request(&form(&assertion(&account, json!({"scope": "messaging"})))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["access_token"], Value::Null);
    assert_eq!(answer.json()["id_token"].as_str().unwrap().split('.').count(), 3);
}

async fn send_status(client: &mut Client, path: &str) -> (u16, Value) {
    let answer = client.try_send_to(path, r#"{"message":{"token":"t"}}"#).await.unwrap();
    let reason = answer.json()["error"]["details"][0]["reason"].clone();
    (answer.status.as_u16(), reason)
}

async fn two_projects() -> Emulator {
    let projects = vec!["demo".to_owned(), "other".to_owned()];
    start_with(Options { projects, token_lifetime_s: 60, ..Options::default() }).await
}

#[tokio::test]
async fn a_token_lets_its_account_send_for_its_project_while_it_lives() {
    const DEMO: &str = "/v1/projects/demo/messages:send";
    let emulator = two_projects().await;
    let mut client = Client::h2c(&emulator).await;

    assert_eq!(send_status(&mut client, DEMO).await, (401, "CREDENTIALS_MISSING".into()));
    client.token = Some("nonsense".to_owned());
    assert_eq!(send_status(&mut client, DEMO).await, (401, "ACCESS_TOKEN_TYPE_UNSUPPORTED".into()));

    let account = emulator.service_account("demo");
    client.token = Some(client.access_token(&account).await);
    assert_eq!(send_status(&mut client, DEMO).await, (200, Value::Null));
    let denied = (403, "IAM_PERMISSION_DENIED".into());
    assert_eq!(send_status(&mut client, "/v1/projects/other/messages:send").await, denied);
    assert_eq!(send_status(&mut client, "/v1/projects/none/messages:send").await, denied);

    emulator.set_clock_offset(61);
    assert_eq!(send_status(&mut client, DEMO).await, (401, "ACCESS_TOKEN_EXPIRED".into()));
    emulator.set_clock_offset(0);
    emulator.expire_tokens();
    assert_eq!(send_status(&mut client, DEMO).await, (401, "ACCESS_TOKEN_EXPIRED".into()));

    let scope = json!({"scope": "https://www.googleapis.com/auth/drive"});
    let answer = client.token_request(&form(&assertion(&account, scope))).await;
    client.token = Some(answer.json()["access_token"].as_str().unwrap().to_owned());
    assert_eq!(send_status(&mut client, DEMO).await, (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT".into()));
    assert_eq!(emulator.count().accepted, 1);
}

#[tokio::test]
async fn bad_tokens_can_be_answered_in_html() {
    let emulator = start(Faults { html_401: true, ..Faults::default() }).await;
    let answer = Client::h2c(&emulator).await.send(json!({"token": "t"})).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text().starts_with("<!DOCTYPE html>"));
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
}
