"""A Responsys that behaves: an HTTP server as strict as the real REST API, for tests, demo and benchmarks.

``README.md`` beside this file lists what it does, its settings and the control calls under ``/_simulator``.
Start it with ``python -m tests.simulator``, or from Python with `tests.simulator.client.simulator_process`.
"""
