"""A patient's name in a record of pynetdicom, DBOS or uvicorn does not reach the log, whatever form it has."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.node_process import ROOT

CANARY = "CANARY^NAME"
START = f"""
import logging, sys
from runtime.logs import configure_logging
form, folder, canary = sys.argv[1], sys.argv[2], {CANARY!r}
configure_logging("worker", form)
"""
PYNETDICOM = """
from pynetdicom import AE
logging.getLogger("pynetdicom").setLevel(logging.DEBUG)
ae = AE(ae_title=canary)
ae.add_supported_context("1.2.840.10008.1.1")
ae.add_requested_context("1.2.840.10008.1.1")
server = ae.start_server(("127.0.0.1", 0), block=False)
association = ae.associate("127.0.0.1", server.server_address[1], ae_title=canary)
assert association.is_established
association.release()
server.shutdown()
"""
DBOS = """
from dbos import DBOS
from runtime.durable_queue import launch_dbos

@DBOS.workflow()
def fail(name):
    raise ValueError(name)

launch_dbos(f"sqlite:///{folder}/db.sqlite", "ct-1", "1", lease_seconds=60, logs=form)
try:
    DBOS.start_workflow(fail, canary).get_result()
except ValueError:
    pass
logging.getLogger("dbos").error(f"cannot serialize {canary}")
DBOS.destroy()
"""
UVICORN = """
import http.client, threading, time
import uvicorn

async def app(scope, receive, send):
    raise ValueError(canary)

class Ready(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        is_up.set()

is_up = threading.Event()
server = Ready(uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="off"))
thread = threading.Thread(target=server.run)
thread.start()
assert is_up.wait(60)
connection = http.client.HTTPConnection(*server.servers[0].sockets[0].getsockname())
connection.request("GET", "/" + canary)
assert connection.getresponse().status == 500
connection.close()
logging.getLogger("uvicorn.error").error(f"cannot answer {canary}")
server.should_exit = True
thread.join()
"""


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(("library", "program"), [("pynetdicom", PYNETDICOM), ("dbos", DBOS), ("uvicorn", UVICORN)])
def test_name_in_a_record_of_a_library_does_not_reach_the_log(
    library: str, program: str, form: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", START + program, form, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # noqa: S603 - our own interpreter
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "library_message_omitted" in said
    assert library in said  # it did log
    assert "CANARY" not in said
