"""Is the environment read once and wholly, and does a refusal name the variable?"""

from __future__ import annotations

import pytest

from responsys_activation.settings import ConnectionSettings, InvalidSettingsError, Settings, read_settings

REQUIRED = {
    "STACK_NAME": "stack",
    "CONNECTOR_PARAMETER_PREFIX": "/stack/connectors/",
    "TOKEN_PARAMETER_PREFIX": "/stack/tokens/",
    "SEGMENT_EVENTS_QUEUE_URL": "https://sqs/1/segment-events",
    "THROTTLED_DEAD_LETTER_QUEUE_URL": "https://sqs/1/throttled",
    "REJECTED_DEAD_LETTER_QUEUE_URL": "https://sqs/1/rejected",
    "DELIVERY_TABLE_NAME": "delivery",
    "TRUSTED_ENDPOINT_DOMAINS": "responsys.net",
}


def test_the_required_variables_are_enough_and_the_others_have_defaults() -> None:
    settings = read_settings(Settings, REQUIRED | {"PATH": "/bin", "AWS_REGION": "eu-west-1"})

    assert settings.connector_parameter_prefix == "/stack/connectors/"
    assert settings.trusted_endpoint_domains == ("responsys.net",)
    assert settings.maximum_event_age_hours == 24
    assert settings.requests_in_flight == 25
    assert settings.reply_seconds == 60
    assert settings.maximum_resends == 2
    assert settings.time_scale == 1


def test_texts_become_numbers() -> None:
    numbers = {
        "MAXIMUM_EVENT_AGE_HOURS": "0.5",
        "REQUESTS_IN_FLIGHT": "8",
        "REPLY_SECONDS": "45",
        "MAXIMUM_RESENDS": "0",
        "TIME_SCALE": "60",
    }

    settings = read_settings(Settings, REQUIRED | numbers)

    assert settings.maximum_event_age_hours == 0.5
    assert settings.requests_in_flight == 8
    assert settings.reply_seconds == 45
    assert settings.maximum_resends == 0
    assert settings.time_scale == 60


def test_whoever_logs_in_knows_how_long_to_wait_for_a_reply() -> None:
    settings = read_settings(ConnectionSettings, REQUIRED | {"REPLY_SECONDS": "120"})

    assert settings.reply_seconds == 120


@pytest.mark.parametrize(
    ("text", "domains"),
    [
        ("responsys.net,rsys8.net", ("responsys.net", "rsys8.net")),
        (" Responsys.NET , , rsys8.net,", ("responsys.net", "rsys8.net")),
    ],
)
def test_trusted_domains_are_a_list_with_commas(text: str, domains: tuple[str, ...]) -> None:
    assert read_settings(Settings, REQUIRED | {"TRUSTED_ENDPOINT_DOMAINS": text}).trusted_endpoint_domains == domains


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_variable_is_named(missing: str) -> None:
    environment = {name: value for name, value in REQUIRED.items() if name != missing}

    with pytest.raises(InvalidSettingsError, match=f"environment: {missing}: "):
        read_settings(Settings, environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONNECTOR_PARAMETER_PREFIX", "stack/connectors/"),
        ("CONNECTOR_PARAMETER_PREFIX", "/stack/connectors"),
        ("TOKEN_PARAMETER_PREFIX", "/"),
        ("SEGMENT_EVENTS_QUEUE_URL", ""),
        ("DELIVERY_TABLE_NAME", ""),
        ("TRUSTED_ENDPOINT_DOMAINS", " , "),
        ("MAXIMUM_EVENT_AGE_HOURS", "0"),
        ("MAXIMUM_EVENT_AGE_HOURS", "a day"),
        ("REQUESTS_IN_FLIGHT", "0"),
        ("REQUESTS_IN_FLIGHT", "51"),
        ("REPLY_SECONDS", "0"),
        ("REPLY_SECONDS", "a minute"),
        ("MAXIMUM_RESENDS", "-1"),
        ("MAXIMUM_RESENDS", "11"),
        ("MAXIMUM_RESENDS", "1.5"),
        ("TIME_SCALE", "0"),
        ("TIME_SCALE", "-1"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSettingsError, match=f"environment: {name}: "):
        read_settings(Settings, REQUIRED | {name: value})


def test_every_wrong_variable_is_named_at_once() -> None:
    with pytest.raises(InvalidSettingsError) as refused:
        read_settings(Settings, {})

    for name in REQUIRED:
        assert f"{name}: " in str(refused.value)
