"""Call segnode's inference service from another back end; needs grpcio and protobuf, and nothing else.

>>> from segnode_client import Client
>>> with Client("segmentation.example:50051") as client:  # doctest: +SKIP
...     mask = client.totalseg("/mnt/cases/0001/image.nii.gz")
...     print(mask.path, mask.volumes_ml)
"""

from segnode_client.client import Client, Tls
from segnode_client.errors import CallFailed
from segnode_client.results import Job, Mask

__all__ = ["CallFailed", "Client", "Job", "Mask", "Tls"]
