"What holds for every test."
import signal

import pytest


def pytest_addoption(parser): parser.addoption("--long", action="store_true", help="faults at length: a hundred kills instead of ten, malformed files by the ten thousand")


@pytest.fixture
def long(request): return request.config.getoption("--long")


@pytest.fixture(autouse=True)
def an_interrupt_interrupts():
    "A shell that starts pytest in the background makes it deaf to SIGINT; the tests that send one need it heard."
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
