import platform
import subprocess
import sys

import pytest
import torch

from vireid.core.errors import DataError
from vireid.engine.environment import Environment

PAGE_FAULTS_OF_A_LARGE_BLOCK = """
import resource, torch
from vireid.engine.environment import Environment

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(64 << 20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

Environment(device="cpu")
faults()
print(min(faults() for _ in range(3)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc returns large blocks to the kernel")
def test_large_blocks_are_not_fetched_from_the_kernel_in_every_step():
    """In a process of its own: the state of the heap depends on everything that ran before in a process."""
    printed = subprocess.run(
        [sys.executable, "-c", PAGE_FAULTS_OF_A_LARGE_BLOCK], capture_output=True, text=True, check=True
    ).stdout
    assert int(printed) < 100  # of 16384 pages


def test_one_process_does_everything_itself():
    environment = Environment(device="cpu", precision="float32")
    assert (environment.rank, environment.world, environment.is_main) == (0, 1, True)
    assert environment.precision == "float32"
    assert environment.gather({"a": 1}) == [{"a": 1}]
    assert environment.from_main(lambda: 7) == 7
    assert torch.equal(environment.mean(torch.tensor([1.0, 2.0])), torch.tensor([1.0, 2.0]))
    with pytest.raises(DataError, match="as it was raised"):
        environment.from_main(lambda: (_ for _ in ()).throw(DataError("as it was raised")))
