"""Powers a VM off; test_power_off.py tests it without a VM."""

import asyncio

from qemu.qmp import QMPClient


async def power_off(path, patience):
    """Powers a VM off, and ends QEMU if the guest does not obey in that many seconds."""
    qmp = QMPClient("power_off")
    await qmp.connect(path)
    try:
        with qmp.listener("SHUTDOWN") as shutdown:
            await qmp.execute("system_powerdown")
            try:
                await asyncio.wait_for(shutdown.get(), patience)
                return "obeyed"
            except asyncio.TimeoutError:
                await qmp.execute("quit")
                return "forced"
    finally:
        try:
            await qmp.disconnect()
        except EOFError:
            pass  # QEMU has ended.
