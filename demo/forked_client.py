"""Send this command to the server at the address FORKED_COMMANDS, which runs it, see ``demo/forked_commands.py``."""

import json
import os
import socket
import sys

command = {"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.environ["FORKED_COMMANDS"])
    socket.send_fds(server, [json.dumps(command).encode()], [0, 1, 2])
    sys.exit(server.recv(1)[0])
