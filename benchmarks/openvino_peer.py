"""Runs the encoder on OpenVINO, which a virtual environment of its own has.

Arguments: a folder with encoder.onnx, words.npy and places.npy, and OpenVINO's inference precision.
Reads a line of JSON from standard input, a list of texts as token ids, and answers with the path of
a file of their vectors (texts, 384), not yet of length 1; and so on until the input ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import openvino


def main() -> None:
    """Answer until the input ends."""
    folder, precision = Path(sys.argv[1]), sys.argv[2]
    words, places = np.load(folder / "words.npy"), np.load(folder / "places.npy")
    # Requests side by side, a text each: OpenVINO's own advice for throughput, and what ours does.
    model = openvino.Core().compile_model(
        folder / "encoder.onnx",
        "CPU",
        {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"},
    )
    answer = folder / f"{precision}.npy"
    for line in sys.stdin:
        texts = json.loads(line)
        vectors = np.empty((len(texts), words.shape[1]), dtype=np.float32)

        def store(request: openvino.InferRequest, place: int, into: np.ndarray = vectors) -> None:
            into[place] = request.get_output_tensor().data[0].mean(axis=0)

        queue = openvino.AsyncInferQueue(model)
        queue.set_callback(store)
        for place in sorted(range(len(texts)), key=lambda each: -len(texts[each])):
            ids = texts[place]
            queue.start_async([(words[ids] + places[: len(ids)])[np.newaxis]], place)
        queue.wait_all()
        np.save(answer, vectors)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
