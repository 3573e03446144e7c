"""`python -m workers.receivers`: all receivers by hand until somebody stops them, with the settings that lead there."""

from __future__ import annotations

import shlex
import signal
from typing import Final

from workers.receivers.together import Receivers

STOP: Final = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Print the settings, which a shell and ``BELLWIRE_ENV_FILE`` both read, and stay up."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)  # before there are threads: each takes over what its maker blocks
    with Receivers() as receivers:
        for name, value in receivers.every_account().items():
            print(f"export {name}={shlex.quote(value)}")
        print(f"# Webhooks: {receivers.webhook.url}", flush=True)
        signal.sigwait(STOP)


if __name__ == "__main__":
    main()
