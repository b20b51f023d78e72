//! `stats` and `top`.

use fcm_emulator::FaultKind;

use crate::answers::with_faults;

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_shown_at_a_glance() {
    let installation =
        with_faults(&[("gone-", FaultKind::Unregistered), ("apns-", FaultKind::ThirdPartyAuth)]).await;
    let served = installation.serve();
    served.json(&["devices", "put", "ann", "phone", "--platform", "ios", "--token", "apns-1"]);
    for to in [&["--to-token", "gone-1"][..], &["--to-user", "ann"], &["--to-user", "nobody"]] {
        served.sent(to);
    }
    served.sent(&["--to-token", "t", "--lane", "bulk", "--send-at", "2027-11-22T00:00:00Z"]);
    let settled = |seen: &serde_json::Value| {
        seen["deliveries"]["dead"] == 1 && seen["paused"][0].is_object() && seen["queue"]["in_flight"] == 0
    };
    served.until(&["stats"], settled).await;
    let text = served.told(&["stats"], "");
    for part in [
        "app default\ndeliveries\n",
        "\n  dead                       1\n",
        "\nreasons\n  dead                       1  unregistered\n",
        "\n  undeliverable              1  no_device\n",
        "\nqueue, over all apps\n  bulk                       1\n",
        "\n  in flight                  0\n",
        "\npaused\n  transactional/fcm/demo/ios since 20",
    ] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
    // Without a terminal there is nothing to watch: once is enough.
    assert_eq!(served.told(&["top"], ""), text);
    assert_eq!(served.json(&["top"])["app"], "default");
}
