"""Would each connector deliver, and if not, what should a person change?

Proves the way of an event up to the event itself: settings, secret, a real login, the account's lists, events and
limit; where recipients may have to be created, that too, by a merge that changes nothing. It sends no event, and makes
at most one login for the same credentials, if earlier ones let it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from responsys_activation.account import account_id
from responsys_activation.aws.connectors import ConnectorParameter, ConnectorParameters
from responsys_activation.aws.faults import AwsCallError
from responsys_activation.connector import Connector, InvalidConnectorError, MissingAction, read_connector
from responsys_activation.connector_check.account import (
    compare_secrets,
    compare_shares,
    judge_event_names,
    judge_profile_list,
    judge_requests_per_minute,
)
from responsys_activation.connector_check.findings import Check, CheckedConnector, why_not_logged_in, why_not_read
from responsys_activation.connector_check.login import ClientOpener, Logins
from responsys_activation.connector_check.missing_recipients import judge_merge, judge_merge_limit, judge_merge_list
from responsys_activation.connector_check.report import count_failures, log_checked, report_document
from responsys_activation.connector_check.request import read_check_request
from responsys_activation.connector_check.routing import judge_audiences, judge_variables
from responsys_activation.error_code import ErrorCode, advice
from responsys_activation.membership import is_connector_name
from responsys_activation.observability import InvocationMetrics
from responsys_activation.responsys.client import ResponsysClient
from responsys_activation.responsys.endpoint import TrustedDomains, UntrustedEndpointError
from responsys_activation.responsys.errors import LoginRefusedError, RequestRefusedError, ResponsysError
from responsys_activation.responsys.login import Credentials
from responsys_activation.responsys.token import CredentialsSource

__all__ = ["ConnectorCheck"]

_SECONDS_TO_REPORT = 5.0
_SECONDS_PER_CONNECTOR = 60.0
_SHORTEST_CHECK = 3.0  # seconds; less than this would find fault with a connector that only got no time


class ConnectorCheck:
    """Checks connectors, one after another.

    Parameters
    ----------
    read_credentials : callable
        Gives the source of a secret's credentials, by the secret's name or ARN.
    forget_refused_login : callable
        Clears what is remembered of a login host and user.
    service : str
        The dimension under which failures of all connectors are counted.
    """

    def __init__(
        self,
        *,
        parameters: ConnectorParameters,
        read_credentials: Callable[[str], CredentialsSource],
        open_client: ClientOpener,
        forget_refused_login: Callable[[str, str], None],
        trusted: TrustedDomains,
        metrics: InvocationMetrics,
        service: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._parameters = parameters
        self._read_credentials = read_credentials
        self._open_client = open_client
        self._forget_refused_login = forget_refused_login
        self._trusted = trusted
        self._metrics = metrics
        self._service = service
        self._clock = clock

    def run(self, event: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Check the connectors that an event names, or all, and report it.

        Parameters
        ----------
        event : Mapping
            What :func:`read_check_request` reads.
        deadline : float
            Epoch seconds at which Lambda ends the invocation.
        """
        request = read_check_request(event)
        # Only a check of all may raise or end the alarm.
        all_of_service = self._service if request.connectors is None else None
        try:
            checked = self.check(
                request.connectors,
                deadline=deadline - _SECONDS_TO_REPORT,
                forget_refused_login=request.forget_refused_login,
            )
            log_checked(checked)
            count_failures(self._metrics, checked, all_of_service=all_of_service)
        except Exception:
            if all_of_service is not None:
                self._metrics.count("ConnectorCheckFailures", service=all_of_service)
            raise
        finally:
            self._metrics.flush()
        return report_document(checked)

    def check(
        self, names: Sequence[str] | None, *, deadline: float, forget_refused_login: bool = False
    ) -> list[CheckedConnector]:
        """Check the named connectors, or all.

        Parameters
        ----------
        deadline : float
            Epoch seconds; connectors whose turn has not come by then are findings themselves.
        forget_refused_login : bool
            Whether a login is tried whatever was refused before.

        Raises
        ------
        AwsCallError
            The connectors' parameters could not be read.
        """
        if names is None:
            parameters: dict[str, ConnectorParameter | None] = {**self._parameters.read_all()}
        else:
            parameters = {name: self._parameters.read(name) if is_connector_name(name) else None for name in names}
        logins = Logins(self._open_client, self._forget_refused_login if forget_refused_login else None)
        checked = [self._check(name, parameter, logins, deadline) for name, parameter in parameters.items()]
        compare_secrets(checked)
        compare_shares(checked)
        return checked

    def _check(
        self, name: str, parameter: ConnectorParameter | None, logins: Logins, deadline: float
    ) -> CheckedConnector:
        checked = CheckedConnector(name, exists=parameter is not None)
        connector = self._settings(checked, parameter)
        if connector is None:
            return checked
        judge_audiences(checked, connector)
        judge_variables(checked, connector)
        checked.requests_per_minute = connector.requests_per_minute
        if self._clock() + _SHORTEST_CHECK > deadline:
            checked.error(
                Check.LOGIN, "login", f'not checked: no time was left. Check it alone: {{"connectors": ["{name}"]}}'
            )
            return checked
        deadline = min(deadline, self._clock() + _SECONDS_PER_CONNECTOR)
        client = self._log_in(checked, connector, logins, deadline)
        if client is not None:
            _look_into_account(checked, connector, client, deadline)
        return checked

    def _settings(self, checked: CheckedConnector, parameter: ConnectorParameter | None) -> Connector | None:
        parameter_name = self._parameters.name_of(checked.name)
        if not is_connector_name(checked.name):
            wrong = (
                "no message can name it. A name has 1 to 100 letters, digits, dots, dashes and underscores, and begins "
                "with a letter or digit"
            )
            checked.error(Check.SETTINGS, "name", wrong)
            return None
        if parameter is None:
            absent = f"there is no SSM parameter {parameter_name}: create it, or correct the connector's name"
            checked.error(Check.SETTINGS, "settings", absent)
            return None
        if parameter.encrypted:
            secured = (
                f"{parameter_name} is a SecureString: delete it and create it again as a String; it holds no secret"
            )
            checked.error(Check.SETTINGS, "settings", secured)
            return None
        try:
            return read_connector(parameter.text)
        except InvalidConnectorError as exc:
            wrong = f"{exc}. Correct the parameter {parameter_name} (docs/reference.md#the-connector)"
            checked.error(Check.SETTINGS, "settings", wrong)
            return None

    def _log_in(
        self, checked: CheckedConnector, connector: Connector, logins: Logins, deadline: float
    ) -> ResponsysClient | None:
        """Find out whether host, secret and login are right; the password goes to a trusted host only."""
        credentials = self._secret(checked, connector)
        try:
            host = self._trusted.base_url(connector.auth_endpoint)
        except UntrustedEndpointError as exc:
            untrusted = f"{exc}, so no password is sent there: {advice(ErrorCode.UNTRUSTED_ENDPOINT)}"
            checked.error(Check.END_POINT, "authEndpoint", untrusted)
            return None
        if credentials is None:
            return None
        checked.user, checked.account = (host, credentials.user), account_id(connector)
        checked.secret = credentials.version.secret
        try:
            return logins.logged_in(checked.name, connector, host, credentials, deadline)
        except LoginRefusedError as exc:
            if exc.code == ErrorCode.NO_LOGIN_AT_ENDPOINT:
                checked.error(Check.END_POINT, "authEndpoint", f"{host} {why_not_logged_in(exc)}")
            elif exc.code == ErrorCode.UNTRUSTED_ENDPOINT:
                checked.error(Check.END_POINT, "authEndpoint", why_not_logged_in(exc))
            else:
                checked.error(Check.LOGIN, "credentialsSecretId", why_not_logged_in(exc))
        except ResponsysError as exc:
            checked.error(Check.LOGIN, "authEndpoint", f"{host}: {why_not_logged_in(exc)}")
        except AwsCallError as exc:
            state = f"not tried: what is known of earlier logins could not be read ({exc}). Run the check again"
            checked.error(Check.LOGIN, "login", state)
        return None

    def _secret(self, checked: CheckedConnector, connector: Connector) -> Credentials | None:
        try:
            credentials = self._read_credentials(connector.credentials_secret_id)()
        except LoginRefusedError as exc:
            wrong = (
                f"{exc.title}. It must be a secret whose name begins with the stack's name and a slash, and that holds "
                '{"username": "…", "password": "…"}'
            )
            checked.error(Check.SECRET, "credentialsSecretId", wrong)
            return None
        except AwsCallError as exc:
            unread = f"the secret could not be read ({exc}). Run the check again"
            checked.error(Check.SECRET, "credentialsSecretId", unread)
            return None
        for field, value in (("username", credentials.username), ("password", credentials.password)):
            if value != value.strip():
                blank = f"{field} begins or ends with a blank or a line feed, which is sent too. Remove it if not meant"
                checked.warn(Check.SECRET, "credentialsSecretId", blank)
        return credentials


