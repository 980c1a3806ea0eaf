"""How celery reads its queues: after its pages on Amazon SQS, and that of celery-batches on prefetching."""

import os

SECOND = 1 / float(os.environ.get("TIME_SCALE", "1"))  # the benchmark's clock runs faster


def _queue(url: str) -> dict[str, str]:
    keys = {"access_key_id": os.environ["AWS_ACCESS_KEY_ID"], "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"]}
    return {"url": url, "region": os.environ["AWS_REGION"], **keys}


broker_url = os.environ["BROKER_URL"]
broker_transport_options = {
    "region": os.environ["AWS_REGION"],
    "visibility_timeout": 1800 * SECOND,  # longer than the longest countdown of a retry
    "polling_interval": 0.1,
    "wait_time_seconds": 1,
    "predefined_queues": {
        "memberships": _queue(os.environ["MEMBERSHIPS_QUEUE"]),
        "default": _queue(os.environ["DEFAULT_QUEUE"]),
        "second": _queue(os.environ["SECOND_QUEUE"]),
        "dead-letters": _queue(os.environ["DEAD_LETTER_QUEUE"]),
    },
}
broker_connection_retry_on_startup = True
task_default_queue = "memberships"
task_acks_late = True  # a task that is killed comes again
task_reject_on_worker_lost = True
task_ignore_result = True
worker_prefetch_multiplier = 0  # celery-batches asks for it: no limit
worker_enable_remote_control = False  # SQS has none
worker_send_task_events = False
