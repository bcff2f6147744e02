"""``segnode package``: a MONAI Application Package of the application and some models."""

from pathlib import Path
from typing import Annotated

import typer

from core.errors import ConfigInvalid


def package(
    model: Annotated[list[str], typer.Option("--model", "-m", help="Name of a model package; may be repeated.")],
    tag: Annotated[str, typer.Option("--tag", "-t", help="NAME:VERSION of the image, the version semantic.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for context/ and image.tar.")],
    torch: Annotated[str, typer.Option(help="Build of torch in the image: cpu or cuda.")] = "cpu",
    build: Annotated[bool, typer.Option("--build", help="Also build OUTPUT/image.tar (OCI).")] = False,
    base_image: Annotated[
        str | None, typer.Option(help="Image to build on; it needs the Python that runs this command.")
    ] = None,
) -> None:
    """Make a MONAI Application Package: the context to build it from, and with --build the image.

    \b
    Examples:
      segnode package --model demo --tag demo:1.0.0 --output map
      segnode package -m liver -m vessels -t hospital/abdomen:2.1.0 -o map --torch cuda --build

    \b
    The same inputs give the same context, which its digest shows. --build needs
    buildah or docker with buildx, and pip to fetch the wheels (with --torch cpu:
    from an index that has torch's CPU build).
    Exit codes: 0 done, 2 an argument is wrong, 4 a model is invalid, 5 pip or the
    builder failed.
    """
    from app.map.context import Image, write_context
    from app.map.image import Build, build_image, fetch_wheels
    from app.map.manifests import parse_tag
    from runtime.logs import configure_logging
    from segmentation.package.package import load_package
    from segmentation.package.store import default_models_path, find_package

    configure_logging("package")
    if torch not in ("cpu", "cuda"):
        raise ConfigInvalid(f"--torch {torch}: give cpu or cuda")
    if len(set(model)) != len(model):
        raise ConfigInvalid("--model names the same package twice")
    name, release = parse_tag(tag)
    packages = [load_package(find_package(one, default_models_path())) for one in sorted(model)]
    image = Image(name, release, packages, "cuda" if torch == "cuda" else "cpu")
    context = output.absolute() / "context"
    digest = write_context(image, context)
    typer.echo(f"context {context}\ndigest  sha256:{digest}")
    if build:
        arguments = {"TORCH": torch, "TITLE": name, "VERSION": release}
        if base_image is not None:
            arguments["BASE_IMAGE"] = base_image
        fetch_wheels(context, image.requirements)
        archive = context.parent / "image.tar"
        build_image(context, Build("map", image.requirements, tag, arguments), archive)
        typer.echo(f"image   {archive}")
