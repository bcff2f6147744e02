"""The ``segnode`` command, one file a command."""
