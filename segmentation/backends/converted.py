"""Networks in the form of another backend, kept beside the packages: made once, and never part of a package's seal.

::

    MODELS/
    ├── NAME/                                  a package
    └── .converted/openvino-2026.4.1/          for one backend and version
        └── WEIGHTS-NETWORK/                   SHA-256 of the weights' file, and of network and shape, 16 digits each
            ├── record.json                    what it was made of, and the SHA-256 of the other two
            ├── network.xml
            └── network.bin

The folder may be removed at any time. A file that is damaged, or was made of something else, is made again and never
loaded. A person who may write to the folder of packages may change them, as the packages themselves.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from pydantic import ValidationError

from core.errors import PackageInvalid
from core.event_log import EventLog
from core.file_locks import locked
from core.files import sync_folder, sync_tree, write_synced
from core.frozen import Frozen
from segmentation.backends import openvino_network
from segmentation.package.hashes import SUMS, sha256_of_bytes, sha256_of_file
from segmentation.package.network import build_network, check_weights
from segmentation.package.network_spec import Configuration, Fold
from segmentation.package.package import Package
from segmentation.package.weights import read_weights

FOLDER = ".converted"
LOCK = ".lock"
RECORD, GRAPH, NUMBERS = "record.json", "network.xml", "network.bin"
AGREEMENT = 1e-3
"""Largest difference of a converted network's logits from torch's on one tile, as a fraction of the largest logit."""

_log = EventLog()


class ConversionFailed(Exception):
    """A network cannot be converted, or what came out computes something else."""


class ConvertedRecord(Frozen):
    """The whole of ``record.json``.

    Attributes
    ----------
    weights
        SHA-256 of the weights' file in its package.
    network
        SHA-256 of the network's description and of the shape that it takes.
    files
        SHA-256 of each file by name.
    """

    schema_version: Literal[1] = 1
    backend: Literal["openvino"] = "openvino"
    version: str
    weights: str
    network: str
    files: dict[str, str]


@dataclass(frozen=True)
class Conversion:
    """One network of a package, and the place of its converted form.

    Attributes
    ----------
    cache
        The folder ``.converted``.
    """

    package: Package
    configuration: Configuration
    fold: Fold
    cache: Path

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a tile, ``(1, channel, *patch)``."""
        return (1, self.configuration.network.input_channels, *self.configuration.patch_size)

    @property
    def weights(self) -> str:
        """SHA-256 of the weights' file."""
        return self.package.sums[self.fold.file]

    @property
    def network(self) -> str:
        """SHA-256 of the network's description and of its tile's shape."""
        return sha256_of_bytes(f"{self.configuration.network.model_dump_json()}\n{self.shape}".encode())

    @property
    def place(self) -> Path:
        """The folder of the converted network."""
        name = f"{self.weights[:16]}-{self.network[:16]}"
        return self.cache / f"openvino-{openvino_network.installed_version()}" / name

    def read(self) -> tuple[bytes, bytes] | None:
        """Read graph and numbers, if they are there and are what the record says; what is wrong is logged."""
        if not self.place.is_dir():
            return None
        try:
            record = ConvertedRecord.model_validate_json((self.place / RECORD).read_bytes())
            graph, numbers = ((self.place / name).read_bytes() for name in (GRAPH, NUMBERS))
        except (OSError, ValidationError) as error:
            self._tell_refused(str(error).splitlines()[0])
            return None
        if record != self._record({GRAPH: sha256_of_bytes(graph), NUMBERS: sha256_of_bytes(numbers)}):
            self._tell_refused("it is not what its record says, or was made of another network")
            return None
        return graph, numbers

    def make(self) -> tuple[bytes, bytes]:
        """Convert the network, unless another process does so meanwhile, and return its graph and numbers.

        Raises
        ------
        OSError
            If the folder cannot be written.
        ConversionFailed
            If the backend cannot take the network.
        PackageInvalid
            If the weights changed since the package was loaded.
        """
        self.place.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.cache / LOCK):
            found = self.read()
            if found is not None:
                return found
            _log.info("network_converted", model=self.package.name, file=self.fold.file, folder=str(self.place))
            with TemporaryDirectory(prefix=".converting-", dir=self.place.parent) as work:
                self._write(Path(work) / "network")
                shutil.rmtree(self.place, ignore_errors=True)
                (Path(work) / "network").rename(self.place)
                sync_folder(self.place.parent)
            made = self.read()
        if made is None:
            raise ConversionFailed("what was written cannot be read back")
        return made

    def _write(self, folder: Path) -> None:
        folder.mkdir()
        module = load_module(self.package, self.configuration, self.fold)
        try:
            openvino_network.convert(module, self.shape, folder / GRAPH, folder / NUMBERS)
            self._compare(module, (folder / GRAPH).read_bytes(), (folder / NUMBERS).read_bytes())
        except RuntimeError as error:
            raise ConversionFailed(" ".join(str(error).split())[:300]) from error
        record = self._record({name: sha256_of_file(folder / name) for name in (GRAPH, NUMBERS)})
        write_synced(folder / RECORD, record.model_dump_json(indent=1).encode() + b"\n")
        sync_tree(folder)

    @torch.inference_mode()
    def _compare(self, module: torch.nn.Module, graph: bytes, numbers: bytes) -> None:
        """Compare the converted network's logits of one tile of noise with those of torch."""
        tile = torch.randn(self.shape, generator=torch.Generator().manual_seed(0))
        expected = module(tile)
        network = openvino_network.OpenVinoNetwork(graph, numbers, "float32", torch.get_num_threads())
        apart = float((network(tile) - expected).abs().max())
        largest = float(expected.abs().max())
        if not apart <= AGREEMENT * largest:
            raise ConversionFailed(
                f"its logits differ by {apart:g} from those of torch, of which {largest:g} is largest"
            )

    def _record(self, files: dict[str, str]) -> ConvertedRecord:
        version = openvino_network.installed_version()
        return ConvertedRecord(version=version, weights=self.weights, network=self.network, files=files)

    def _tell_refused(self, why: str) -> None:
        _log.warning("converted_network_refused", model=self.package.name, folder=str(self.place), problem=why)


