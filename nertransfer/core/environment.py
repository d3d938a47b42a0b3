"""Variables of the environment that libraries read and that may change a result: none of them enters a cell.

A cell's key says nothing of the environment, so what changes a result is removed from it before a library reads it:
here, for this process and those it starts. The parameters of an entry point are the only settings there are. Knows no
model library: it runs before any of them is imported.
"""

import logging
import os
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase

from nertransfer.core import processes
from nertransfer.core.errors import InputError

logger = logging.getLogger("nertransfer")

ACCELERATE = (
    "ACCELERATE_*", "FSDP_*", "MEGATRON_LM_*", "PARALLELISM_CONFIG_*", "FP8_*", "DEEPSPEED_*", "FORK_LAUNCHED",
    "USE_TORCH_XLA", "XLA_*", "PT_HPU_LAZY_MODE", "PET_*", "PMI_RANK", "PMI_SIZE", "OMPI_COMM_WORLD_*",
    "MV2_COMM_WORLD_*", "MPI_LOCAL*",
)  # fmt: skip
"""Read while an accelerator is made or used, and by torchrun: accelerate's own, and how many processes MPI started."""
LAUNCHER = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""Set by a launcher for each of its processes. Where there is one process alone, they would have it wait for others."""
TORCH = (
    "TORCH_*", "TORCHDYNAMO_*", "TORCHINDUCTOR_*", "AOT_*", "AOTINDUCTOR_*", "INDUCTOR_*", "PYTORCH_*", "TRITON_*",
    "ATEN_*", "ONEDNN_*", "DNNL_*", "MKL_*", "FBGEMM_*", "NPY_*_CPU_FEATURES",
    "OMP_DYNAMIC", "OMP_THREAD_LIMIT", "OMP_SCHEDULE", "OMP_NESTED", "OMP_MAX_ACTIVE_LEVELS", "KMP_DYNAMIC_MODE",
    "KMP_ALL_THREADS", "KMP_DEVICE_THREAD_LIMIT", "KMP_DETERMINISTIC_REDUCTION",
    "NVIDIA_TF32_OVERRIDE", "CUBLAS*", "CUDNN_*", "DISABLE_ADDMM_CUDA_LT", "FLASH_ATTENTION_*", "USE_HUB_KERNELS",
    "DISABLE_ADDMM_HIP_LT", "ROCBLAS_*", "HIPBLASLT_*", "MIOPEN_*", "NCCL_ALGO", "NCCL_PROTO",
    "TRANSFORMERS_SDPA_FORCE_GQA", "TRANSFORMERS_DISABLE_DEEPGEMM_LINEAR",
)  # fmt: skip
"""Read by torch, transformers and the libraries below them, some while torch is imported, some at the first use."""
HARMLESS = (
    "*_VERSION", "*_PATH", "*_DIR", "*_HOME", "*_ROOT", "*_ALLOC_CONF", "*_ARCH_LIST", "*_LOGS", "*_LOG_LEVEL",
    "*_VERBOSE", "CUBLAS*_LOG*", "CUDNN_LOG*", "MKL_NUM_THREADS", "MKL_THREADING_LAYER", "MKL_INTERFACE_LAYER",
    "MKL_SERVICE_FORCE_INTEL", "PYTORCH_NVML_BASED_CUDA_CHECK", "PYTORCH_ENABLE_MPS_FALLBACK",
    "PYTORCH_NO_CUDA_MEMORY_CACHING", "PYTORCH_MPS_*_WATERMARK_RATIO", "PYTORCH_ROCM_ARCH", "PYTORCH_BUILD_*",
    "TORCH_NCCL_*", "TORCH_GLOO_*", "TORCH_FR_*", "TORCH_TRACE", "TORCH_DISTRIBUTED_DEBUG",
    "TORCH_SHOW_CPP_STACKTRACES", "TORCH_DISABLE_ADDR2LINE", "TORCH_FORCE_WEIGHTS_ONLY_LOAD",
    "TORCHINDUCTOR_COMPILE_THREADS",
)  # fmt: skip
"""Of those of torch what says where something lies, how memory is shared out or what is logged, and thread counts."""

SET_BY_TORCH = ("CUBLAS_WORKSPACE_CONFIG",)
"""Set by torch itself while its compiler is imported."""
_looked = False
_ignored: list[str] = []
"""Removed, and not told yet."""


def is_foreign(name: str) -> bool:
    """Whether a variable may change a result, and is no parameter of ours."""
    return _any(name, ACCELERATE) or _is_torchs(name)


def _is_torchs(name: str) -> bool:
    return _any(name, TORCH) and not _any(name, HARMLESS)


def _any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def clean() -> None:
    """Remove what is foreign from the environment of this process; `tell` says what.

    Raises InputError where torch was loaded before the first call, so that it may have read some of it. What is there
    of torch's at a later call has been set by torch itself, and stays.
    """
    global _looked
    alone, loaded = processes.launched() <= 1, "torch" in sys.modules
    theirs = sorted(name for name in os.environ if _is_torchs(name))
    if late := [name for name in theirs if loaded and not _looked and name not in SET_BY_TORCH]:
        raise InputError(
            f"{', '.join(late)} in the environment would change results, and PyTorch may have read it already: unset "
            "it before Python starts"
        )
    others = [name for name in os.environ if _any(name, ACCELERATE) or (alone and name in LAUNCHER)]
    found = sorted([*others, *([] if loaded else theirs)])
    for name in found:
        del os.environ[name]
    _looked = True
    _ignored.extend(found)


def tell() -> None:
    """Name what was removed, once, on the main process: for what computes."""
    if _ignored and processes.is_main():
        logger.warning("ignoring environment variables that could change results: %s", ", ".join(_ignored))
    _ignored.clear()
