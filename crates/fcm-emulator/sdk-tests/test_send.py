"""Sends: what arrives, and what each refusal becomes in the SDK."""

import datetime
import re
import time

import pytest
from firebase_admin import exceptions, messaging

DEVICE_ID = re.compile(r"projects/demo/messages/0:\d{16}%[0-9a-f]{16}")
TOPIC_ID = re.compile(r"projects/demo/messages/\d+")

# What the SDK makes of each answer of the emulator.
REFUSALS = [
    ("unregistered", messaging.UnregisteredError, 404),
    ("sender_mismatch", messaging.SenderIdMismatchError, 403),
    ("invalid_token", exceptions.InvalidArgumentError, 400),
    ("quota", messaging.QuotaExceededError, 429),
    ("unavailable", exceptions.UnavailableError, 503),
    ("third_party_auth", messaging.ThirdPartyAuthError, 401),
    ("internal", exceptions.InternalError, 500),
    ("html_502", exceptions.UnknownError, 502),
]

# The same when the answers have no details, and the status decides.
WITHOUT_DETAILS = [
    ("unregistered", exceptions.NotFoundError),
    ("sender_mismatch", exceptions.PermissionDeniedError),
    ("invalid_token", exceptions.InvalidArgumentError),
    ("quota", exceptions.ResourceExhaustedError),
    ("unavailable", exceptions.UnavailableError),
    ("third_party_auth", exceptions.UnauthenticatedError),
    ("internal", exceptions.InternalError),
]


def refused(send):
    """The error of a send, of exactly one class."""
    with pytest.raises(exceptions.FirebaseError) as caught:
        send()
    return caught.value


def test_a_message_arrives_as_it_was_sent(emulator, app):
    message = messaging.Message(token="phone-1", data={"k": "v"}, notification=messaging.Notification("title", "body"))
    assert DEVICE_ID.fullmatch(messaging.send(message))
    [received] = emulator.messages()
    assert (received["target_kind"], received["target"], received["project"]) == ("token", "phone-1", "demo")
    assert received["message"] == {
        "token": "phone-1",
        "data": {"k": "v"},
        "notification": {"title": "title", "body": "body"},
    }


def test_every_option_of_the_sdk_is_understood(emulator, app):
    lights = messaging.LightSettings("#aabbcc", light_on_duration_millis=200, light_off_duration_millis=300)
    android_notification = messaging.AndroidNotification(
        title="t", body="b", icon="i", color="#112233", sound="s", tag="tag", click_action="c", channel_id="ch",
        title_loc_key="k", title_loc_args=["a"], body_loc_key="k", body_loc_args=["a"], image="https://example.com/i",
        ticker="t", sticky=True, event_timestamp=datetime.datetime(2026, 7, 1, tzinfo=datetime.timezone.utc),
        local_only=True, priority="high", vibrate_timings_millis=[100, 50], default_vibrate_timings=False,
        default_sound=True, light_settings=lights, default_light_settings=False, visibility="public",
        notification_count=3,
    )  # fmt: skip
    alert = messaging.ApsAlert(title="t", body="b", loc_key="k", loc_args=["a"])
    sound = messaging.CriticalSound("s", critical=True, volume=0.5)
    aps = messaging.Aps(alert=alert, badge=1, sound=sound, content_available=True, category="c", thread_id="t")
    web_notification = messaging.WebpushNotification(
        title="t", body="b", icon="i", actions=[messaging.WebpushNotificationAction("a", "t")], tag="t", vibrate=[100]
    )
    message = messaging.Message(
        token="phone-1",
        fcm_options=messaging.FCMOptions(analytics_label="label"),
        android=messaging.AndroidConfig(
            collapse_key="c", priority="high", ttl=datetime.timedelta(seconds=3, milliseconds=500),
            restricted_package_name="p", data={"k": "v"}, notification=android_notification,
            fcm_options=messaging.AndroidFCMOptions(analytics_label="label"), direct_boot_ok=True,
        ),
        apns=messaging.APNSConfig(
            headers={"apns-priority": "10"}, payload=messaging.APNSPayload(aps, own="x"),
            fcm_options=messaging.APNSFCMOptions(analytics_label="label", image="https://example.com/i"),
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": "60", "Urgency": "high"}, data={"k": "v"}, notification=web_notification,
            fcm_options=messaging.WebpushFCMOptions(link="https://example.com"),
        ),
    )  # fmt: skip
    messaging.send(message)
    [received] = emulator.messages()
    assert received["message"]["android"]["ttl"] == "3.500000000s"
    assert received["message"]["webpush"]["fcm_options"] == {"link": "https://example.com"}


def test_a_dry_run_sends_nothing(emulator, app):
    assert messaging.send(messaging.Message(token="phone-1"), dry_run=True).startswith("projects/demo/messages/")
    assert emulator.messages() == []
    emulator.rule("dead-", "unregistered")
    error = refused(lambda: messaging.send(messaging.Message(token="dead-1"), dry_run=True))
    assert type(error) is messaging.UnregisteredError


@pytest.mark.parametrize(("answer", "expected", "status"), REFUSALS)
def test_each_refusal_has_its_class(emulator, app, answer, expected, status):
    emulator.rule("phone-", answer)
    error = refused(lambda: messaging.send(messaging.Message(token="phone-1")))
    assert type(error) is expected
    assert error.http_response.status_code == status
    assert emulator.messages() == []


