"""Settings that a service.yaml may not have, and the names of ports."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import ConfigInvalid
from services.settings import Listening, ServiceSettings, load_service_settings


def load(folder: Path, **changes: Any) -> ServiceSettings:
    """Settings of a service, read from a file."""
    content = {"roots": {"cases": {"path": "cases"}}, "work": "work", "grpc": {"port": 50051}} | changes
    (folder / "service.yaml").write_text(yaml.safe_dump(content))
    return load_service_settings(folder / "service.yaml")


def test_a_key_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    path.write_text("work: work\nroots:\n  cases: {path: a}\n  cases: {path: b}\ngrpc: {port: 50051}\n")
    with pytest.raises(ConfigInvalid, match=r"service\.yaml:4: .*the key cases is given twice, first on line 3"):
        load_service_settings(path)


@pytest.mark.parametrize(
    "roots",
    [
        {"a": {"path": "/a"}, "b": {"path": "/a/b"}},
        {"a": {"path": "/a", "seen_as": ["/mnt"]}, "b": {"path": "/b", "seen_as": ["/mnt"]}},
        {"a": {"path": "/a", "seen_as": ["/mnt"]}, "b": {"path": "/b", "seen_as": ["/mnt/b"]}},
        {"a": {"path": "/a", "seen_as": ["/b/c"]}, "b": {"path": "/b"}},
        {"a": {"path": "/a", "seen_as": ["/mnt", "/mnt/a"]}},
        {"a": {"path": "/mnt/a", "seen_as": ["/mnt"]}},
    ],
)
def test_no_view_lies_inside_of_another(tmp_path: Path, roots: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid, match="lies inside of"):
        load(tmp_path, roots=roots)


def test_views_that_are_apart_are_taken(tmp_path: Path) -> None:
    roots = {
        "a": {"path": "/data/a", "seen_as": ["/data/a", "/mnt/cases"]},
        "b": {"path": "/data/ab", "seen_as": ["/mnt/cases2"]},
    }
    assert set(load(tmp_path, roots=roots).roots) == {"a", "b"}


@pytest.mark.parametrize(
    ("host", "address", "is_local"),
    [
        ("127.0.0.1", "127.0.0.1:1", True),
        ("localhost", "localhost:1", True),
        ("::1", "[::1]:1", True),
        ("[::1]", "[::1]:1", True),
        ("::", "[::]:1", False),
        ("service.example", "service.example:1", False),
    ],
)
def test_a_port_is_named_as_callers_name_it(host: str, address: str, is_local: bool) -> None:
    port = Listening.model_validate({"host": host, "port": 1})
    assert (port.address, port.is_local) == (address, is_local)


def test_tokens_are_encrypted_unless_plaintext_is_allowed(tmp_path: Path) -> None:
    port = {"host": "0.0.0.0", "port": 50051}  # noqa: S104 - not listened to
    with pytest.raises(ConfigInvalid, match="show a token"):
        load(tmp_path, grpc=port)
    with pytest.raises(ConfigInvalid, match="tokens_in_plaintext"):
        load(tmp_path, grpc=port, tokens_file="tokens")
    assert load(tmp_path, grpc=port | {"tokens_in_plaintext": True}, tokens_file="tokens").grpc is not None
    with pytest.raises(ConfigInvalid, match="show a token"):
        load(tmp_path, grpc=port | {"tokens_in_plaintext": True})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"database": "mysql://queue/jobs"}, "neither sqlite nor postgresql"),
        ({"queue": {"keep_days": float("inf")}}, "queue.keep_days"),
    ],
)
def test_settings_that_could_not_be_kept_are_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        load(tmp_path, **changes)
