"""The driver probe against a simulated libcuda in each of its states, and the system facts against made-up systems."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cufft_harness.driver import probe_driver, read_system
from cufft_harness.driver.system import mapped_libraries

from repro.simdriver.build import CannotBuild, build, find_compiler


def has_compiler() -> bool:
    try:
        return bool(find_compiler())
    except CannotBuild:
        return False


needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C compiler to build the simulated libcuda")
needs_no_driver = pytest.mark.skipif(
    bool(shutil.which("nvidia-smi")), reason="this machine has a CUDA driver of its own, which would answer instead"
)


def _build(folder: Path, *flags: str) -> Path:
    """Compile the simulated driver as libcuda.so.1 in `folder`."""
    folder.mkdir(exist_ok=True)
    return build(folder, *flags).parent


@pytest.fixture(scope="session")
def driver_folder(tmp_path_factory):
    return _build(tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="session")
def full_driver_folder(tmp_path_factory):
    """A driver with its JIT compiler library beside it."""
    folder = _build(tmp_path_factory.mktemp("full-driver"))
    empty = folder / "empty.c"
    empty.write_text("int nothing;\n")
    subprocess.run(
        [find_compiler(), "-shared", "-fPIC", "-o", str(folder / "libnvidia-ptxjitcompiler.so.1"), str(empty)],
        check=True,
    )
    return folder


def _probe(folder, timeout_s=20.0, **variables):
    device = {"SIMCUDA_DEVICE_NAME": "NVIDIA GeForce RTX 3090", "SIMCUDA_DRIVER_VERSION": "12040"}
    env = {**os.environ, "LD_LIBRARY_PATH": str(folder), **device, **variables}
    env.pop("CUDA_CACHE_DISABLE", None)
    return probe_driver(timeout_s=timeout_s, env=env)


@needs_compiler
def test_a_complete_driver_is_read(full_driver_folder):
    """Version, device, capability, memory, JIT library and a compiled PTX are all reported."""
    report = _probe(full_driver_folder)
    assert report.present
    assert not report.died
    assert report.problem == ""
    assert report.cuda == (12, 4)
    assert report.jit_library
    assert report.compiles_ptx
    (device,) = report.devices
    assert (device.name, device.capability, device.memory) == ("NVIDIA GeForce RTX 3090", (8, 6), 24 * 2**30)
    assert not device.is_mig
    assert report.libraries["libcuda"] == (str(full_driver_folder / "libcuda.so.1"),)


@needs_compiler
@pytest.mark.parametrize(
    ("code", "words"), [(221, "not found"), (222, "not supported"), (223, "disabled"), (218, "refused")]
)
def test_the_states_of_the_jit_compiler_are_told_apart(driver_folder, code, words):
    """218, 221, 222 and 223 keep their number and get the sentence that belongs to them."""
    report = _probe(driver_folder, SIMCUDA_JIT_ERROR=str(code))
    assert report.ptx_code == code
    assert report.compiles_ptx is False
    assert words in report.problem


@needs_compiler
@needs_no_driver
def test_a_missing_jit_library_is_noticed(driver_folder):
    """libcuda without libnvidia-ptxjitcompiler.so.1 beside it: the library is reported as absent."""
    assert _probe(driver_folder, SIMCUDA_JIT_ERROR="221").jit_library is False


@needs_compiler
def test_a_warm_cache_does_not_hide_a_missing_compiler(driver_folder):
    """The probe switches the compute cache off, so a kernel cached earlier cannot pass for a compiled one."""
    assert _probe(driver_folder, SIMCUDA_JIT_ERROR="221", SIMCUDA_JIT_CACHED="1").ptx_code == 221


@needs_compiler
@pytest.mark.parametrize(("code", "words"), [(100, "no CUDA device"), (803, "do not fit"), (999, "unknown error")])
def test_a_driver_that_refuses_to_start_says_why(driver_folder, code, words):
    """A cuInit error is a report with the code and its meaning."""
    report = _probe(driver_folder, SIMCUDA_INIT_ERROR=str(code))
    assert report.init_code == code
    assert words in report.problem
    assert not report.died
    assert report.cuda == (12, 4)


@needs_compiler
@pytest.mark.parametrize(
    ("variables", "died"),
    [
        ({"SIMCUDA_INIT_ERROR": "crash"}, "SIGSEGV in init"),
        ({"SIMCUDA_JIT_ERROR": "crash"}, "SIGSEGV in ptx"),
        ({"SIMCUDA_INIT_ERROR": "exit"}, "exit status 0 in init"),
    ],
)
def test_a_driver_that_crashes_is_a_verdict(driver_folder, variables, died):
    """Whatever ends the child, the step it died in is named, and what came before is kept."""
    report = _probe(driver_folder, **variables)
    assert report.present
    assert report.died == died
    assert report.cuda == (12, 4)


@needs_compiler
@pytest.mark.parametrize("behaviour", ["hang", "stubborn"])
def test_a_driver_that_hangs_is_a_verdict(driver_folder, behaviour):
    """A hang in cuInit ends at the time limit, also when the driver ignores interrupt and terminate."""
    report = _probe(driver_folder, timeout_s=1.5, SIMCUDA_INIT_ERROR=behaviour)
    assert report.died == "hung in init"
    assert report.cuda == (12, 4)


@needs_compiler
def test_a_driver_with_a_wrong_symbol_is_a_verdict(tmp_path):
    """A libcuda that lacks a function is reported by that function's name, and the other steps still run."""
    report = _probe(_build(tmp_path / "short", "-DWITHOUT_DRIVER_VERSION"))
    assert "cuDriverGetVersion" in report.problem
    assert report.cuda is None
    assert report.compiles_ptx


