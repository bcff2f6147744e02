"""The backend of a package: it follows from its profile, its age and what was measured of it, from no clock.

- ``exact`` is torch, and so is every profile on a GPU.
- ``equal`` is single precision by the backend that was measured to be the quickest, else by OpenVINO.
- ``fast`` is bfloat16 where the processor has units for it, else single precision; by the backend, and in the type of
  numbers, that were measured to be the quickest, else by OpenVINO. Packages from before there were backends keep torch,
  and bfloat16 on AMX alone, unless ``segnode models measure --use`` wrote their profile.
- Torch runs in the place of a backend that is not installed or has no converted network, and the log says so.
"""

from dataclasses import replace
from typing import Literal

import torch

from core.backend import Backend, BackendName, Precision
from core.event_log import EventLog
from segmentation.backends import openvino_network
from segmentation.backends.converted import ConversionFailed, conversions_of
from segmentation.backends.openvino_network import OpenVinoNetwork
from segmentation.backends.processor_kind import computes_bfloat16, has_amx, kind_of_processor
from segmentation.package.package import Package
from segmentation.package.profile_results import measured_backend, was_measured

_log = EventLog()


def settle(package: Package, device: str) -> Package:
    """Return a package with the profile and backend in which it will really run here; a settled one stays as it is.

    Networks are converted here if they have not been.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda``.

    Raises
    ------
    PackageInvalid
        If what was measured of the package is damaged, or its weights changed since it was loaded.
    """
    if package.options.backend is not None:
        return package
    kind = kind_of_processor(device)
    if _falls_back(package, kind):
        _log.warning("profile_not_measured_here", model=package.name, profile=package.inference.profile, processor=kind)
        return package.in_profile("exact")
    if device == "cuda" or package.inference.profile == "exact" or _is_as_before(package):
        return package
    name, precision = measured_backend(package, kind) or ("openvino", None)
    return with_backend(package, name, precision)


def precisions_of(package: Package) -> tuple[Literal["bfloat16", "float32"], ...]:
    """Return the types of numbers that a package's profile may be computed in on this CPU, the usual one first."""
    return ("bfloat16", "float32") if package.inference.active.bf16 and computes_bfloat16() else ("float32",)


def with_backend(package: Package, wanted: BackendName, measured: Precision | None = None) -> Package:
    """Return a package that runs on the CPU with this backend, or with torch where the backend cannot be had.

    Parameters
    ----------
    measured
        The type of numbers that was measured to be the quickest, which counts where the profile may have it.
    """
    usual, *others = precisions_of(package)
    precision = next((one for one in others if one == measured), usual)
    name = "torch" if wanted == "openvino" and not _has_openvino(package, precision) else wanted
    return package.with_options(replace(package.options, backend=Backend(name, _version_of(name), precision)))


def backend_of(package: Package, device: str) -> Backend:
    """Return what computes the networks of a settled package."""
    if package.options.backend is not None:
        return package.options.backend
    precision: Precision = "float32"
    if device == "cuda":
        precision = "bfloat16" if package.inference.active.bf16 else "float16"
    elif package.inference.active.bf16 and has_amx():
        precision = "bfloat16"
    return Backend("torch", _version_of("torch"), precision)


def can_run(backend: Backend, package: Package, device: str) -> bool:
    """Return whether a settled package with this backend, chosen elsewhere, would run here in the same way."""
    if device == "cuda" or (backend.name == "openvino" and not openvino_network.is_installed()):
        return False
    if backend.version != _version_of(backend.name):
        return False
    if backend.precision == "bfloat16" and not computes_bfloat16():
        return False
    if backend.name == "torch":
        return True
    return backend.precision != "float16" and _has_openvino(package, backend.precision)


def _falls_back(package: Package, kind: str) -> bool:
    """Return whether the profile is one that `measure` wrote on a processor of another kind, and nobody asked for."""
    profile = package.inference.profile
    asked = package.options.profile is not None or package.options.finest_spacing is not None
    return profile != "exact" and not asked and package.used_profile == profile and not was_measured(package, kind)


def _is_as_before(package: Package) -> bool:
    """Return whether the package runs as before there were backends."""
    old = package.record is None or not package.record.knows_backends
    return old and package.inference.profile == "fast" and package.used_profile != "fast"


def _has_openvino(package: Package, precision: Literal["float32", "bfloat16"]) -> bool:
    """Return whether every network that runs is there in OpenVINO's form, and compiles; convert those that are not."""
    if not openvino_network.is_installed():
        _log.warning("backend_not_used", model=package.name, backend="openvino", problem="it is not installed")
        return False
    try:
        for conversion in conversions_of(package):
            if conversion.fold in package.folds_of(conversion.configuration):
                # Units that the environment masks show when a network is compiled, and nowhere before.
                OpenVinoNetwork(*(conversion.read() or conversion.make()), precision, torch.get_num_threads())
    except (ImportError, OSError, ConversionFailed, RuntimeError) as error:
        problem = (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())[:300]
        _log.warning("backend_not_used", model=package.name, backend="openvino", problem=problem)
        return False
    return True


def _version_of(name: Literal["torch", "openvino"]) -> str:
    return torch.__version__.partition("+")[0] if name == "torch" else openvino_network.installed_version()
