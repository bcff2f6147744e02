"""Limits of the listener for every peer."""

from pydantic import Field

from core.frozen import Frozen


class Limits(Frozen):
    """Limits that no peer can exceed; the defaults suit a department, and each can be set in ``node.yaml``."""

    pdu_bytes_before: int = Field(default=1 << 20, ge=1024, description="longest association request")
    pdu_bytes: int = Field(default=16 << 20, ge=131072, description="longest PDU of an association")
    object_bytes: int = Field(default=1 << 30, ge=1 << 20, description="longest object")
    first_pdu_seconds: float = Field(default=10.0, gt=0, description="from connection to whole association request")
    pdu_seconds: float = Field(default=30.0, gt=0, description="from the first byte of a PDU to its last")
    idle_seconds: float = Field(default=60.0, gt=0, description="an association without any PDU ends after this")
    associations: int = Field(
        default=50, ge=1, description="at once, of the node; each receiving process has its share"
    )
    associations_per_address: int = Field(default=16, ge=1, description="the same, from one address")
    waiting: int = Field(default=256, ge=1, description="connections without a whole association request")
    waiting_per_address: int = Field(default=8, ge=1, description="the same, from one address")

    def share(self, processes: int) -> "Limits":
        """Return the limits of one of several receiving processes, rounded up; together they make up the node's.

        The kernel assigns connections to processes by chance, so a node with several needs some margin.
        """
        associations = -(-self.associations // processes)
        per_address = -(-self.associations_per_address // processes)
        return self.model_copy(update={"associations": associations, "associations_per_address": per_address})
