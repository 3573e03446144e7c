"""`python -m workers.cli`, where the script `bellwire` is not installed."""

from workers.cli.app import main

main()
