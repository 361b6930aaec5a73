"""Ray Serve: the server of `hamner serve` as replicas for many users, one on each fraction of a card.

    serve run ray_configs.serve_app:application run=friend replicas=4 gpus=0.25

Data in: words key=value, those of Words; the token in HAMNER_TOKEN. Data out: an application of Ray Serve. Every
replica holds the model, and a conversation lies in the browser, so any of them may answer. The run is looked up where
the command runs; the replicas read the same folder.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from ray import serve

from hamner.inference.find_model import model_folder
from hamner.runs.folders import results_folder

if TYPE_CHECKING:
    from fastapi import FastAPI

PAGES = 16  # requests of a replica beside those for replies: of the page, of the list of models


class Words(BaseModel, extra="forbid"):
    """What may be given to the application."""

    run: str | None = None  # a run, fine-tuned or not, or a folder with a model; None: the newest run
    results: str | None = None  # the results folder; None: $HAMNER_RESULTS or results/
    replicas: int = Field(default=1, ge=1)
    gpus: float = Field(default=0, ge=0)  # of each replica; 0.25: four share a card
    cpus: float = Field(default=1, gt=0)  # of each replica
    streams: int = Field(default=64, ge=1)  # replies that a replica writes at a time
    queue: int = Field(default=64, ge=0)  # requests that may wait for them


def application(words: Words) -> serve.Application:
    """The application. Raises BadInput where there is no model."""
    folder = model_folder(words.run, results_folder(words.results)).resolve()
    token = os.environ.get("HAMNER_TOKEN") or None

    def build() -> FastAPI:
        from hamner.inference.server_app import build_app
        from hamner.inference.server_model import open_served

        return build_app(open_served(folder), token=token, places=words.streams, queue=words.queue)

    deployment = serve.deployment(
        serve.ingress(build)(),
        name="hamner",
        num_replicas=words.replicas,
        max_ongoing_requests=words.streams + words.queue + PAGES,
        ray_actor_options={"num_cpus": words.cpus, "num_gpus": words.gpus},
    )
    return deployment.bind()
