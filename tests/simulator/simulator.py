"""What does the simulated Responsys remember between requests?"""

from tests.simulator.accounts import Accounts
from tests.simulator.clock import SimulatedClock
from tests.simulator.faults import Faults
from tests.simulator.in_flight import InFlight
from tests.simulator.inbox import Inbox
from tests.simulator.list_members import ListMembers
from tests.simulator.request_log import RequestLog
from tests.simulator.settings import SimulatorSettings
from tests.simulator.throttles import Throttles
from tests.simulator.tokens import Tokens


class Simulator:
    """The state of one simulated Responsys, made anew by every reset.

    Parameters
    ----------
    settings : SimulatorSettings
        What to start with, and to return to at a reset.

    Attributes
    ----------
    base_url : str
        Where the server listens; known once it does.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.base_url = ""
        self.reset(settings)

    def reset(self, settings: SimulatorSettings) -> None:
        """Forget everything and start again with `settings`."""
        self.settings = settings
        self.clock = SimulatedClock(settings.time_scale)
        self.accounts = Accounts(settings.accounts)
        self.tokens = Tokens(self.clock)
        self.throttles = Throttles(self.clock)
        self.faults = Faults()
        self.in_flight = InFlight()
        self.inbox = Inbox()
        self.list_members = ListMembers(self.clock)
        self.request_log = RequestLog()
