"""The listener's process: ``python -m app.listener_process node.yaml``; imports nothing of the networks."""

import sys
from pathlib import Path

from app.child import ParentLink, run_child
from app.logs import configure_logging
from app.settings import NodeSettings, load_settings
from core.errors import ConfigInvalid
from dicom_io.listener import Listener
from dicom_io.spool import Spool


def listen(settings: NodeSettings) -> None:
    """Receive until the node asks to stop.

    Raises
    ------
    ConfigInvalid
        If the address cannot be listened on, or the spool not be written.
    """
    link = ParentLink()
    spool = Spool(settings.spool)
    try:
        spool.prepare()
    except OSError as error:
        raise ConfigInvalid(f"spool {settings.spool}: {error.strerror}; give a folder that can be written") from error
    listener = Listener(spool, settings.ae_title, settings.called_aes)
    try:
        listener.start(settings.host, settings.port)
    except OSError as error:
        raise ConfigInvalid(f"host {settings.host} port {settings.port}: {error.strerror}; choose another") from error
    link.say_ready()
    link.wait_for_stop()
    listener.stop()


def main() -> None:
    """Entry of the process."""
    configure_logging("listener")
    run_child(lambda: listen(load_settings(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