@needs_no_driver
def test_a_file_that_is_no_library_is_a_verdict(tmp_path):
    """A libcuda.so.1 that is not a library at all is reported with the loader's words."""
    (tmp_path / "libcuda.so.1").write_bytes(b"not an ELF file")
    report = _probe(tmp_path)
    assert not report.present
    assert "cannot be loaded" in report.problem


@needs_no_driver
def test_no_driver_at_all_is_a_verdict(tmp_path):
    """Without libcuda the report says so, and nothing died."""
    report = _probe(tmp_path)
    assert not report.present
    assert not report.died


@needs_compiler
def test_mig_slices_and_missing_devices_are_seen(driver_folder):
    """A MIG slice is known by its name; a driver without devices is a problem in words."""
    assert _probe(driver_folder, SIMCUDA_DEVICE_NAME="NVIDIA A100-SXM4-40GB MIG 1g.5gb").devices[0].is_mig
    assert "no device" in _probe(driver_folder, SIMCUDA_DEVICES="0").problem


@needs_compiler
def test_a_context_that_cannot_be_made_is_told_from_a_ptx_failure(driver_folder):
    """Out of memory at context creation says nothing about the JIT compiler."""
    report = _probe(driver_folder, SIMCUDA_CONTEXT_ERROR="2")
    assert report.ptx_code is None
    assert "code 2" in report.problem


def test_the_parent_needs_no_torch():
    """Importing and running the driver probe loads neither torch nor libcuda into this process's like."""
    code = (
        "import sys; from cufft_harness.driver import probe_driver; probe_driver();"
        "assert 'torch' not in sys.modules; assert 'libcuda' not in open('/proc/self/maps').read()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


MOUNTS = """\
36 35 98:0 / / rw,noatime master:1 - ext3 /dev/root rw
40 36 8:1 /usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01 /usr/lib/x86_64-linux-gnu/libcuda.so.1 ro - ext4 /dev/sda1 ro
41 36 8:1 /x/libnvidia-ml.so.550.163.01 /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 ro - ext4 /dev/sda1 ro
42 36 0:50 / /proc/cpuinfo rw - fuse.lxcfs lxcfs rw
"""


def _system(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_an_lxc_with_two_mounted_driver_files_is_described(tmp_path):
    """Kernel module, kind of container and the driver files mounted one by one are read from /proc."""
    root = _system(
        tmp_path,
        {
            "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr 8\n",
            "proc/self/mountinfo": MOUNTS,
        },
    )
    report = read_system(root, {"CUDA_DISABLE_PTX_JIT": "1", "HOME": "/home/u"})
    assert report.kernel_module == "550.163.01"
    assert report.container == "lxc"
    assert report.driver_mounts == ("libcuda.so.1", "libnvidia-ml.so.1")
    assert report.jit_disabled_by == "CUDA_DISABLE_PTX_JIT"
    assert dict(report.variables) == {"CUDA_DISABLE_PTX_JIT": "1"}


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"run/systemd/container": "lxc\n"}, "lxc"),
        ({"proc/self/cgroup": "0::/kubepods/besteffort/pod1\n"}, "kubernetes"),
        ({"proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n"}, "wsl"),
        ({}, None),
    ],
)
def test_kinds_of_containers_are_told_apart(tmp_path, files, kind):
    """Docker, Podman, LXC, Kubernetes and WSL each leave a mark; a bare machine leaves none."""
    assert read_system(_system(tmp_path, files), {}).container == kind


def test_a_variable_set_to_zero_does_not_disable_the_jit(tmp_path):
    """CUDA_DISABLE_PTX_JIT=0 is how people switch it back on."""
    assert read_system(tmp_path, {"CUDA_DISABLE_PTX_JIT": "0"}).jit_disabled_by is None


def test_mapped_libraries_show_duplicates():
    """Two files of one library are both listed, each once, whatever else is mapped."""
    maps = """\
7f0 r-xp 00000000 08:01 1 /venv/nvidia/cufft/lib/libcufft.so.11
7f1 r--p 00001000 08:01 1 /venv/nvidia/cufft/lib/libcufft.so.11
7f2 r-xp 00000000 08:01 2 /usr/local/cuda/lib64/libcufft.so.11.0.2.54
7f3 r-xp 00000000 08:01 3 /usr/lib/libc.so.6
7f4 rw-p 00000000 00:00 0
"""
    assert mapped_libraries(maps) == {
        "libcufft": ["/venv/nvidia/cufft/lib/libcufft.so.11", "/usr/local/cuda/lib64/libcufft.so.11.0.2.54"]
    }
