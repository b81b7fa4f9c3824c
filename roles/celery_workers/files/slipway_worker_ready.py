"""Tells systemd when this worker consumes and when it stops. Imported by `celery worker -I`; knows no application.

A ping through the broker (`celery inspect ping`) would make every slow broker look like a dead worker; this event
comes from the worker itself, once its consumers are registered.
"""

import os
import socket

from celery.signals import worker_ready, worker_shutting_down


def tell_systemd(state):
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall(state.encode())


@worker_ready.connect
def ready(**_):
    tell_systemd("READY=1\nSTATUS=connected to the broker and consuming")


@worker_shutting_down.connect
def stopping(**_):
    tell_systemd("STOPPING=1\nSTATUS=finishing the tasks it holds")
