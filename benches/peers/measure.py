"""Runs a command and samples the memory of its process tree every 25 ms. Standard library only."""
import os
import signal
import subprocess
import tempfile
import time

INTERVAL_S = 0.025


def tree(root):
    """The processes below `root`, itself included."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as file:
                    todo.extend(map(int, file.read().split()))
        except OSError:
            pass
    return found


def memory(pid):
    """(RssAnon + RssShmem, VmHWM) of a process in bytes."""
    resident = high = 0
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith(("RssAnon", "RssShmem")):
                    resident += int(line.split()[1]) << 10
                elif line.startswith("VmHWM"):
                    high = int(line.split()[1]) << 10
    except OSError:
        pass
    return resident, high


def measure(command, timeout_s):
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        # a session of its own, so that a time-out can end it with everything it started
        process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        peak, highs, error = 0, {}, None
        while process.poll() is None:
            now = 0
            for pid in tree(process.pid):
                resident, high = memory(pid)
                now += resident
                highs[pid] = max(high, highs.get(pid, 0))
            peak = max(peak, now)
            if time.perf_counter() - start > timeout_s:
                os.killpg(process.pid, signal.SIGKILL)
                error = f"stopped after {timeout_s:.0f} s"
            time.sleep(INTERVAL_S)
        wall = time.perf_counter() - start
        out.seek(0), err.seek(0)
        stdout, stderr = out.read(), err.read()
    if process.returncode and not error:
        error = f"exit {process.returncode}: {stderr.strip()[-400:]}"
    return {
        "wall_s": round(wall, 4),
        "peak_rss_bytes": peak,
        "vm_hwm_bytes": sum(highs.values()),
        "stdout": stdout,
        "error": error,
    }
