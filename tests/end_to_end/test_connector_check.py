"""Does the deployed check find each mistake before an event does, and does its alarm follow?"""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from responsys_activation.cli.exit_code import ExitCode
from responsys_activation.error_code import advice
from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.end_to_end.observing import deployed
from tests.local_stack.published_metrics import PublishedMetrics
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import STACK_NAME, LocalStack
from tests.unit.cli.commands import command


def check(stack: LocalStack, *connectors: str, forget_refused_login: bool = False) -> dict[str, Any]:
    """Check connectors, or all, and return the report."""
    chosen = ["--connector", ",".join(connectors)] if connectors else []
    forget = ["--forget-refused-login"] if forget_refused_login else []
    ended = command("check", *chosen, *forget, "--json", stack=deployed(stack))
    report: dict[str, Any] = ended.document()
    assert ended.code == (ExitCode.DONE if report["ok"] else ExitCode.NOT_DONE)
    return report


def checked(connector: ConnectorUnderTest) -> dict[str, Any]:
    """Check one connector, and return what was found about it."""
    (report,) = check(connector.stack, connector.name)["connectors"]
    found: dict[str, Any] = report
    return found


def alarm_state(stack: LocalStack) -> str:
    names = [f"{STACK_NAME}-connector-check"]
    (alarm,) = stack.endpoint.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    return alarm["StateValue"]


def put_parameter(connector: ConnectorUnderTest, **changes: Any) -> None:
    name = f"{connector.stack.outputs['ConnectorParameterPrefix']}{connector.name}"
    ssm = connector.stack.endpoint.client("ssm")
    settings = json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"]) | changes
    ssm.put_parameter(Name=name, Type="String", Value=json.dumps(settings), Overwrite=True)


def wrong_event(connector: ConnectorUnderTest) -> None:
    put_parameter(connector, eventNames={"aud-1": "CART_ABANDONNED"})


def wrong_list(connector: ConnectorUnderTest) -> None:
    put_parameter(connector, profileList={"name": "CONTACT_LIST"})


def wrong_folder(connector: ConnectorUnderTest) -> None:
    put_parameter(connector, profileList={"name": "CONTACTS_LIST", "folder": "!Master"})


def wrong_password(connector: ConnectorUnderTest) -> None:
    connector.put(password="not-the-password")


def untrusted_endpoint(connector: ConnectorUnderTest) -> None:
    put_parameter(connector, authEndpoint="https://login.example.com")


def untrusted_reply(connector: ConnectorUnderTest) -> None:
    connector.simulator.patch_account(connector.name, {"replies": {"endPoint": "https://api.example.com"}})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            wrong_event,
            "eventNames.aud-1: Responsys has no custom event CART_ABANDONNED. Did you mean CART_ABANDONED? "
            "Correct the name, or define the custom event in Responsys",
        ),
        (
            wrong_list,
            "profileList.name: Responsys has no profile list CONTACT_LIST. Did you mean CONTACTS_LIST? "
            "Correct profileList.name",
        ),
        (
            wrong_folder,
            "profileList.folder: the profile list CONTACTS_LIST is not in the folder !Master but in !MasterData. "
            "Set profileList.folder to that",
        ),
        (
            wrong_password,
            "credentialsSecretId: Responsys refuses the login (INVALID_USER_NAME_PASSWORD, HTTP 400): put the API "
            "user's current user name and password into the secret (docs/runbook.md#rotating-the-secret)",
        ),
        (
            untrusted_endpoint,
            "authEndpoint: host login.example.com is not under the trusted domains responsys.net, rsys8.net, "
            "rsys9.net, responsys.ocs.oraclecloud.com, 127.0.0.1, localhost, so no password is sent there: "
            f"{advice('UNTRUSTED_ENDPOINT')}",
        ),
        (
            untrusted_reply,
            "authEndpoint: Responsys refuses the login (UNTRUSTED_ENDPOINT, HTTP 200, endPoint: host api.example.com "
            "is not under the trusted domains responsys.net, rsys8.net, rsys9.net, responsys.ocs.oraclecloud.com, "
            f"127.0.0.1, localhost): {advice('UNTRUSTED_ENDPOINT')}",
        ),
    ],
)
def test_each_mistake_is_found_with_a_sentence_that_says_what_to_change(
    connector: ConnectorUnderTest, spoil: Callable[[ConnectorUnderTest], None], sentence: str
) -> None:
    # Given a connector that was right, and its live token
    assert checked(connector)["ok"] is True
    # When it is spoiled and checked
    spoil(connector)
    report = checked(connector)
    # Then the one finding is this, without a secret
    assert [finding["message"] for finding in report["findings"]] == [f"Connector {connector.name}, {sentence}"]
    assert report["ok"] is False
    assert connector.password not in json.dumps(report)
    # And no event was sent, nor more than one login a check
    assert connector.event_requests() == []
    assert len(connector.simulator.requests(connector.name, "login")) <= 2


def test_a_password_mended_in_responsys_is_taken_once_its_refusal_is_forgotten(connector: ConnectorUnderTest) -> None:
    # Given a password that the check found wrong, and that was set in Responsys since
    connector.put(password="set-later-in-responsys")
    assert "Responsys refuses the login" in checked(connector)["findings"][0]["message"]
    connector.simulator.patch_account(connector.name, {"password": "set-later-in-responsys"})
    assert "the login was refused before" in checked(connector)["findings"][0]["message"]
    # When a person has the refusal forgotten
    report = check(connector.stack, connector.name, forget_refused_login=True)
    # Then the login is made, and the connector would deliver
    assert report["ok"] is True
    summary = connector.simulator.summary(connector.name)
    assert (summary.refused_logins, summary.logins) == (1, 1)


def test_the_alarm_rings_for_a_wrong_connector_and_ends_when_all_are_right(connector: ConnectorUnderTest) -> None:
    # Given a wrong connector
    stack = connector.stack
    wrong_event(connector)
    # When all are checked, as every day / Then the failure is counted by connector, and the alarm rings
    report = check(stack)
    assert {each["connector"]: each["ok"] for each in report["connectors"]}[connector.name] is False
    # (again and again, for the local stack may miss a single value in a period of five seconds)
    assert eventually(lambda: check(stack)["ok"] is False and alarm_state(stack) == "ALARM", 45)
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)
    assert eventually(lambda: metrics.total("ConnectorCheckFailures", connector=connector.name)) >= 1
    # And a check of the one connector that is right does not end it
    assert check(stack, "default")["ok"] is True
    # When every connector but that one is gone, and all are checked again in another period
    ssm = stack.endpoint.client("ssm")
    for each in report["connectors"]:
        if each["connector"] != "default":
            ssm.delete_parameter(Name=f"{stack.outputs['ConnectorParameterPrefix']}{each['connector']}")
    time.sleep(6)  # the local stack lets an alarm's minute pass in five seconds at the most
    assert alarm_state(stack) == "ALARM"
    # Then the alarm ends
    assert eventually(lambda: check(stack)["ok"] is True and alarm_state(stack) == "OK", 45)


def test_a_person_reads_the_report(connector: ConnectorUnderTest) -> None:
    # Given a wrong connector
    wrong_event(connector)
    # When it is checked / Then connector, verdict and cure are shown, and the exit code tells
    ended = command("check", "--connector", connector.name, stack=deployed(connector.stack))
    assert ended.code == ExitCode.NOT_DONE
    assert connector.name in ended.out
    assert "Did you mean CART_ABANDONED?" in ended.out
    assert "0 of 1 connector would deliver." in ended.out
