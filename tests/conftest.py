"What holds for every test."
import signal

import pytest


@pytest.fixture(autouse=True)
def an_interrupt_interrupts():
    "A shell that starts pytest in the background makes it deaf to SIGINT; the tests that send one need it heard."
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
