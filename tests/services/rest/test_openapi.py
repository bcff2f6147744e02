"""REST held against its own OpenAPI description by schemathesis: it sends what fits it, and what does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service_cases import ALIASES, make_models, write_case
from tests.support.service_process import ServiceProcess

pytestmark = pytest.mark.slow

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


def test_every_answer_is_one_that_is_described(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    write_case(tmp_path / "volume" / "0001")
    service = ServiceProcess(tmp_path / "service", tmp_path / "volume", make_models(tmp_path / "models"), ALIASES)
    service.start()
    # That work is ended with its caller's patience is no error of the service.
    settings = tmp_path / "schemathesis.toml"
    settings.write_text('[checks]\nnot_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 504]\n')
    try:
        command = ["--config-file", str(settings), "run", f"{service.rest}/openapi.json", "--checks", ",".join(CHECKS)]
        limits = [
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "2",
            "--seed",
            "1",
            "--no-color",
        ]
        told = subprocess.run(  # noqa: S603 - its own command
            [Path(sys.executable).with_name("st"), *command, *limits, "--request-timeout", "120"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=480,
            check=False,
        )
    finally:
        service.stop()
    assert told.returncode == 0, told.stdout[-8000:] + told.stderr
