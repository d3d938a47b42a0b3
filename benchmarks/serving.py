"""How many requests a second a registered model answers behind `serve` or MLflow's server, and how long each takes.

    python benchmarks/serving.py --model models:/ner-qka@champion --tracking_uri sqlite:///mlflow.db --text text.txt

Starts the serve entry point, or with --by_mlflow `mlflow models serve`, on a free loopback port, lets clients send the
lines of the text for --seconds with each number of clients and each number of texts a request, checks every answer
against the model called directly, and prints requests and texts per second and the latency's median and 95th percentile
in milliseconds. Then it stops the server.
"""

import argparse
import http.client
import itertools
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
from model_server import serve


def client(port: int, bodies: list[bytes], expected: list[list[tuple]], first: int, until: float) -> list[float]:
    """Seconds of each request of one client, one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    seconds = []
    for i in itertools.cycle([*range(first, len(bodies)), *range(first)]):
        began = time.perf_counter()
        if began > until:
            connection.close()
            return seconds
        connection.request("POST", "/invocations", bodies[i], {"Content-Type": "application/json"})
        answer = connection.getresponse()
        rows = json.loads(answer.read())["predictions"]
        seconds.append(time.perf_counter() - began)
        assert [(row["input"], row["start"], row["end"], row["category"]) for row in rows] == expected[i]
    return seconds


def measure(port: int, model: mlflow.pyfunc.PyFuncModel, lines: list[str], clients: int, texts: int, seconds: float):
    batches = [lines[i : i + texts] for i in range(0, len(lines) - texts + 1, texts)]
    columns = ["input", "start", "end", "category"]
    expected = [list(model.predict(batch)[columns].itertuples(index=False, name=None)) for batch in batches]
    bodies = [json.dumps({"inputs": batch}).encode() for batch in batches]
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        first = [i * len(batches) // clients for i in range(clients)]
        parts = [pool.submit(client, port, bodies, expected, at, began + seconds) for at in first]
        found = np.array([second for part in parts for second in part.result()])
    rate = len(found) / (time.perf_counter() - began)
    middle, late = 1000 * np.percentile(found, [50, 95])
    print(
        f"{clients:7} {texts:5} {len(found):8} {rate:10.1f} {rate * texts:8.0f} {middle:8.1f} {late:7.1f}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tracking_uri", default="sqlite:///mlflow.db")
    parser.add_argument("--text", type=Path, required=True, help="UTF-8 file, one text a line")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--texts", type=int, nargs="+", default=[1, 16], help="texts a request")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each combination")
    parser.add_argument("--by_mlflow", action="store_true", help="MLflow's server instead of ours")
    arguments = parser.parse_args()
    lines = [line for line in arguments.text.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) < max(arguments.texts):
        sys.exit(f"{arguments.text} has {len(lines)} texts, fewer than a request of {max(arguments.texts)}")
    mlflow.set_tracking_uri(arguments.tracking_uri)
    model = mlflow.pyfunc.load_model(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        log = Path(folder) / "serve.log"
        with serve(arguments.model, arguments.tracking_uri, log, arguments.by_mlflow) as server:
            print(f"up in {time.perf_counter() - began:.1f} s")
            print("clients texts requests requests/s  texts/s  p50 ms  p95 ms")
            for clients, texts in itertools.product(arguments.clients, arguments.texts):
                measure(server.port, model, lines, clients, texts, arguments.seconds)
            server.stop()


if __name__ == "__main__":
    main()
