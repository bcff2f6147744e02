"""The examples of docs/service/calling.md, run as they are against a service with TLS and tokens."""

import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, Parse
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from core.errors import RequestCode
from segnode_client import Client, ServiceFailed, Tls, Unreachable
from services.jobs.job import Problem
from services.problems import GRPC_CODES, HTTP_STATUS, grpc_code, http_status
from services.settings import ServiceSettings
from tests.support.certificates import make_authority, make_certificate
from tests.support.node_process import ROOT
from tests.support.service_cases import ALIASES, make_models, write_case
from tests.support.service_process import ServiceProcess

PAGES = ROOT / "docs" / "service"
PAGE = (PAGES / "calling.md").read_text(encoding="utf-8")
CODES = sorted({*GRPC_CODES, *HTTP_STATUS, *map(str, RequestCode)})
TOKEN = "a-token-of-this-test"  # noqa: S105 - of this test


@dataclass(frozen=True)
class Called:
    """A service, and the folder of a back end that calls it from another machine."""

    service: ServiceProcess
    folder: Path

    def named(self, example: str) -> str:
        """An example with this service's address in it."""
        example = example.replace("segmentation.example:50051", f"localhost:{self.service.grpc_port}")
        return example.replace("segmentation.example:8081", f"localhost:{self.service.rest_port}")

    def run(self, *command: str) -> str:
        """Return the output of a command of the back end."""
        done = subprocess.run(  # noqa: S603 - the page's own examples
            command, cwd=self.folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def examples(language: str) -> list[str]:
    """Code of the page's section of examples."""
    section = PAGE.split("\n## Examples\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory, peer: Callable[[str], str]) -> Iterator[Called]:
    folder, openssl = tmp_path_factory.mktemp("called"), peer("openssl")
    write_case(folder / "volume" / "0001")
    authority = make_authority(openssl, folder, "ca")
    server = make_certificate(openssl, folder, "service", authority)
    for name in ("token", "tokens"):
        (folder / name).write_text(f"{TOKEN}\n")
    tls = {"certificate": str(server.certificate), "key": str(server.key)}
    ports = ServiceProcess(folder / "ports", folder / "volume", folder, ALIASES)
    service = ServiceProcess(
        folder,
        folder / "volume",
        make_models(folder / "models"),
        ALIASES,
        grpc={"port": ports.grpc_port, "tls": tls},
        rest={"port": ports.rest_port, "tls": tls},
        tokens_file="tokens",
    )
    service.grpc_port, service.rest_port = ports.grpc_port, ports.rest_port
    service.start()
    yield Called(service, folder)
    assert service.stop() == 0


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_the_service_is_explained_with_its_statuses(code: str) -> None:
    problem = Problem(code=code)
    statuses = f"{http_status(problem).value}, `{grpc_code(problem).name}`"
    rows = (PAGES / "problems.md").read_text(encoding="utf-8").splitlines()
    assert any(f"`{code}`" in row and f"| {statuses} |" in row for row in rows), statuses


@pytest.mark.parametrize("key", ServiceSettings.model_fields)
def test_every_key_of_the_settings_is_explained(key: str) -> None:
    assert re.search(rf"^\| .*`{key}`.* \| ", (PAGES / "settings.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_python(called: Called) -> None:
    (example,) = examples("python")
    lines = called.run(sys.executable, "-W", "error", "-c", called.named(example)).splitlines()
    assert lines[0].startswith("/mnt/cases/0001/mask/tumor_A.nii.gz {")
    assert lines[-2:] == ["done 100%", "wrong_phase"]


def test_curl(called: Called, peer: Callable[[str], str]) -> None:
    peer("curl")
    example = next(example for example in examples("sh") if "curl" in example and "grpcurl" not in example)
    told = called.run("bash", "-euo", "pipefail", "-c", called.named(example))
    mask, *events = [json.loads(found) for found in re.findall(r"(?:^|data: )(\{.*?\})(?=event:|\n|$)", told)]
    assert mask["mask_path"] == "cases:0001/mask/tumor_A.nii.gz"
    assert events[-1]["state"] == "done"


def test_grpcurl(called: Called) -> None:
    (example,) = (called.named(example) for example in examples("sh") if "grpcurl" in example)
    if shutil.which("grpcurl") is not None:
        answer = json.loads(called.run("bash", "-euo", "pipefail", "-c", example))
    else:
        answer = as_grpcurl(called.folder, shlex.split(example.replace("\\\n", " ").replace("$(cat token)", TOKEN)))
    assert answer["maskPath"] == "cases:0001/mask/vessel_A.nii.gz"


def test_tokens_that_cannot_be_read_let_nobody_in_and_name_no_folder(called: Called) -> None:
    tokens = called.folder / "tokens"
    tokens.rename(called.folder / "away")
    try:
        authority = ssl.create_default_context(cafile=called.folder / "ca.pem")
        url = f"https://localhost:{called.service.rest_port}/v1/jobs/1"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"}, verify=authority, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (500, "service_misconfigured")
        address, tls = f"localhost:{called.service.grpc_port}", Tls(ca=called.folder / "ca.pem")
        with Client(address, tls=tls, token=TOKEN) as client, pytest.raises(ServiceFailed) as caught:
            client.job("1")
        assert caught.value.code == "service_misconfigured"
        assert str(called.folder) not in answer.text + str(caught.value)
        assert called.service.log.read_text().count("service_misconfigured") == 2
    finally:
        (called.folder / "away").rename(tokens)


@pytest.mark.parametrize("tls", [Tls(), None])
def test_untrusted_certificate_and_plain_connection_are_reported(called: Called, tls: Tls | None) -> None:
    address = f"localhost:{called.service.grpc_port}"
    with Client(address, tls=tls, connect_timeout_s=1) as client, pytest.raises(Unreachable) as caught:
        client.job("1")
    assert address in caught.value.message
    assert "TLS" in caught.value.message


@pytest.mark.parametrize("port", ["grpc", "rest"])
def test_key_of_another_certificate_is_reported_at_the_start(called: Called, tmp_path: Path, port: str) -> None:
    tls = {"certificate": str(called.folder / "service.pem"), "key": str(called.folder / "ca.key")}
    settings = {"grpc": None, "rest": None, port: {"port": 1, "tls": tls}}
    service = ServiceProcess(tmp_path, called.folder / "volume", called.folder / "models", ALIASES, **settings)
    told = service.run_command("api", "--config", str(service.config), expect=2)
    assert f"service.pem, {called.folder / 'ca.key'}" in told


def as_grpcurl(folder: Path, words: list[str]) -> dict[str, str]:
    """Answer as grpcurl would: the call that its words say, made by what reflection tells of it."""
    options = dict(zip(words[1:-2:2], words[2:-2:2], strict=True))
    address, method = words[-2:]
    name, value = options["-H"].split(": ", 1)
    credentials = grpc.ssl_channel_credentials((folder / options["-cacert"]).read_bytes())
    shown = grpc.metadata_call_credentials(lambda _, told: told([(name.lower(), value)], None))
    with grpc.secure_channel(address, grpc.composite_channel_credentials(credentials, shown)) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service, rpc = method.split("/")
        described = pool.FindServiceByName(service).FindMethodByName(rpc)
        request, answer = GetMessageClass(described.input_type), GetMessageClass(described.output_type)
        call = channel.unary_unary(
            f"/{method}", request_serializer=request.SerializeToString, response_deserializer=answer.FromString
        )
        return MessageToDict(call(Parse(options["-d"], request()), timeout=120))
