"""A stand-in for the electronic health card open platform, written from its document (V2.1) alone.

For the demo, tests, rehearsals and load: `python -m platform_sandbox`, or in a test

    with platform_sandbox.serve(platform_sandbox.Config()) as sandbox:
        httpx.post(sandbox.url + platform_sandbox.REPORT_PATH, ...)

Never imports card_usage, so that one checks the other. Keeps no patient data of card uses: what it accepted is
remembered by requestId, codes, time and a keyed digest. Whom it registered it keeps in memory, as long as it runs.
Which answers are the document's and which our reading: docs/sandbox.md.
"""

from platform_sandbox.faults import Faults
from platform_sandbox.platform import GET_APP_TOKEN, REPORT_HIS_DATA, Answer, Sandbox
from platform_sandbox.server import REPORT_PATH, TOKEN_PATH
from platform_sandbox.settings import App, Config, SandboxError, SettingError
from platform_sandbox.signing import signature
from platform_sandbox.threaded import RunningSandbox, serve

__all__ = [
    "GET_APP_TOKEN",
    "REPORT_HIS_DATA",
    "REPORT_PATH",
    "TOKEN_PATH",
    "Answer",
    "App",
    "Config",
    "Faults",
    "RunningSandbox",
    "Sandbox",
    "SandboxError",
    "SettingError",
    "serve",
    "signature",
]
