"""A command that runs in tests/forked_scripts.py, whose address is in FORKED_SCRIPTS: as if it ran here."""

import json
import os
import socket
import sys

command = {"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.environ["FORKED_SCRIPTS"])
    socket.send_fds(server, [json.dumps(command).encode()], [0, 1, 2])
    sys.exit(server.recv(1)[0])