def _look_into_account(
    checked: CheckedConnector, connector: Connector, client: ResponsysClient, deadline: float
) -> None:
    creates = connector.missing_recipients.action is MissingAction.CREATE
    try:
        lists = client.profile_lists(deadline)
    except ResponsysError as exc:
        checked.error(Check.PROFILE_LIST, "profileList", why_not_read(exc, "the profile lists"))
    else:
        judge_profile_list(checked, connector, lists)
        if creates:
            judge_merge_list(checked, connector, lists)
    try:
        events = client.event_names(deadline)
    except ResponsysError as exc:
        checked.error(Check.EVENTS, "eventNames", why_not_read(exc, "the custom events"))
    else:
        judge_event_names(checked, connector, events)
    try:
        checked.limits = client.limits(deadline)
    except RequestRefusedError as exc:
        checked.warn(Check.LIMITS, "requestsPerMinute", why_not_read(exc, "the account's limits"))
        judge_requests_per_minute(checked, connector)
    except ResponsysError as exc:
        checked.error(Check.LIMITS, "requestsPerMinute", why_not_read(exc, "the account's limits"))
    else:
        judge_requests_per_minute(checked, connector)
        if creates:
            judge_merge_limit(checked, checked.limits)
    if creates and not checked.failed(Check.PROFILE_LIST):
        judge_merge(checked, connector, _tried_merge(client, connector.profile_list.name, deadline))


def _tried_merge(client: ResponsysClient, list_name: str, deadline: float) -> ResponsysError | None:
    try:
        client.try_merge(list_name, deadline)
    except ResponsysError as exc:
        return exc
    return None
