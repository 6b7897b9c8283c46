# Tasks belong to this application wherever Django runs, in the API process as in a worker.
from celery_app import app as celery_app

__all__ = ["celery_app"]
