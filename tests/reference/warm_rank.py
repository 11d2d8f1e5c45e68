"""What `mpirun` starts where a rank is forked from a process that has imported everything.

It hands its arguments, environment and standard streams over, passes signals on, and ends as the
rank does; with nothing imported but what every Python has at hand, it costs next to nothing.
"""

import array
import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def main():
    door, *arguments = sys.argv[1:]
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.connect(door)
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    streams = array.array("i", (0, 1, 2))
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    link.sendmsg([json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    pid = int.from_bytes(link.recv(8), "little", signed=True)
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: os.kill(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    code = int.from_bytes(link.recv(8), "little", signed=True)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
