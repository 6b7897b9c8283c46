"""Celery's settings: how workers use the broker. Each one that needs a reason has it beside it."""

import django
from django.apps import apps
from django.conf import settings

if not apps.ready:
    django.setup()

from apps.notifications.queue.broker import WORK_QUEUES  # noqa: E402

# Without a host kombu warns that it assumes localhost.
broker_url = "memory://localhost/" if settings.LOCAL else settings.BROKER_URL
broker_heartbeat = 10
broker_connection_timeout = 2
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_channel_error_retry = True
broker_transport_options = {"polling_interval": 0.02} if settings.LOCAL else {}

# Queues exist by declaration only: a misspelt name must fail, not create a queue without a consumer.
task_queues = WORK_QUEUES
task_create_missing_queues = False
task_default_queue = "email"
task_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
# A message is acknowledged when its work is recorded, so that a killed worker's message is delivered again.
task_acks_late = True
task_publish_retry = False

worker_pool = "threads"
worker_concurrency = settings.WORKER_THREADS
worker_prefetch_multiplier = 2
worker_consumer = "apps.notifications.queue.consumer:Consumer"
worker_hijack_root_logger = False
worker_redirect_stdouts = False
worker_send_task_events = False
worker_cancel_long_running_tasks_on_connection_loss = False
worker_enable_remote_control = False
worker_disable_rate_limits = True
