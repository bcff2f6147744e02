"""The base of what is written once and then only read: settings, records, requests and reports."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A model that cannot be changed and knows every key; a class says in its head where it differs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
