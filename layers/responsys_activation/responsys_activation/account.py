"""Which Responsys account does a connector use?

Limit, budget, pause and token belong to the account: connectors with the same login host and secret share them,
whatever their names.
"""

from __future__ import annotations

import hashlib

from responsys_activation.connector import Connector

__all__ = ["account_id"]


def account_id(connector: Connector) -> str:
    """Return the account's id: 32 hex digits, equal for connectors with the same login host and secret."""
    host = connector.auth_endpoint.strip().rstrip("/").lower()
    if "://" not in host:
        host = f"https://{host}"
    account = f"{host}\n{connector.credentials_secret_id}"
    return hashlib.blake2b(account.encode(), digest_size=16).hexdigest()
