"""A worker that is no Celery: takes from one list and puts into another."""

import os

import jobs

while True:
    found = jobs.app.backend.client.blpop(os.environ["CONSUMES"], 5)
    if found:
        jobs.app.backend.client.rpush("delivered", found[1])
