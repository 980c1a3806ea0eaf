"""Segment memberships from SQS become Oracle Responsys custom events.

Start reading in :mod:`responsys_activation.delivery.batch`. The rooms, each above those that it may import:

``cli/``
    The command ``responsys-activation``, for operators; no function imports it.
``delivery/`` · ``connector_check/`` · ``replay/``
    What happens to a batch? Would each connector deliver? Which dead letters go back? They do not know each other.
``aws/``
    Where is it kept? boto3 only.
``responsys/``
    How does the Responsys API speak? It knows nothing of memberships.
``membership``, ``connector``
    What did upstream say, and what the owner?
``settings``, ``observability``, ``error_code``, ...
    The ground that every room stands on.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