@pytest.mark.parametrize(("answer", "expected"), WITHOUT_DETAILS)
def test_without_details_the_status_decides(emulator, app, answer, expected):
    emulator.faults(missing_details=True, tokens=[{"prefix": "", "answer": answer}])
    error = refused(lambda: messaging.send(messaging.Message(token="phone-1")))
    assert type(error) is expected


def test_what_fcm_refuses_is_an_invalid_argument_with_its_text(emulator, app):
    message = messaging.Message(token="phone-1", data={"from": "me"})
    error = refused(lambda: messaging.send(message))
    assert type(error) is exceptions.InvalidArgumentError
    assert str(error) == "Invalid data payload key: from"
    error = refused(lambda: messaging.send(messaging.Message(token="no token")))
    assert str(error) == "The registration token is not a valid FCM registration token"


def test_another_project_is_not_for_this_account(emulator, sdk):
    app = sdk("other", "other")
    error = refused(lambda: messaging.send(messaging.Message(token="phone-1"), app=app))
    assert type(error) is exceptions.PermissionDeniedError


def test_the_sdk_retries_an_outage(emulator, app):
    emulator.rule("phone-", "unavailable", first=4)
    assert DEVICE_ID.fullmatch(messaging.send(messaging.Message(token="phone-1")))
    emulator.rule("phone-", "internal", first=5)
    error = refused(lambda: messaging.send(messaging.Message(token="phone-1")))
    assert type(error) is exceptions.InternalError
    assert len(emulator.messages()) == 1


def test_the_sdk_heeds_retry_after(emulator, app):
    emulator.faults(
        retry_after_s={"min": 1, "max": 1},
        tokens=[{"prefix": "phone-", "answer": "quota", "first": 1}],
    )
    started = time.monotonic()
    assert DEVICE_ID.fullmatch(messaging.send(messaging.Message(token="phone-1")))
    assert time.monotonic() - started >= 1


def mixed_tokens(emulator):
    """Tokens, and the class that each one's send ends with."""
    answers = {"dead-1": "unregistered", "foreign-1": "sender_mismatch", "busy-1": "quota", "down-1": "unavailable"}
    emulator.faults(tokens=[{"prefix": prefix, "answer": answer} for prefix, answer in answers.items()])
    by_answer = {answer: expected for answer, expected, _ in REFUSALS}
    return {token: by_answer[answers[token]] if token in answers else None for token in ["phone-1", *answers, "phone-2"]}


def check_batch(batch, expected):
    assert [type(one.exception) if one.exception else None for one in batch.responses] == expected
    assert [one.success for one in batch.responses] == [one is None for one in expected]
    assert (batch.success_count, batch.failure_count) == (2, len(expected) - 2)
    assert all(DEVICE_ID.fullmatch(one.message_id) for one in batch.responses if one.success)


def test_send_each(emulator, app):
    expected = mixed_tokens(emulator)
    batch = messaging.send_each([messaging.Message(token=token) for token in expected])
    check_batch(batch, list(expected.values()))
    assert {one["target"] for one in emulator.messages()} == {"phone-1", "phone-2"}


def test_send_each_for_multicast(emulator, app):
    expected = mixed_tokens(emulator)
    message = messaging.MulticastMessage(list(expected), data={"k": "v"})
    check_batch(messaging.send_each_for_multicast(message), list(expected.values()))
    assert all(one["message"]["data"] == {"k": "v"} for one in emulator.messages())


def test_send_each_async_over_http2(emulator, app, runner):
    expected = mixed_tokens(emulator)
    messages = [messaging.Message(token=token) for token in expected]
    check_batch(runner.run(messaging.send_each_async(messages)), list(expected.values()))
    assert {one["target"] for one in emulator.messages()} == {"phone-1", "phone-2"}


def test_installation_ids_in_place_of_tokens(emulator, app):
    emulator.rule("dead-", "unregistered")
    batch = messaging.send_each_for_multicast(messaging.MulticastMessage(fids=["phone-1", "dead-1"], data={"k": "v"}))
    assert [type(one.exception) for one in batch.responses] == [type(None), messaging.UnregisteredError]
    [received] = emulator.messages()
    assert (received["target_kind"], received["target"]) == ("fid", "phone-1")


def test_send_each_takes_500(emulator, app):
    batch = messaging.send_each([messaging.Message(token=f"phone-{n}") for n in range(500)])
    assert batch.success_count == 500
    assert len({one["target"] for one in emulator.messages()}) == 500


def test_a_topic_and_a_condition(emulator, app):
    assert TOPIC_ID.fullmatch(messaging.send(messaging.Message(topic="/topics/news")))
    condition = "'news' in topics && !('sport' in topics)"
    assert TOPIC_ID.fullmatch(messaging.send(messaging.Message(condition=condition)))
    received = [(one["target_kind"], one["target"]) for one in emulator.messages()]
    assert received == [("topic", "news"), ("condition", condition)]
    error = refused(lambda: messaging.send(messaging.Message(condition="'news' in")))
    assert type(error) is exceptions.InvalidArgumentError
