"""Topic management: FCM's own API, which the SDK uses now, and the Instance ID service, which it used before."""

import pytest
from firebase_admin import exceptions, messaging

TOKENS = ["phone-1", "dead-1", "no token", "foreign-1", "busy-1", "phone-2"]
RULES = [
    {"prefix": "dead-", "answer": "unregistered"},
    {"prefix": "foreign-", "answer": "sender_mismatch"},
    {"prefix": "busy-", "answer": "quota"},
]
PHONES = {("phone-1", "news"), ("phone-2", "news")}


def subscribe_legacy(*arguments):
    with pytest.warns(DeprecationWarning):
        return messaging.subscribe_to_topic_legacy(*arguments)


def unsubscribe_legacy(*arguments):
    with pytest.warns(DeprecationWarning):
        return messaging.unsubscribe_from_topic_legacy(*arguments)


# How each API subscribes and unsubscribes, whether it is awaited, and what a foreign token is told: the new API has
# FCM's own code for it.
APIS = {
    "v1": (messaging.subscribe_to_topic, messaging.unsubscribe_from_topic, False, "SENDER_ID_MISMATCH"),
    "async": (
        messaging.subscribe_to_topic_async,
        messaging.unsubscribe_from_topic_async,
        True,
        "SENDER_ID_MISMATCH",
    ),
    "legacy": (subscribe_legacy, unsubscribe_legacy, False, "PERMISSION_DENIED"),
}


@pytest.fixture(params=APIS)
def api(request, runner):
    """What subscribes, what unsubscribes, and what a foreign token is told."""
    subscribe, unsubscribe, is_awaited, foreign = APIS[request.param]
    if not is_awaited:
        return subscribe, unsubscribe, foreign
    return (
        lambda *arguments: runner.run(subscribe(*arguments)),
        lambda *arguments: runner.run(unsubscribe(*arguments)),
        foreign,
    )


def test_each_token_has_its_result(emulator, app, api):
    subscribe, unsubscribe, foreign = api
    emulator.faults(tokens=RULES)
    errors = [(1, "NOT_FOUND"), (2, "INVALID_ARGUMENT"), (3, foreign), (4, "RESOURCE_EXHAUSTED")]
    for change, left in [(subscribe, PHONES), (unsubscribe, set())]:
        result = change(TOKENS, "/topics/news")
        assert (result.success_count, result.failure_count) == (2, 4)
        assert [(error.index, error.reason) for error in result.errors] == errors
        assert emulator.subscriptions() == left


def test_doing_it_twice_is_no_error(emulator, app, api):
    subscribe, unsubscribe, _ = api
    for change in [subscribe, subscribe, unsubscribe, unsubscribe]:
        assert change("phone-1", "news").success_count == 1
    assert emulator.subscriptions() == set()


def test_tokens_and_topics_of_every_allowed_character(emulator, app, api):
    subscribe, _, _ = api
    assert subscribe("a:b-c_d.e~f", "A-z_0.9~%25").success_count == 1
    assert emulator.subscriptions() == {("a:b-c_d.e~f", "A-z_0.9~%25")}


def test_too_many_topics(emulator, app):
    service = messaging._get_messaging_service(app)
    for n in range(2_000):  # without the warning of each call
        service.make_topic_management_request("phone-1", f"topic-{n}", "iid/v1:batchAdd")
    for change in [messaging.subscribe_to_topic, subscribe_legacy]:
        [error] = change("phone-1", "one-more").errors
        assert error.reason == "TOO_MANY_TOPICS"


def test_the_rate_of_subscriptions(emulator, app):
    emulator.faults(limits={"subscriptions_per_s": 1})
    result = subscribe_legacy(["phone-1", "phone-2"], "news")
    assert [(error.index, error.reason) for error in result.errors] == [(1, "RESOURCE_EXHAUSTED")]


def test_the_old_api_refuses_as_a_whole(emulator, app, monkeypatch):
    monkeypatch.setattr(messaging._MessagingService, "IID_HEADERS", {})
    with pytest.raises(exceptions.UnauthenticatedError):
        subscribe_legacy("phone-1", "news")


def test_a_topic_reaches_its_subscribers(emulator, app):
    messaging.subscribe_to_topic(["phone-1", "phone-2"], "news")
    messaging.subscribe_to_topic(["phone-2", "phone-3"], "sport")
    messaging.send(messaging.Message(topic="news"))
    messaging.send(messaging.Message(condition="'news' in topics && !('sport' in topics)"))
    messaging.send(messaging.Message(condition="'news' in topics || 'sport' in topics"))
    messaging.unsubscribe_from_topic("phone-1", "news")
    messaging.send(messaging.Message(topic="news"))
    reached = [one["reached"]["registrations"] for one in emulator.messages()]
    assert [sorted(registrations) for registrations in reached] == [
        ["phone-1", "phone-2"],
        ["phone-1"],
        ["phone-1", "phone-2", "phone-3"],
        ["phone-2"],
    ]
