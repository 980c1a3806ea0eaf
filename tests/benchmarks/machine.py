"""On which machine, and when, was something measured?"""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["made_by", "this_machine"]

_CPU_INFORMATION = Path("/proc/cpuinfo")  # Linux


def this_machine() -> dict[str, Any]:
    """Return what bears on a result; neither its name nor who owns it."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def made_by(name: str, machine: dict[str, Any]) -> str:
    """Return the line below a benchmark's results that says how they were made."""
    return (
        f"*`make bench BENCHMARKS={name}`, {machine['date']}: {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['system']}, Python {machine['python']}.*"
    )


def _cpu() -> str:
    """Return the processor's model, as the system names it."""
    lines = _CPU_INFORMATION.read_text().splitlines() if _CPU_INFORMATION.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown processor")
