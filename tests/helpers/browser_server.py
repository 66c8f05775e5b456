"""The real server in a process of its own."""

import queue
import re
import signal
import subprocess
import sys
import threading

SECONDS = 300


class Server:
    """``avel serve``, which can be killed and started again at the same address."""

    def __init__(self, *arguments):
        self.arguments = [str(one) for one in arguments]
        self.port = 0
        self.start()

    def start(self):
        command = [sys.executable, "-m", "avel", "serve", *self.arguments, "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = queue.Queue()
        threading.Thread(target=lambda: [lines.put(line) for line in self.process.stdout], daemon=True).start()
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/", said)):
            try:
                said += lines.get(timeout=SECONDS)
            except queue.Empty:
                raise AssertionError(f"avel serve did not start: {said}") from None
        self.port = int(found[1])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def address(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"
