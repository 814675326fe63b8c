#!/usr/bin/env python3
"""Draws every dashboard with what $PROMETHEUS answers: asks each expression, serves the built page, and has Chromium take pictures.
tests/draw/ask.py FOLDER: FOLDER/page holds the built page, FOLDER/NAME.png will be the pictures."""

import functools
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROMETHEUS = os.environ["PROMETHEUS"]
MINUTES = float(os.environ.get("MINUTES", "10"))
INTERVAL = os.environ.get("RATE_INTERVAL", "20s")
WIDTH, ROW, TOP = 1600, 38, 80
VALUES = {"__rate_interval": INTERVAL, "target": ".*", "duration": "http_request_duration_seconds", "status": "status_code", "route": "route", "users": "app_active_users"}


def ask(path, **query):
    with urllib.request.urlopen(f"{PROMETHEUS}/api/v1/{path}", urllib.parse.urlencode(query).encode(), timeout=30) as answer:
        return json.load(answer)["data"]["result"]


def filled(text):
    return re.sub(r"\$\{?([a-z_]+)\}?", lambda found: VALUES.get(found[1], ".+"), text)


def answers(dashboard, start, end):
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel["id"], [
                ask("query", query=filled(target["expr"]), time=end) if target.get("instant") else ask("query_range", query=filled(target["expr"]), start=start, end=end, step=max(2, (end - start) / 300))
                for target in panel["targets"]
            ]


def main():
    folder = pathlib.Path(sys.argv[1])
    end = time.time()
    start = end - MINUTES * 60
    dashboards = sorted((ROOT / "dashboards").glob("*.json"))
    heights = {}
    for path in dashboards:
        dashboard = json.loads(path.read_text())
        data = {"from": start, "to": end, "answers": dict(answers(dashboard, start, end))}
        (folder / "page" / path.name).write_text(path.read_text())
        (folder / "page" / f"{path.stem}.data.json").write_text(json.dumps(data))
        heights[path.stem] = TOP + ROW * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder / "page")
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, height in heights.items():
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/chromium", f"--window-size={WIDTH},{height}",
             "--virtual-time-budget=20000", f"--screenshot={folder}/{name}.png", f"http://127.0.0.1:{server.server_port}/?{name}"],
            check=True, capture_output=True, timeout=120)
        print(folder / f"{name}.png")


main()
