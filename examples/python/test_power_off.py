"""Tests of power_off.py with a recording, for pytest."""

import asyncio
import pathlib
import subprocess

import pytest
from power_off import power_off
from qemu.qmp import ExecInterruptedError

RECORDING = pathlib.Path(__file__).parent.parent / "power_off.jsonl"
OBEYS = 'system_powerdown: event SHUTDOWN {"guest":true,"reason":"guest-shutdown"} after'


@pytest.fixture
def play(tmp_path):
    """Plays the recording with faults; returns the path of the monitor."""
    path = tmp_path / "qmp.sock"
    replays = []

    def start(*faults):
        command = ["qmpmux", "replay", "--speed", "0", "--listen", path, RECORDING]
        for fault in faults:
            command += ["--fault", fault]
        replay = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        replays.append(replay)
        assert "listening on" in replay.stderr.readline()
        return str(path)

    yield start
    for replay in replays:
        replay.terminate()
        log = replay.communicate()[1]
        # The log names each command that was not recorded.
        assert replay.returncode == 0, log


def test_a_guest_that_does_not_obey_is_forced(play):
    assert asyncio.run(power_off(play(), 0.1)) == "forced"


def test_a_guest_that_obeys_is_not_forced(play):
    assert asyncio.run(power_off(play(OBEYS), 10)) == "obeyed"


def test_the_end_of_qemu_is_an_error(play):
    with pytest.raises(ExecInterruptedError):
        asyncio.run(power_off(play("system_powerdown: drop"), 10))
