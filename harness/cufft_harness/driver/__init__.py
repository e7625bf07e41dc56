"""What the CUDA driver can do, without torch.

libcuda is only ever touched in a child process (`driver.child`): a driver that crashes, hangs or lacks symbols
becomes a verdict here, not a crash.
"""

from cufft_harness.driver.report import Device, DriverReport, probe_driver
from cufft_harness.driver.system import SystemReport, read_system

__all__ = ["Device", "DriverReport", "SystemReport", "probe_driver", "read_system"]
