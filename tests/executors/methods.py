"""Methods for the tests, which workers import."""

import os
import signal
import time

from common.executors.interface import Method


def double(payload):
    return 2 * payload


def fail(payload):
    raise ZeroDivisionError("a bug\nin two lines")


def kill(payload):
    os.kill(os.getpid(), signal.SIGKILL)


def get_pid(payload):
    time.sleep(payload)
    return os.getpid()


def sleep(payload):
    time.sleep(payload)
    return payload


METHODS = {
    "double": Method(double, "quantum"),
    "learn": Method(double, "learning"),
    "fail": Method(fail, "quantum"),
    "kill": Method(kill, "quantum"),
    "pid": Method(get_pid, "quantum"),
    "sleep": Method(sleep, "quantum"),
    "limited": Method(sleep, "quantum", time_limit=1.0),
}
