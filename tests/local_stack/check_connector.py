"""`make check-connector`: would the connectors of the running local stack deliver?

CONNECTOR names one, else all are checked. FORGET_REFUSED_LOGIN=1 has that one log in whatever was refused before.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.environments import LOCAL_DIRECTORY
from tests.local_stack.processes import LocalStackError

_OUTPUTS = LOCAL_DIRECTORY / "outputs.json"
_STYLES = {"error": "bold red", "warning": "yellow"}


def main() -> int:
    """Print the report; return 0 if every connector would deliver, else 1."""
    try:
        report = check(
            _running_stack(),
            os.environ.get("CONNECTOR") or None,
            forget_refused_login=bool(os.environ.get("FORGET_REFUSED_LOGIN")),
        )
    except LocalStackError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    show(report, Console())
    return 0 if report["ok"] else 1


def check(outputs: Mapping[str, str], connector: str | None, *, forget_refused_login: bool = False) -> dict[str, Any]:
    """Invoke the deployed function, as `aws lambda invoke` does, and return its report.

    Raises
    ------
    LocalStackError
        The function failed.
    """
    endpoint = AwsEndpoint(outputs["awsEndpointUrl"], outputs["region"])
    event: dict[str, Any] = {"connectors": [connector]} if connector else {}
    if forget_refused_login:
        event["forgetRefusedLogin"] = True
    answer = endpoint.lambda_.invoke(
        FunctionName=outputs["ConnectorCheckFunctionName"],
        Payload=json.dumps(event),
    )
    report: dict[str, Any] = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise LocalStackError(f"the check failed: {report.get('errorMessage', report)}")
    return report


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print a report for a person."""
    table = Table(title="Connector check", title_justify="left", show_lines=True)
    for heading in ("connector", "requests\na minute", "findings"):
        table.add_column(heading, overflow="fold")
    for connector in report["connectors"]:
        name = Text(connector["connector"], style="bold green" if connector["ok"] else "bold red")
        findings = Text("\n").join(
            Text.assemble(
                (finding["level"], _STYLES[finding["level"]]), f" ({finding['check']}): {finding['message']}."
            )
            for finding in connector["findings"]
        )
        table.add_row(name, _pace(connector), findings or Text("ok", style="green"))
    if report["connectors"]:
        console.print(table)
    console.print(report["report"].partition("\n")[0], style="green" if report["ok"] else "red")


def _pace(connector: Mapping[str, Any]) -> str:
    pace, limit = connector["requestsPerMinute"], connector["accountRequestsPerMinute"]
    if pace is None:
        return "not known"
    return f"{pace} of {limit}" if limit else str(pace)


def _running_stack() -> dict[str, str]:
    try:
        outputs: dict[str, str] = json.loads(_OUTPUTS.read_text())
    except FileNotFoundError:
        raise LocalStackError("no local stack is running: start one with `make local` in another terminal.") from None
    return outputs


if __name__ == "__main__":
    sys.exit(main())
