"""In which state is an alarm of the deployed stack?"""

from tests.local_stack.repeating import eventually
from tests.local_stack.stack import LocalStack

# Minutes on AWS; the stack under test has their periods pass sixty times as fast.
AN_ALARMS_TIME = 45.0


class Alarms:
    """The alarms of the stack, by the last part of their name."""

    def __init__(self, stack: LocalStack) -> None:
        self._cloudwatch = stack.endpoint.cloudwatch
        self._prefix = stack.function_name.removesuffix("segment-events")

    def state(self, name: str) -> str:
        """Return the state of an alarm."""
        (alarm,) = self._cloudwatch.describe_alarms(AlarmNames=[f"{self._prefix}{name}"])["MetricAlarms"]
        return str(alarm["StateValue"])

    def becomes(self, name: str, state: str, seconds: float = AN_ALARMS_TIME) -> bool:
        """Wait for a state, and tell whether it came."""
        return eventually(lambda: self.state(name) == state, seconds)
