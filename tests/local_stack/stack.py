"""How does this project's template run locally, with a simulated or a real Responsys?"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.local_stack.aws_endpoint import AwsEndpoint
from tests.local_stack.build import read_template
from tests.local_stack.deploy import deploy
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.local_aws import LocalAws
from tests.local_stack.parameters import require_trusted_endpoint, resolved_parameters
from tests.local_stack.released import deploy_release
from tests.simulator.client import SimulatorClient, SimulatorProcess
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


class LocalStack:
    """The deployed template, a simulated Responsys unless another is given, and the AWS they need.

    Everything listens on loopback, trusts loopback endpoints, and ends with the context.

    Parameters
    ----------
    parameters
        Deployment parameters that differ from the defaults. Without `ResponsysAuthEndpoint` a simulator is
        started, and the parameters of its first account are the defaults.
    time_scale
        Divides every wait of ours and the periods of alarms, and speeds our simulator's clock up as much.
    aws_port
        Port of the emulated AWS; a free one when absent.
    simulator
        What our simulator starts with.
    visibility_seconds
        How long a received message stays hidden, in place of what the template says: what a killed function held
        comes back after it.
    enforces_iam
        Whether policies count; functions must then be given credentials of their roles.
    release
        The archive of a release, which is deployed instead of the source; made for this machine's runtime.
    say
        Told what is left out locally.

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
    ...     stack.sqs.send_message(QueueUrl=stack.outputs["SegmentEventsQueueUrl"], MessageBody=body)
    ...     print(stack.simulator.inbox_count())
    """

    def __init__(
        self,
        parameters: Mapping[str, str] | None = None,
        *,
        time_scale: float = 1.0,
        aws_port: int | None = None,
        simulator: SimulatorSettings | None = None,
        enforces_iam: bool = False,
        visibility_seconds: int | None = None,
        release: Path | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        template = read_template(_TEMPLATE)
        given = dict(parameters or {})
        domains = template["Parameters"]["TrustedEndpointDomains"]["Default"]
        given.setdefault("TrustedEndpointDomains", ",".join((domains, *_LOOPBACK_DOMAINS)))
        self._starts_simulator = "ResponsysAuthEndpoint" not in given
        self._simulator_settings = simulator or SimulatorSettings()
        if self._starts_simulator:
            given = {**_parameters_of(self._simulator_settings.accounts[0]), **given}
        self.parameters = resolved_parameters(template, given)
        require_trusted_endpoint(self.parameters)
        self._time_scale = time_scale
        self._aws_port = aws_port
        self._enforces_iam = enforces_iam
        self._visibility_seconds = visibility_seconds
        self._release = release
        self._say = say
        self._resources = contextlib.ExitStack()
        self._aws: LocalAws
        self.simulator: SimulatorClient | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as resources:
            if self._starts_simulator:
                settings = self._simulator_settings.model_copy(update={"time_scale": self._time_scale})
                self.simulator = resources.enter_context(SimulatorProcess(settings))
                self.parameters["ResponsysAuthEndpoint"] = self.simulator.url
            self._aws = resources.enter_context(
                LocalAws(
                    self._release or _TEMPLATE,
                    self.parameters,
                    stack_name=STACK_NAME,
                    port=self._aws_port,
                    function_environment={"TIME_SCALE": str(self._time_scale)},
                    visibility_seconds=self._visibility_seconds,
                    time_scale=self._time_scale,
                    enforces_iam=self._enforces_iam,
                    say=self._say,
                    deploy=deploy_release if self._release else deploy,
                )
            )
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._resources.close()

    @property
    def outputs(self) -> Mapping[str, str]:
        """The outputs of the stack."""
        return self._aws.outputs

    @property
    def endpoint(self) -> AwsEndpoint:
        """The emulated AWS, with a client for each service."""
        return self._aws.endpoint

    @property
    def lambda_control_url(self) -> str:
        """Where faults of functions are injected over HTTP; `lambda_host` tells how."""
        return self._aws.lambda_control_url

    @property
    def function_name(self) -> str:
        """The function that sends events."""
        return self.outputs["SegmentEventsFunctionName"]

    def kill_running_workers(self) -> int:
        """Kill the workers that run an invocation, and return how many they were."""
        return self._aws.kill_running_workers(self.function_name)

    def set_function_environment(self, environment: Mapping[str, str]) -> None:
        """Set variables of the function beside its own, in place of those set before."""
        self._aws.set_function_environment(self.function_name, environment)

    def set_function_timeout(self, seconds: int) -> None:
        """Deploy another time-out of the function, as a deployment does: a new version, and the alias on it."""
        client = self.endpoint.lambda_
        client.update_function_configuration(FunctionName=self.function_name, Timeout=seconds)
        version = client.publish_version(FunctionName=self.function_name)["Version"]
        client.update_alias(FunctionName=self.function_name, Name="live", FunctionVersion=version)

    def worker_counts(self) -> dict[str, int]:
        """Return `invocations`, `coldStarts`, `running` and `warm` of the function."""
        return self._aws.worker_counts(self.function_name)

    @contextlib.contextmanager
    def paused_event_sources(self) -> Iterator[None]:
        """Give the function no messages for as long as the context lasts."""
        with self._aws.paused_event_sources():
            yield

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
