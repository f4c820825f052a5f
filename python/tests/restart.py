"""A gateway that goes away amid a statement and comes back: `restart.py URL FILE`. An assertion that fails is the verdict.

Says `amid` once the statement runs; whoever drives this ends the gateway then, and starts it again.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import hearth

_LINES = 100


def main(url: str, file: str) -> None:
    """Follows a statement over the restart while others are sent to a second session; each of them runs once."""
    code = f"""import time
for n in range({_LINES}):
    print('line', n)
    time.sleep(0.1)
with open({file!r}, 'a') as file:
    file.write('once')"""
    pieces: list[str] = []

    def told(piece: hearth.Output) -> None:
        pieces.append(piece.text)
        if len(pieces) == 1:
            print("amid", flush=True)

    with hearth.connect(url) as client, client.create_context("restart") as context:
        followed, counted = (context.create_session("pyspark") for _ in range(2))
        counted.run("count = 0", live=False, check=True)
        is_over = threading.Event()
        counter = threading.Thread(target=count, args=(counted, is_over))
        counter.start()
        try:
            statement = followed.run(code, live=told, check=True)
        finally:
            is_over.set()
            counter.join()
        assert "".join(pieces) == "".join(f"line {n}\n" for n in range(_LINES)), pieces
        assert statement.is_over
        sent = len(counted.statements())
        assert sent > 10, sent
        # The first one of them set the count to nothing.
        assert counted.run("count", live=False, check=True).text == str(sent - 1), sent
    assert Path(file).read_text() == "once"


def count(session: hearth.Session, is_over: threading.Event) -> None:
    """Sends statements until that is over."""
    while not is_over.is_set():
        session.run("count += 1", live=False, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
    print("well")
