//! Every row of the table of FCM's answers, and that neither order nor garbage changes what is made of them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const TOKEN: &str = "dXk9_q:APA91bHPRgkFLJu6AmAmoXwEoDfOQ5gSz6I";

fn token() -> Target {
    Target::Token(TOKEN.to_owned())
}

fn fcm(code: &str) -> Value {
    json!({"@type": FCM_ERROR, "errorCode": code})
}

fn bad(field: &str) -> Value {
    json!({"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": "bad"}]})
}

fn error(status: u16, code: &str, message: &str, details: &[Value]) -> Answer {
    let mut error = json!({"code": status, "message": message, "status": code});
    if !details.is_empty() {
        error["details"] = details.into();
    }
    answer(status, json!({ "error": error }).to_string())
}

fn answer(status: u16, body: impl Into<bytes::Bytes>) -> Answer {
    Answer { status, body: body.into(), ..Answer::default() }
}

fn judged(answer: &Answer, target: &Target) -> Report {
    classify(answer, target, Timestamp::from_ms(0))
}

/// Judges the answer with its details in both orders.
fn check(status: u16, code: &str, message: &str, details: &[Value], outcome: Outcome, shown: &str) {
    let mut details = details.to_vec();
    for _ in 0..2 {
        let report = judged(&error(status, code, message, &details), &token());
        assert_eq!(report.outcome, outcome, "{status} {message}");
        assert_eq!(report.code.as_deref(), Some(shown), "{status} {message}");
        assert_eq!(report.status, Some(status));
        assert_eq!(report.detail.as_deref(), Some(message));
        details.reverse();
    }
}

#[test]
fn what_is_wrong_with_the_message_is_rejected() {
    let invalid = fcm("INVALID_ARGUMENT");
    let check = |message: &str, details: &[Value]| {
        check(400, "INVALID_ARGUMENT", message, details, Outcome::Rejected, "INVALID_ARGUMENT");
    };
    check("Recipient of the message is not set.", &[bad("message"), invalid.clone()]);
    check("Topic name contains invalid characters.", &[bad("message"), invalid.clone()]);
    check("Request contains an invalid argument.", &[]);
    let no_violations = json!({"@type": BAD_REQUEST});
    check("Message is too large. The maximum is 4K (4096 bytes).", &[no_violations, invalid.clone()]);
    check("TTL must be a non-negative integer.", &[bad("message.webpush.headers.TTL"), invalid]);
    check("Invalid value at 'message.data[0].value' (TYPE_STRING), 12", &[bad("message.data[0].value")]);
    check("The registration token is not a valid FCM registration token", &[]);
}

#[test]
fn a_malformed_token_only_says_so() {
    let message = "The registration token is not a valid FCM registration token";
    for field in ["message.token", "message.fid"] {
        let details = [fcm("INVALID_ARGUMENT"), bad(field)];
        check(400, "INVALID_ARGUMENT", message, &details, Outcome::MalformedTarget, "INVALID_ARGUMENT");
    }
    // Said about another status than 400, or under another code, it is not believed.
    check(404, "NOT_FOUND", message, &[bad("message.token")], Outcome::Rejected, "NOT_FOUND");
    let other = [fcm("UNSPECIFIED_ERROR"), bad("message.token")];
    check(400, "INVALID_ARGUMENT", message, &other, Outcome::Rejected, "UNSPECIFIED_ERROR");
}

#[test]
fn only_fcms_own_word_ends_a_registration() {
    let gone = "Requested entity was not found.";
    check(404, "NOT_FOUND", gone, &[fcm("UNREGISTERED")], Outcome::Unregistered, "UNREGISTERED");
    check(400, "INVALID_ARGUMENT", gone, &[fcm("UNREGISTERED")], Outcome::Unregistered, "UNREGISTERED");
    check(404, "NOT_FOUND", gone, &[], Outcome::Rejected, "NOT_FOUND");
    let other_type =
        json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "errorCode": "UNREGISTERED"});
    check(404, "NOT_FOUND", gone, &[other_type], Outcome::Rejected, "NOT_FOUND");
    let v2 = json!({"@type": format!("{FCM_ERROR}V2"), "errorCode": "UNREGISTERED"});
    check(404, "NOT_FOUND", gone, &[v2], Outcome::Rejected, "NOT_FOUND");
    check(404, "UNREGISTERED", gone, &[], Outcome::Rejected, "NOT_FOUND");
    let page = judged(&answer(404, "<title>Error 404 (Not Found)!!1</title>"), &token());
    assert_eq!((page.outcome, page.code.as_deref()), (Outcome::Rejected, Some("NOT_FOUND")));
    let ill = Outcome::Unavailable { retry_after_ms: None };
    check(503, "UNAVAILABLE", gone, &[fcm("UNREGISTERED")], ill, "UNREGISTERED");
    let mismatch = [fcm("SENDER_ID_MISMATCH")];
    check(
        403,
        "PERMISSION_DENIED",
        "SenderId mismatch",
        &mismatch,
        Outcome::SenderMismatch,
        "SENDER_ID_MISMATCH",
    );
}

