"""Has the deployed dashboard something to show once messages have passed?"""

import json
import re
from typing import Any

from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.end_to_end.observing import settle
from tests.local_stack.http_api import post
from tests.local_stack.published_metrics import NAMESPACE, PublishedMetrics
from tests.local_stack.repeating import eventually
from tests.local_stack.stack import STACK_NAME, LocalStack
from tests.template.dashboard import metric_of, written_out

_SEARCH = re.compile(rf"SEARCH\('\{{(\w+),([\w,]+)\}} stack=\"{STACK_NAME}\" MetricName=\"(\w+)\"")

# Of what is off here: the feed, and creating recipients.
_ONLY_WHERE_ASKED_FOR = frozenset({"OutcomesNotFed", "RecipientsCreated", "RecipientsNotCreated", "ListMerges"})


def deployed_rows(stack: LocalStack) -> list[list[Any]]:
    """The metrics and expressions of all widgets."""
    body = stack.endpoint.cloudwatch.get_dashboard(DashboardName=stack.outputs["DashboardName"])["DashboardBody"]
    widgets = json.loads(body)["widgets"]
    return [row for widget in widgets for row in written_out(widget["properties"].get("metrics", []))]


def test_every_metric_of_ours_on_the_dashboard_is_there_after_a_batch(
    stack: LocalStack, connector: ConnectorUnderTest
) -> None:
    # Given messages that were delivered, one of them posted, and one that was rejected
    connector.publish([*connector.bodies(2), json.dumps(connector.message(identifiers={}))])
    known = {"Authorization": f"Bearer {stack.webhook_secret}"}
    assert post(stack.outputs["WebhookUrl"], connector.bodies(1)[0].encode(), known).status == 202
    settle(stack)
    metrics = PublishedMetrics(stack.endpoint.cloudwatch)
    assert eventually(lambda: connector.metric("EventsDelivered", eventName="SEGMENT_CHANGED") == 3)

    # When the dashboard is opened
    shown = searched = 0
    for row in deployed_rows(stack):
        if row[0] == NAMESPACE:
            # Then each metric that it names has data
            _, name, dimensions = metric_of(row)
            if name in _ONLY_WHERE_ASKED_FOR:
                continue
            assert dimensions.pop("stack") == STACK_NAME
            assert frozenset(dimensions.items()) in metrics.dimension_sets(name), row
            shown += 1
        elif isinstance(row[0], dict) and (search := _SEARCH.match(row[0]["expression"])):
            # And each search finds this connector's, or an answer's
            namespace, names, metric = search.groups()
            if metric in _ONLY_WHERE_ASKED_FOR:
                continue
            found = [dict(dimensions) for dimensions in metrics.dimension_sets(metric)]
            assert namespace == NAMESPACE
            assert any(
                {"stack", *each} == set(names.split(","))
                and (each.get("connector") == connector.name or "status" in each)
                for each in found
            )
            searched += 1
    assert shown >= 6
    assert searched >= 10
