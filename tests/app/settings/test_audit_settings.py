"""The audit trail's settings in ``node.yaml``."""

from pathlib import Path

import pytest

from app.settings.node import load_settings
from core.errors import ConfigInvalid

EXAMPLE = (Path(__file__).parents[3] / "manifests" / "node.example.yaml").read_text()


def written(folder: Path, text: str) -> Path:
    path = folder / "node.yaml"
    path.write_text(EXAMPLE + text)
    return path


@pytest.mark.parametrize(
    ("text", "sinks"),
    [
        ("", 0),
        ("\naudit_file: audit.xml\n", 1),
        ("\naudit_syslog: {url: 'syslog://audit.example'}\n", 1),
        ("\naudit_syslog: {url: 'syslog+unix:///dev/log'}\naudit_file: audit.xml\n", 2),
        ("\naudit_syslog: {url: 'syslog+tls://audit.example:6514', tls: {ca: ca.pem}}\n", 1),
    ],
)
def test_the_trail_goes_where_it_is_told(tmp_path: Path, text: str, sinks: int) -> None:
    trail = load_settings(written(tmp_path, text)).audit_trail()
    assert (trail.is_on, len(trail._sinks)) == (sinks > 0, sinks)


@pytest.mark.parametrize(
    ("syslog", "remedy"),
    [
        ("url: 'tcp://audit.example'", "syslog://host:514"),
        ("url: 'syslog://'", "syslog://host:514"),
        ("url: 'syslog://host/path'", "syslog://host:514"),
        ("url: 'syslog+unix:'", "syslog\\+unix:///dev/log"),
        ("url: 'syslog://host', tls: {ca: ca.pem}", "certificates go with syslog\\+tls"),
    ],
)
def test_invalid_audit_repository_is_reported(tmp_path: Path, syslog: str, remedy: str) -> None:
    with pytest.raises(ConfigInvalid, match=remedy) as caught:
        load_settings(written(tmp_path, f"\naudit_syslog: {{{syslog}}}\n"))
    assert "audit_syslog" in str(caught.value)