#[test]
fn credentials_are_told_apart() {
    let all = Outcome::CredentialInvalid { scope: CredentialScope::Credential };
    let platform = Outcome::CredentialInvalid { scope: CredentialScope::Platform };
    let denied =
        "Permission 'cloudmessaging.messages.create' denied on resource '//x' (or it may not exist).";
    check(403, "PERMISSION_DENIED", denied, &[], all, "PERMISSION_DENIED");
    check(
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials.",
        &[],
        all,
        "UNAUTHENTICATED",
    );
    let apns = "Auth error from APNS or Web Push Service";
    let details = [fcm("THIRD_PARTY_AUTH_ERROR")];
    check(401, "UNAUTHENTICATED", apns, &details, platform, "THIRD_PARTY_AUTH_ERROR");
    assert_eq!(judged(&answer(401, "<html>Error 401 (Unauthorized)!!1</html>"), &token()).outcome, all);
}

#[test]
fn an_unwell_provider_is_unavailable() {
    let ill = Outcome::Unavailable { retry_after_ms: None };
    check(500, "INTERNAL", "Internal error encountered.", &[fcm("INTERNAL")], ill, "INTERNAL");
    check(
        503,
        "UNAVAILABLE",
        "The service is currently unavailable.",
        &[fcm("UNAVAILABLE")],
        ill,
        "UNAVAILABLE",
    );
    for status in [408, 500, 501, 502, 503, 504, 599] {
        assert_eq!(judged(&answer(status, ""), &token()).outcome, ill, "{status}");
    }
    let mut busy = error(503, "UNAVAILABLE", "busy", &[fcm("UNAVAILABLE")]);
    busy.retry_after = Some("7".to_owned());
    assert_eq!(judged(&busy, &token()).outcome, Outcome::Unavailable { retry_after_ms: Some(7_000) });
}

#[test]
fn a_gateways_page_is_a_hint() {
    let page =
        "<html><title>502</title><p>The server is ill.<p>Please try again in 30 seconds. <b>That's all</b>";
    let report = judged(&answer(502, page), &token());
    assert_eq!(report.outcome, Outcome::Unavailable { retry_after_ms: Some(30_000) });
    assert_eq!(report.code, None);
    let text = "502 The server is ill. Please try again in 30 seconds. That's all";
    assert_eq!(report.detail.as_deref(), Some(text));
    let header = Answer { retry_after: Some("5".to_owned()), ..answer(502, page) };
    assert_eq!(judged(&header, &token()).outcome, Outcome::Unavailable { retry_after_ms: Some(5_000) });
}

#[test]
fn a_quota_says_what_it_is_about() {
    let quota = |text: &str| json!({"@type": QUOTA_FAILURE, "violations": [{"subject": "project:1", "description": text}]});
    let scope_of = |message: &str, details: &[Value], target: Target| match judged(
        &error(429, "RESOURCE_EXHAUSTED", message, details),
        &target,
    )
    .outcome
    {
        Outcome::Throttled { scope, retry_after_ms: None } => scope,
        other => panic!("{other:?}"),
    };
    let exceeded = fcm("QUOTA_EXCEEDED");
    let topic = || Target::FcmTopic("news".to_owned());
    assert_eq!(scope_of("Quota exceeded.", std::slice::from_ref(&exceeded), token()), ThrottleScope::Project);
    assert_eq!(
        scope_of("", &[quota("Device message rate exceeded"), exceeded], token()),
        ThrottleScope::Device
    );
    assert_eq!(scope_of("Device Message Rate Exceeded", &[], token()), ThrottleScope::Device);
    assert_eq!(scope_of("Topics Message Rate Exceeded", &[], topic()), ThrottleScope::Topic);
    assert_eq!(scope_of("Topics Message Rate Exceeded", &[], token()), ThrottleScope::Project);
    assert_eq!(scope_of("Device Message Rate Exceeded", &[], topic()), ThrottleScope::Project);
}

