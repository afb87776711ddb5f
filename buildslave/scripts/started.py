"""What `buildslave start` and the process that it starts agree on."""

from pathlib import Path

SCRIPT = Path(__file__).with_name("serve.py")
"""The process runs it, with the slave's directory and a descriptor as its words."""
READY = b"ready\n"
"""Written to the descriptor once the slave is started."""
LOG_FILE = "twistd.log"
