"""What was found about a connector?"""

from __future__ import annotations

from dataclasses import dataclass, field

from responsys_activation.connector_check.findings import Check, Finding, Level

__all__ = ["CheckedConnector"]


@dataclass(slots=True)
class CheckedConnector:
    """What was found about one connector.

    Attributes
    ----------
    exists : bool
        It has a parameter.
    user : tuple of str or None
        Login host and user, by which connectors of one user are known; never told to anybody.
    secret : str or None
        The secret that holds the user's name and password.
    account : str or None
        Of login host and secret: what shares limit, budget and pause.
    account_requests_per_minute : int or None
        The account's limit for custom events; ``None`` where it was not read or Responsys names none.
    requests_per_minute : int or None
        What no minute of the connector exceeds.
    """

    name: str
    exists: bool = True
    findings: list[Finding] = field(default_factory=list)
    user: tuple[str, str] | None = field(default=None, repr=False)
    secret: str | None = None
    account: str | None = None
    account_requests_per_minute: int | None = None
    requests_per_minute: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the connector would deliver."""
        return not any(finding.level is Level.ERROR for finding in self.findings)

    def error(self, check: Check, setting: str, text: str) -> None:
        """Note what keeps events from being delivered."""
        self._add(Level.ERROR, check, setting, text)

    def warn(self, check: Check, setting: str, text: str) -> None:
        """Note what a person should know."""
        self._add(Level.WARNING, check, setting, text)

    def _add(self, level: Level, check: Check, setting: str, text: str) -> None:
        self.findings.append(Finding(level, check, f"Connector {self.name}, {setting}: {text}"))