#[test]
fn a_wait_is_taken_from_wherever_it_is_told() {
    let throttled = |retry_after_ms| Outcome::Throttled { retry_after_ms, scope: ThrottleScope::Project };
    let mut quota = error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", &[fcm("QUOTA_EXCEEDED")]);
    assert_eq!(judged(&quota, &token()).outcome, throttled(None));
    quota.retry_after = Some("61".to_owned());
    assert_eq!(judged(&quota, &token()).outcome, throttled(Some(61_000)));
    quota.retry_after = Some("Sun, 06 Nov 1994 08:50:37 GMT".to_owned());
    quota.date = Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
    assert_eq!(judged(&quota, &token()).outcome, throttled(Some(60_000)));
    let info = json!({"@type": RETRY_INFO, "retryDelay": "2.5s"});
    let told = error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", &[info]);
    assert_eq!(judged(&told, &token()).outcome, throttled(Some(2_500)));
}

#[test]
fn success_names_the_message() {
    let report = judged(&answer(200, r#"{"name":"projects/p/messages/0:1%2"}"#), &token());
    assert_eq!(report.outcome, Outcome::Delivered);
    assert_eq!(report.detail.as_deref(), Some("projects/p/messages/0:1%2"));
    for body in ["", "{}", "<html>Sign in to this network</html>", "{\"name\":1}"] {
        assert_eq!(judged(&answer(200, body), &token()).outcome, Outcome::Unknown, "{body}");
    }
}

#[test]
fn other_statuses_are_rejected_with_what_was_said() {
    for status in [301, 302, 402, 405, 409, 410, 411, 413, 415, 418, 421, 431, 451] {
        let report = judged(&answer(status, "<h1>Go away</h1>"), &token());
        assert_eq!(report.outcome, Outcome::Rejected, "{status}");
        assert_eq!(report.detail.as_deref(), Some("Go away"));
    }
}

#[test]
fn an_error_in_an_array_is_read_too() {
    let inner = error(404, "NOT_FOUND", "gone", &[fcm("UNREGISTERED")]).body;
    let wrapped = [b"[", inner.as_ref(), b"]"].concat();
    assert_eq!(judged(&answer(404, wrapped), &token()).outcome, Outcome::Unregistered);
}

#[test]
fn a_detail_never_holds_the_token() {
    let report = judged(&error(400, "INVALID_ARGUMENT", &format!("Bad token: {TOKEN}!"), &[]), &token());
    assert_eq!(report.detail.as_deref(), Some("Bad token: (token)!"));
    let name = format!(r#"{{"name":"projects/p/messages/{TOKEN}"}}"#);
    let report = judged(&answer(200, name.into_bytes()), &token());
    assert_eq!(report.detail.as_deref(), Some("projects/p/messages/(token)"), "also where it arrived");
    let unasked = judged(&answer(200, format!("you sent {TOKEN}")), &token());
    assert!(!unasked.detail.unwrap().contains(TOKEN));
    let code = judged(&error(400, TOKEN, "", &[fcm(TOKEN)]), &token());
    assert_eq!(code.code, None);
}

fn any_detail() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[A-Z_]{1,20}".prop_map(|code| fcm(&code)),
        Just(fcm("UNREGISTERED")),
        "[a-z.]{1,20}".prop_map(|field| bad(&field)),
        Just(json!({"@type": "type.googleapis.com/google.rpc.Help", "links": []})),
        Just(json!(null)),
        Just(json!({"@type": 3})),
    ]
}

proptest! {
    #[test]
    fn the_order_of_details_means_nothing(
        details in proptest::collection::vec(any_detail(), 0..4).prop_filter("one code", |details| {
            details.iter().filter(|detail| detail["@type"] == FCM_ERROR).count() <= 1
        }),
        status in 300u16..600,
    ) {
        let straight = judged(&error(status, "X", "m", &details), &token());
        for rotation in 1..=details.len() {
            let mut turned = details.clone();
            turned.rotate_left(rotation % details.len().max(1));
            prop_assert_eq!(&judged(&error(status, "X", "m", &turned), &token()), &straight);
        }
    }

    #[test]
    fn any_answer_has_a_report(status in 100u16..1000, body in proptest::collection::vec(any::<u8>(), 0..200), retry in ".{0,20}") {
        let answer = Answer { status, body: body.into(), retry_after: Some(retry), date: None };
        let report = judged(&answer, &token());
        prop_assert_eq!(report.status, Some(status));
        // Nothing but FCM's own word ends a registration.
        prop_assert!(!matches!(report.outcome, Outcome::Unregistered | Outcome::SenderMismatch | Outcome::MalformedTarget));
    }
}
