"""How does this project's template run locally, with a simulated or a real Responsys?"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tests.local_stack.build import read_template
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.local_aws import LocalAws
from tests.local_stack.parameters import require_trusted_endpoint, resolved_parameters
from tests.simulator.client import SimulatorClient, simulator_process
from tests.simulator.settings import AccountSettings, SimulatorSettings

STACK_NAME = "responsys-activation"
_TEMPLATE = REPOSITORY / "template.yaml"
_LOOPBACK_DOMAINS = ("127.0.0.1", "localhost")
# Stands for the simulator of ours while parameters are checked, before it is started.
_LOOPBACK_ENDPOINT = "http://127.0.0.1:1"


@dataclass(frozen=True)
class ConnectorSettings:
    """The settings of a further connector, as the contract keeps them in SSM.

    Parameters
    ----------
    username, password
        The credentials, kept in a secret of the connector's own.
    profile_list
        `{"name": …, "folder": …}`.
    auth_endpoint
        The login endpoint; that of the connector `default` when absent.
    optional
        Further keys of the parameter: `defaultEventName`, `eventNames`, `requestsPerMinute`.
    """

    username: str
    password: str
    profile_list: Mapping[str, str]
    identifier_type: str = "RIID"
    auth_endpoint: str | None = None
    optional: Mapping[str, Any] = field(default_factory=dict)


class LocalStack(LocalAws):
    """The deployed template, a simulated Responsys unless another is given, and the AWS they need.

    Everything listens on loopback, trusts loopback endpoints, and ends with the context.

    Parameters
    ----------
    parameters
        Deployment parameters that differ from the defaults. Without `ResponsysAuthEndpoint` a simulator is
        started, and the parameters of its first account are the defaults.
    time_scale
        Divides every wait of ours and the periods of alarms, and speeds our simulator's clock up as much.
    simulator
        What our simulator starts with.
    aws
        Further options of :class:`LocalAws`.

    Attributes
    ----------
    parameters
        The deployment parameters, all of them once the context is entered.
    simulator
        Client of our simulator, or None when another endpoint is used.

    Raises
    ------
    ParameterError
        A deployment parameter is missing or refused; nothing was started.

    Examples
    --------
    >>> with LocalStack(time_scale=60) as stack:
    ...     stack.endpoint.sqs.send_message(QueueUrl=stack.outputs["SegmentEventsQueueUrl"], MessageBody=body)
    ...     print(stack.simulator.inbox_count())
    """

    def __init__(
        self,
        parameters: Mapping[str, str] | None = None,
        *,
        time_scale: float = 1.0,
        simulator: SimulatorSettings | None = None,
        **aws: Any,
    ) -> None:
        template = read_template(_TEMPLATE)
        given = dict(parameters or {})
        domains = template["Parameters"]["TrustedEndpointDomains"]["Default"]
        given.setdefault("TrustedEndpointDomains", ",".join((domains, *_LOOPBACK_DOMAINS)))
        given.setdefault("Webhook", "On")
        settings = (simulator or SimulatorSettings()).model_copy(update={"time_scale": time_scale})
        self._own_simulator = None if "ResponsysAuthEndpoint" in given else settings
        if self._own_simulator:
            given = {**_parameters_of(settings.accounts[0]), **given}
        resolved = resolved_parameters(template, given)
        require_trusted_endpoint(resolved)
        super().__init__(
            _TEMPLATE,
            resolved,
            stack_name=STACK_NAME,
            function_output="SegmentEventsFunctionName",
            function_environment={"TIME_SCALE": str(time_scale)},
            time_scale=time_scale,
            **aws,
        )
        self._responsys = contextlib.ExitStack()
        self.simulator: SimulatorClient | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as resources:
            if self._own_simulator:
                self.simulator = resources.enter_context(simulator_process(self._own_simulator))
                self.parameters["ResponsysAuthEndpoint"] = self.simulator.url
            super().__enter__()
            self._responsys = resources.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._responsys:
            super().__exit__(*exc)

    @property
    def webhook_secret(self) -> str:
        """What a caller of the webhook must know."""
        secrets = self.endpoint.client("secretsmanager")
        secret: str = secrets.get_secret_value(SecretId=self.outputs["WebhookSecretArn"])["SecretString"]
        return secret

    def set_function_timeout(self, seconds: int) -> None:
        """Deploy another time-out of the function, as a deployment does: a new version, and the alias on it."""
        client = self.endpoint.lambda_
        client.update_function_configuration(FunctionName=self.function_name, Timeout=seconds)
        version = client.publish_version(FunctionName=self.function_name)["Version"]
        client.update_alias(FunctionName=self.function_name, Name="live", FunctionVersion=version)

    def add_connector(self, name: str, settings: ConnectorSettings) -> None:
        """Add or replace a connector, as the runbook does: a secret and a parameter, no deployment."""
        secret_id = f"{STACK_NAME}/credentials/{name}"
        secret = json.dumps({"username": settings.username, "password": settings.password})
        secrets = self.endpoint.client("secretsmanager")
        try:
            secrets.create_secret(Name=secret_id, SecretString=secret)
        except secrets.exceptions.ResourceExistsException:
            secrets.put_secret_value(SecretId=secret_id, SecretString=secret)
        value = {
            "authEndpoint": settings.auth_endpoint or self.parameters["ResponsysAuthEndpoint"],
            "credentialsSecretId": secret_id,
            "profileList": dict(settings.profile_list),
            "identifierType": settings.identifier_type,
            **settings.optional,
        }
        self.endpoint.client("ssm").put_parameter(
            Name=f"{self.outputs['ConnectorParameterPrefix']}{name}",
            Type="String",
            Value=json.dumps(value),
            Overwrite=True,
        )


def _parameters_of(account: AccountSettings) -> dict[str, str]:
    return {
        "ResponsysAuthEndpoint": _LOOPBACK_ENDPOINT,
        "ResponsysUsername": account.username,
        "ResponsysPassword": account.password,
        "ProfileListName": account.lists[0].name,
        "ProfileListFolder": account.lists[0].folder,
        "DefaultEventName": account.events[0].name,
    }