def conversions_of(package: Package, cache: Path | None = None) -> Iterator[Conversion]:
    """Yield every network that a package may run, all of its folds, with the place of its converted form.

    Parameters
    ----------
    cache
        The folder of converted networks; by default the one beside the package.
    """
    for configuration in package.manifest.configurations:
        for fold in configuration.folds:
            yield Conversion(package, configuration, fold, cache or package.folder.parent / FOLDER)


def convert_all(package: Package, cache: Path | None = None) -> str:
    """Convert every network of a package beforehand, where OpenVINO is installed; return what went wrong, if anything.

    Parameters
    ----------
    cache
        The folder of converted networks; by default the one beside the package. Into another one, those that are
        beside the package are copied.

    Raises
    ------
    PackageInvalid
        If the weights changed since the package was loaded.
    """
    if not openvino_network.is_installed():
        return ""
    try:
        for own, wanted in zip(conversions_of(package), conversions_of(package, cache), strict=True):
            if wanted.read() is not None:
                continue
            if own != wanted and own.read() is not None:
                shutil.copytree(own.place, wanted.place)
            else:
                wanted.make()
    except (ImportError, OSError, ConversionFailed) as error:
        return f"{package.name}: not converted for OpenVINO: {error}"
    finally:
        if cache is not None:
            (cache / LOCK).unlink(missing_ok=True)
    return ""


def forget(models_folder: Path, weights: Iterable[str]) -> None:
    """Remove the converted forms of weights that no package of a folder holds any more.

    Parameters
    ----------
    models_folder
        The folder of packages.
    weights
        SHA-256 of files that a package held.
    """
    listings = [path.read_bytes() for path in models_folder.glob(f"[!.]*/{SUMS}")]  # a damaged one is no text
    for digest in weights:
        if not any(digest.encode() in listing for listing in listings):
            for place in (models_folder / FOLDER).glob(f"*/{digest[:16]}-*"):
                shutil.rmtree(place, ignore_errors=True)


def load_module(package: Package, configuration: Configuration, fold: Fold) -> torch.nn.Module:
    """Build one network of a package with its weights, on the CPU.

    Raises
    ------
    PackageInvalid
        If the weights changed since the package was loaded, or do not fit their network.
    """
    path = package.folder / fold.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PackageInvalid(f"{path}: {error.strerror or error}") from error
    # Hashed again: the bytes that count are those that are used.
    if sha256_of_bytes(content) != package.sums[fold.file]:
        raise PackageInvalid(f"{path}: the file changed since the package was loaded; load the package again")
    weights = read_weights(content, str(path))
    network = build_network(configuration.network)
    check_weights(network, weights, str(path))
    network.load_state_dict(weights, strict=True)
    return network
