"""Entry of ``python -m app.cli``, which is ``segnode`` where its script is not installed."""

from app.cli.main import main

main()
