"""The software bill of materials of an image, in CycloneDX 1.6: the program, its models, and what it installs."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from app.map.distributions import licence_of
from core.version import VERSION
from segmentation.package.package import Package

_NAMESPACE = uuid.UUID("6f1f3a52-0c8e-5b0a-9d2e-3a6f6a1d7c11")


@dataclass(frozen=True)
class Contents:
    """The contents of an image.

    Attributes
    ----------
    name, release
        Of the image.
    packages
        Its models.
    pins
        Version of every distribution by its name.
    """

    name: str
    release: str
    packages: Sequence[Package]
    pins: Mapping[str, str]


def bill_of_materials(contents: Contents, epoch: int) -> str:
    """Write the SBOM as JSON text; the same contents give the same text.

    Parameters
    ----------
    epoch
        Seconds since 1970 that its time stamp says.
    """
    image = Component(type=ComponentType.CONTAINER, name=contents.name, version=contents.release, bom_ref=contents.name)
    components = [*_program(), *map(_model, contents.packages), *_distributions(contents.pins)]
    bom = Bom(components=components)
    bom.metadata.component = image
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.register_dependency(image, components)
    parts = sorted(f"{part.name} {part.version} {[str(one) for one in part.hashes]}" for part in components)
    bom.serial_number = uuid.uuid5(_NAMESPACE, "\n".join([contents.name, contents.release, *parts]))
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def _program() -> Iterable[Component]:
    yield Component(
        type=ComponentType.APPLICATION,
        name="segnode",
        version=VERSION,
        bom_ref="segnode",
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
    )


def _model(package: Package) -> Component:
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=package.name,
        version=package.config.version,
        bom_ref=f"model:{package.name}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.sha256)],
    )


def _distributions(pins: Mapping[str, str]) -> Iterable[Component]:
    for name, version in sorted(pins.items()):
        claim = licence_of(name)
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            purl=PackageURL("pypi", None, name.lower().replace("_", "-"), version),
            bom_ref=f"pypi:{name}",
            licenses=[LicenseFactory().make_from_string(claim)] if claim else [],
        )
