"""Call segnode's inference service from another back end; needs grpcio and protobuf, and nothing else.

>>> from segnode_client import Client, Tls
>>> with Client("segmentation.example:50051", tls=Tls()) as client:  # doctest: +SKIP
...     mask = client.totalseg("/mnt/cases/0001/image.nii.gz")
...     print(mask.path, mask.volumes_ml)
"""

from segnode_client.client import Client
from segnode_client.connection import Tls
from segnode_client.errors import CallEnded, CallFailed, RequestRefused, ServiceFailed, TryLater, Unreachable
from segnode_client.results import Channel, Job, Mask, Model

__all__ = [
    "CallEnded",
    "CallFailed",
    "Channel",
    "Client",
    "Job",
    "Mask",
    "Model",
    "RequestRefused",
    "ServiceFailed",
    "Tls",
    "TryLater",
    "Unreachable",
]
