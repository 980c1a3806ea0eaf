"""Are the limits of the functions that concern us told from those of their neighbours?"""

from __future__ import annotations

from typing import Any

import pytest

from responsys_activation.responsys.catalogue import Limits, read_limits

EVENTS, MEMBERS = "/events/{eventName}", "/lists/{listName}/members"


def limit(value: Any, path: str, api: str = "", description: str = "", verb: str = "POST") -> dict[str, Any]:
    return {"limit": value, "api": api, "resource_path": path, "verb": verb, "description": description}


EVERYTHING = [
    limit(10, "/auth/token", "login", "Login"),
    limit(200, EVENTS, "triggerCustomEvent", "Trigger Custom Event"),
    limit(1000, EVENTS, "asyncTriggerCustomEvent", "Asynchronous Trigger Custom Event"),
    limit(7, "/events/rei/{eventName}", "triggerREI"),
    limit(7, "/events", "getCustomEvents", verb="GET"),
    limit(7, "/events/{eventName}/programs", "other"),
    limit(400, MEMBERS, "mergeListRecipients", "Merge List Recipients"),
    limit(2000, MEMBERS, "asyncMergeListMembers", "Asynchronous Merge List Members"),
    limit(7, MEMBERS, "haMergeListRecipients", "HA Merge List Recipients"),
    limit(7, MEMBERS, "HaAsyncMergeListMembers"),
    limit(7, "/rest/haApi/v1.3/lists/{listName}/members", "mergeListRecipients"),
    limit(7, f"{MEMBERS}?action=get", "members"),
    limit(7, MEMBERS, "retrieveMultipleListRecipients", "Retrieve multiple Profile List Recipients"),
    limit(7, MEMBERS, "members", "Delete multiple Profile List Recipients"),
    limit(7, MEMBERS, "retrieveListRecipients", verb="GET"),
    limit(7, "/lists/{listName}/listExtensions/{petName}/members", "mergePet"),
    limit(7, "/folders/{folderName}/suppData/{tableName}/members", "mergeTable"),
]


@pytest.mark.parametrize(
    "document", [EVERYTHING, EVERYTHING[::-1], {"limits": EVERYTHING}, {"a": [{"b": EVERYTHING}]}], ids=lambda _: ""
)
def test_each_function_has_its_own_limit_wherever_the_list_is(document: Any) -> None:
    assert read_limits(document) == Limits(events=200, asynchronous_events=1000, list_merges=400)


@pytest.mark.parametrize(
    "path",
    ["/rest/api/v1.3/events/{eventName}", "/events/{event_name}/", "/events/{EVENTNAME}", "events/x", "/Events/{e}"],
)
def test_a_path_is_known_by_its_form(path: str) -> None:
    assert read_limits([limit(5, path)]).events == (None if path == "events/x" else 5)


@pytest.mark.parametrize(
    "entry",
    [
        limit(5, "/rest/asyncApi/v1.3/events/{eventName}", "triggerCustomEvent"),
        limit(5, EVENTS, "TRIGGER_CUSTOM_EVENT_ASYNC"),
        limit(5, EVENTS, "", "Asynchronous Trigger a Custom Event"),
    ],
)
def test_the_asynchronous_twin_is_known_by_path_name_or_description(entry: dict[str, Any]) -> None:
    assert read_limits([entry]) == Limits(asynchronous_events=5)


@pytest.mark.parametrize("api", ["HANDLE_MEMBERS", "hashLookup", "shaMerge", "mergeHa"])
def test_a_name_that_only_begins_or_ends_alike_is_not_for_high_availability(api: str) -> None:
    assert read_limits([limit(5, MEMBERS, api)]).list_merges == 5


@pytest.mark.parametrize("value", [0, -1, "", None, "many", [], {}, 1.5])
def test_what_is_no_number_is_no_limit(value: Any) -> None:
    assert read_limits([limit(value, EVENTS), limit(value, MEMBERS)]) == Limits()


def test_of_several_the_least_counts() -> None:
    assert read_limits([limit("90", EVENTS), limit(200, EVENTS)]).events == 90


@pytest.mark.parametrize("document", [None, [], {}, "text", 7, [[]], [None], {"limit": {}}, {"limit": 5}])
def test_another_document_names_no_limit(document: Any) -> None:
    assert read_limits(document) == Limits()
