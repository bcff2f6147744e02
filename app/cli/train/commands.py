"""``segnode train``: prepare a data set, train on it, look at runs, stop and resume them, make a package."""

from app.cli.options import group_of
from app.cli.train.plan import plan
from app.cli.train.promotion import best, evaluate, package
from app.cli.train.runs import logs, resume, status, stop
from app.cli.train.start import start
from app.cli.train.work import work

app = group_of("train", "Train nnU-Net on this site's devices or on SLURM.")
for command in (plan, start, work, status, logs, stop, resume, best, evaluate, package):
    app.command()(command)
