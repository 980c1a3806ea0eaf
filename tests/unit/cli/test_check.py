"""Is the report of a connector check told so that a person sees what to change?"""

from __future__ import annotations

from typing import Any

import pytest

from responsys_activation.cli.exit_code import ExitCode
from tests.fakes.stack import FakeStack
from tests.unit.cli.commands import command

TOLD = """\
1 of 2 connectors would deliver.

default: ok, 180 requests per minute
loyalty: NOT ok, requests per minute not known
  error (events): Connector loyalty, eventNames.jrn-7: no such event.
"""


def report(*, ok: bool) -> dict[str, Any]:
    """Return what the check function answers."""
    return {"ok": ok, "connectors": [], "report": TOLD}


def stack(*, ok: bool = True) -> FakeStack:
    return FakeStack(answers={"ConnectorCheckFunctionName": lambda _event: report(ok=ok)})


def test_a_person_reads_the_functions_own_report_and_which_stack_it_is_of() -> None:
    ended = command("check", stack=stack(ok=False))
    assert ended == (ExitCode.NOT_DONE, f"Connectors of prod (local)\n{TOLD}", "")


def test_a_program_reads_the_functions_report_and_the_exit_code() -> None:
    assert command("check", "--json", stack=stack(ok=False)).document() == report(ok=False)
    assert command("check", stack=stack()).code == ExitCode.DONE


@pytest.mark.parametrize(
    ("arguments", "event"),
    [
        ([], {}),
        (["--connector", "loyalty"], {"connectors": ["loyalty"]}),
        (["--connector", "a,b", "--connector", "c"], {"connectors": ["a", "b", "c"]}),
        (["--connector", "a", "--forget-refused-login"], {"connectors": ["a"], "forgetRefusedLogin": True}),
    ],
)
def test_each_option_becomes_a_field_of_the_functions_event(arguments: list[str], event: dict[str, Any]) -> None:
    asked = stack()
    assert command("check", *arguments, stack=asked).code == ExitCode.DONE
    assert asked.invoked == [("ConnectorCheckFunctionName", event)]


def test_refused_logins_are_not_forgotten_for_all_connectors_at_once() -> None:
    asked = stack()
    ended = command("check", "--forget-refused-login", stack=asked)
    assert (ended.code, "--connector" in ended.err, asked.invoked) == (ExitCode.USAGE, True, [])
