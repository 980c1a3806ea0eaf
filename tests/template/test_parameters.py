"""Does the stack refuse parameters that could not work, and say which one and what to do?"""

from typing import Any

import pytest

from tests.template.cloudformation import refusals
from tests.template.conftest import REPLY_SECONDS, REQUIRED

SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:responsys/api-AbC123"
BY_SECRET = {
    **{name: REQUIRED[name] for name in ("ResponsysAuthEndpoint", "ProfileListName")},
    "CredentialsSecretArn": SECRET_ARN,
}

ACCEPTED = [
    ("ResponsysAuthEndpoint", "https://login2.responsys.net"),
    ("ResponsysAuthEndpoint", "https://Acme-1-api.responsys.ocs.oraclecloud.com"),
    ("ResponsysAuthEndpoint", "https://login5.responsys.net:8443"),
    ("ResponsysAuthEndpoint", "http://127.0.0.1:8080"),
    ("ResponsysAuthEndpoint", "http://localhost:1"),
    ("ResponsysAuthEndpoint", "http://[::1]:54321"),
    ("ResponsysUsername", "api user@example.com"),
    ("ResponsysPassword", "p\"a's\\s{w}ö €"),
    ("TrustedEndpointDomains", "responsys.net"),
    ("TrustedEndpointDomains", "responsys.net,127.0.0.1,localhost,::1"),
    ("ProfileListName", "A"),
    ("ProfileListName", "Contacts List"),
    ("ProfileListFolder", ""),
    ("ProfileListFolder", "!MasterData"),
    ("IdentifierType", "HASHED_EMAIL"),
    ("IdentifierType", "MOBILE_NUMBER"),
    ("DefaultEventName", "SEGMENT_CHANGED"),
    ("DefaultEventName", "Segment changed v1.2 [test]"),
    ("EventNames", ""),
    ("EventNames", "{}"),
    ("EventNames", '{"aud-42": "CART_ABANDONED"}'),
    ("EventNames", '{"aud-42":"CART_ABANDONED","Käufer, neu":"Segment changed v1.2 [test]"}'),
    ("EventNames", ' {\n  "a" : "A",\r\n\t"b" : "B"\n}\n'),
    ("RequestsPerMinute", "0"),
    ("RequestsPerMinute", "200"),
    ("BatchSize", "1"),
    ("BatchSize", "10000"),
    ("BatchingWindowSeconds", "300"),
    ("MaximumConcurrency", "2"),
    ("MaximumEventAgeHours", "312"),
    ("AlarmEmail", "crm-team@example.co.uk"),
    ("LogLevel", "DEBUG"),
    ("LogRetentionDays", "365"),
    ("Architecture", "x86_64"),
    ("RequestsInFlight", "1"),
    ("ReplySeconds", "45"),
    ("ReplySeconds", "120"),
    ("UnknownOutcome", "Reject"),
    ("OutcomeFeed", "On"),
    ("MaximumResends", "0"),
    ("MaximumResends", "10"),
    ("FormerKmsKeyArns", ""),
    ("FormerKmsKeyArns", "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
    ("FormerKmsKeyArns", ",".join(["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"] * 2)),
    ("KmsKeyArn", ""),
    ("KmsKeyArn", "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
    ("KmsKeyArn", "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"),
    ("PagingTopicArn", "arn:aws:sns:eu-west-1:123456789012:on-call"),
    ("RunbookUrl", "https://git.example.com/crm/responsys-activation/-/blob/main/docs/runbook.md?ref=v1.2"),
    ("DeadLetterDaysAllowed", "13"),
    ("OldestMessageSecondsAllowed", "540"),
    ("FailureSharePercentAllowed", "1"),
    ("DuplicateSharePercentAllowed", "99"),
    ("OutcomesUnknownAllowed", "200"),
    ("DurationPercentAllowed", "99"),
    ("ProducerSilentHours", "24"),
    ("UpstreamEventSource", ""),
    ("UpstreamEventSource", "aws.partner/segment.com"),
    ("UpstreamEventSource", "com.example.crm_1"),
    ("UpstreamEventBusName", "default"),
    ("UpstreamEventBusName", "aws.partner/mparticle.com/4711/eu-west-1"),
    ("UpstreamStreamArn", ""),
    ("UpstreamStreamArn", "arn:aws:kinesis:eu-west-1:123456789012:stream/crm.member-ships_1"),
    ("VpcSubnetIds", ""),
    ("VpcSubnetIds", "subnet-0123456789abcdef0,subnet-0123456789abcdef1,subnet-0123abcd"),
    ("VpcSecurityGroupIds", "sg-0123456789abcdef0"),
    ("Webhook", "On"),
    ("WebhookRequestsPerSecond", "10000"),
    ("WebhookBurst", "5000"),
]

REFUSED = [
    ("Webhook", "on"),
    ("Webhook", "true"),
    ("WebhookRequestsPerSecond", "0"),
    ("WebhookRequestsPerSecond", "10001"),
    ("WebhookBurst", "0"),
    ("WebhookBurst", "5001"),
    ("WebhookErrorsAllowed", "-1"),
    ("WebhookRefusalsAllowed", "-1"),
    ("ResponsysAuthEndpoint", ""),
    ("ResponsysAuthEndpoint", "login5.responsys.net"),
    ("ResponsysAuthEndpoint", "http://login5.responsys.net"),
    ("ResponsysAuthEndpoint", "http://127.0.0.1"),
    ("ResponsysAuthEndpoint", "http://127.0.0.1.example.com:80"),
    ("ResponsysAuthEndpoint", "http://127x0y0z1:80"),
    ("ResponsysAuthEndpoint", "https://login5.responsys.net/"),
    ("ResponsysAuthEndpoint", "https://login5.responsys.net/rest/api/v1.3"),
    ("ResponsysAuthEndpoint", "https://login5.responsys.net?a=b"),
    ("ResponsysAuthEndpoint", "https://login5.responsys.net@example.com"),
    ("ResponsysAuthEndpoint", "https://login5.responsys.net\n"),
    ("ResponsysAuthEndpoint", 'https://login5.responsys.net","x":"'),
    ("ResponsysUsername", "api\tuser"),
    ("ResponsysPassword", "correct-horse\n"),
    ("CredentialsSecretArn", "responsys/api"),
    ("CredentialsSecretArn", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:responsys"),
    ("CredentialsSecretArn", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:*-AbC123"),
    ("TrustedEndpointDomains", ""),
    ("TrustedEndpointDomains", "net"),
    ("TrustedEndpointDomains", "[::1]"),
    ("TrustedEndpointDomains", "*.responsys.net"),
    ("TrustedEndpointDomains", ".responsys.net"),
    ("TrustedEndpointDomains", "responsys.net,"),
    ("TrustedEndpointDomains", "responsys.net, rsys8.net"),
    ("TrustedEndpointDomains", "https://responsys.net"),
    ("ProfileListName", ""),
    ("ProfileListName", " "),
    ("ProfileListName", "CONTACTS_LIST "),
    ("ProfileListName", 'CONTACTS"LIST'),
    ("ProfileListName", "CONTACTS\\LIST"),
    ("ProfileListName", "CONTACTS\nLIST"),
    ("ProfileListName", "\u3000"),
    ("ProfileListName", "L" * 201),
    ("ProfileListFolder", '"'),
    ("ProfileListFolder", "!MasterData\\"),
    ("IdentifierType", "riid"),
    ("IdentifierType", ""),
    ("DefaultEventName", 'A"B'),
    ("DefaultEventName", "A\x7f"),
    ("DefaultEventName", ".."),
    ("DefaultEventName", "A/B"),
    ("EventNames", "{"),
    ("EventNames", "CART_ABANDONED"),
    ("EventNames", "{'aud-42': 'CART_ABANDONED'}"),
    ("EventNames", '{"aud-42": CART_ABANDONED}'),
    ("EventNames", '{"aud-42": ""}'),
    ("EventNames", '{"aud-42": "A/B"}'),
    ("EventNames", '{"aud-42": "..", "b": "B"}'),
    ("EventNames", '{"a": "A",}'),
    ("EventNames", '{"a": "A" "b": "B"}'),
    ("EventNames", '{"a": "A"}, "credentialsSecretId": {"b": "B"}'),
    ("EventNames", '{"a": "A\\\\"}'),
    ("EventNames", '["A"]'),
    ("RequestsPerMinute", ""),
    ("RequestsPerMinute", "-1"),
    ("RequestsPerMinute", "007"),
    ("RequestsPerMinute", "2.5"),
    ("RequestsPerMinute", "1e3"),
    ("BatchSize", "0"),
    ("BatchSize", "10001"),
    ("BatchingWindowSeconds", "301"),
    ("MaximumConcurrency", "1"),
    ("MaximumConcurrency", "1001"),
    ("MaximumEventAgeHours", "0"),
    ("MaximumEventAgeHours", "313"),
    ("AlarmEmail", "crm-team"),
    ("AlarmEmail", "a@example.com b@example.com"),
    ("LogLevel", "VERBOSE"),
    ("LogRetentionDays", "31"),
    ("Architecture", "arm"),
    ("RequestsInFlight", "0"),
    ("ReplySeconds", "90"),
    ("ReplySeconds", "060"),
    ("UnknownOutcome", "resend"),
    ("OutcomeFeed", "on"),
    ("MaximumResends", "-1"),
    ("MaximumResends", "11"),
    ("FormerKmsKeyArns", "alias/crm"),
    ("FormerKmsKeyArns", "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab,"),
    ("KmsKeyArn", "alias/crm"),
    ("KmsKeyArn", "arn:aws:kms:eu-west-1:123456789012:alias/crm"),
    ("KmsKeyArn", "arn:aws:kms:eu-west-1:123456789012:key/*"),
    ("PagingTopicArn", "on-call"),
    ("PagingTopicArn", "arn:aws:sns:eu-west-1:123456789012:on-call.fifo"),
    ("RunbookUrl", ""),
    ("RunbookUrl", "https://wiki.example.com/runbook#crm"),
    ("RunbookUrl", 'https://wiki.example.com/"'),
    ("RunbookUrl", "https://wiki.example.com/my page"),
    ("RejectedMessagesAllowed", "-1"),
    ("DeadLetterDaysAllowed", "14"),
    ("OldestMessageSecondsAllowed", "539"),
    ("FailureSharePercentAllowed", "100"),
    ("DuplicateSharePercentAllowed", "0"),
    ("OutcomesUnknownAllowed", "-1"),
    ("ThrottledRequestsAllowed", "-1"),
    ("FunctionErrorsAllowed", "-1"),
    ("FunctionThrottlesAllowed", "none"),
    ("DurationPercentAllowed", "100"),
    ("ProducerSilentHours", "25"),
    ("UpstreamEventSource", "aws.partner/segment.com*"),
    ("UpstreamEventSource", '"'),
    ("UpstreamEventBusName", ""),
    ("UpstreamEventBusName", "arn:aws:events:eu-west-1:123456789012:event-bus/crm"),
    ("UpstreamStreamArn", "memberships"),
    ("UpstreamStreamArn", "arn:aws:firehose:eu-west-1:123456789012:deliverystream/memberships"),
    ("UpstreamStreamArn", "arn:aws:kinesis:eu-west-1:123456789012:stream/*"),
    ("UpstreamStreamArn", "arn:aws:kinesis:eu-west-1:123456789012:stream/a/consumer/b:1"),
    ("VpcSubnetIds", "vpc-0123abcd"),
    ("VpcSubnetIds", "subnet-0123abcd, subnet-0123abce"),
    ("VpcSecurityGroupIds", "default"),
]


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_a_value_that_works_is_accepted(source: dict[str, Any], name: str, value: str) -> None:
    # Given the required parameters / When one takes this value / Then nothing is said against it
    assert refusals(source, {**REQUIRED, name: value}) == []


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_value_that_cannot_work_is_refused_by_the_name_of_its_parameter(
    source: dict[str, Any], name: str, value: str
) -> None:
    # Given parameters that work
    given = BY_SECRET if name == "CredentialsSecretArn" else REQUIRED
    # When one takes this value
    (refusal,) = refusals(source, {**given, name: value})
    # Then it is refused, and the reason begins with its name
    assert refusal.startswith(f"{name} must ")


def test_every_parameter_has_a_constraint_that_these_cases_try(source: dict[str, Any]) -> None:
    # Given the parameters / When the cases above are listed
    tried = {name for name, _ in REFUSED}
    # Then none is left out
    assert tried == set(source["Parameters"])


@pytest.mark.parametrize("name", ["ResponsysAuthEndpoint", "ProfileListName"])
def test_a_missing_required_parameter_is_named(source: dict[str, Any], name: str) -> None:
    # Given all required parameters but one
    given = {key: value for key, value in REQUIRED.items() if key != name}
    # When they are checked / Then that one is asked for
    assert refusals(source, given) == [f"{name} must have a value."]


@pytest.mark.parametrize(
    "changed",
    [{"ResponsysUsername": "", "ResponsysPassword": ""}, {"ResponsysUsername": ""}, {"ResponsysPassword": ""}],
    ids=["none", "no user name", "no password"],
)
def test_credentials_must_come_from_somewhere(source: dict[str, Any], changed: dict[str, str]) -> None:
    # Given credentials from no source, or half of one
    given = {**REQUIRED, **changed}
    # When they are checked
    (refusal,) = refusals(source, given)
    # Then the reason names all three parameters
    assert all(n in refusal for n in ("ResponsysUsername", "ResponsysPassword", "CredentialsSecretArn"))


@pytest.mark.parametrize(
    "beside",
    [{}, {"ResponsysUsername": "x"}, {"ResponsysUsername": "x", "ResponsysPassword": "x"}],
    ids=["alone", "beside a user name", "beside both"],
)
def test_a_secret_is_enough_whatever_stands_beside_it(source: dict[str, Any], beside: dict[str, str]) -> None:
    # Given the ARN of a secret, and what the guide of SAM wants or an earlier deployment left
    # When they are checked / Then nothing is said
    assert refusals(source, {**BY_SECRET, **beside}) == []


@pytest.mark.parametrize(("size", "window", "accepted"), [("10", "0", True), ("11", "0", False), ("11", "1", True)])
def test_more_than_ten_messages_need_a_window(source: dict[str, Any], size: str, window: str, accepted: bool) -> None:
    # Given a batch size and a window that AWS takes, or not
    given = {**REQUIRED, "BatchSize": size, "BatchingWindowSeconds": window}
    # When they are checked
    found = refusals(source, given)
    # Then what AWS would refuse later is refused here
    assert (found == []) is accepted
    assert all(refusal.startswith("BatchingWindowSeconds must ") for refusal in found)


def test_secrets_are_not_echoed_and_have_no_default(source: dict[str, Any]) -> None:
    # Given the parameters / When those that are not echoed are looked for
    hidden = {name: d["Default"] for name, d in source["Parameters"].items() if d.get("NoEcho") is True}
    # Then they are the credentials, and empty unless given
    assert hidden == {"ResponsysUsername": "", "ResponsysPassword": ""}


def test_log_level_never_silences_the_metrics(source: dict[str, Any]) -> None:
    # Given that Lambda takes a metric line, which has no level, for INFO and drops what is below the level
    levels = source["Parameters"]["LogLevel"]["AllowedValues"]
    # When the levels on offer are read / Then none is quieter
    assert set(levels) <= {"TRACE", "DEBUG", "INFO"}


def test_whatever_the_patience_there_is_something_that_follows_from_it(source: dict[str, Any]) -> None:
    # Given the reply times on offer / When what follows from each is looked up / Then it is there, for no other
    assert source["Parameters"]["ReplySeconds"]["AllowedValues"] == REPLY_SECONDS
    assert list(source["Mappings"]["ByReplySeconds"]) == REPLY_SECONDS
