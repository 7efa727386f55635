"What holds for every test."
import os
import signal

import hypothesis
import pytest

hypothesis.settings.register_profile("same every time", derandomize=True)


def pytest_addoption(parser): parser.addoption("--long", action="store_true", help="faults at length: a hundred kills instead of ten, malformed files by the ten thousand")


def pytest_configure(config):
    "Where tests read it while they are collected, also in the processes of pytest-xdist"
    if config.getoption("--long"): os.environ.setdefault("AUTODIFFNB_FUZZ", "25")
    else: hypothesis.settings.load_profile("same every time")


@pytest.fixture
def long(request): return request.config.getoption("--long")


@pytest.fixture(autouse=True)
def an_interrupt_interrupts():
    "A shell that starts pytest in the background makes it deaf to SIGINT; the tests that send one need it heard."
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
