"""``segnode datasets``: register images with masks as an nnU-Net data set, look at it, compare it, check it."""

from app.cli.datasets.check import check
from app.cli.datasets.look import diff, list_datasets, show
from app.cli.datasets.register import register
from app.cli.options import group_of

app = group_of("datasets", "Data sets for training: register images with masks, list, show, compare, check.")
app.command()(register)
app.command(name="list")(list_datasets)
for command in (show, diff, check):
    app.command()(command)
