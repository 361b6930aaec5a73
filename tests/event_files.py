"""What TensorBoard itself reads from event files, for tests."""

from itertools import pairwise

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.list_session_groups import Handler
from tensorboard.util.tensor_util import make_ndarray


class Events:
    """All runs below a folder, as TensorBoard's server sees them."""

    def __init__(self, folder):
        self._events = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
        self._provider = MultiplexerDataProvider(self._events, str(folder))

    def runs(self):
        return sorted(self._events.Runs())

    def tags(self, run="."):
        """Of scalars, texts and pictures."""
        return sorted(self._events.Runs()[run]["tensors"])

    def steps(self, tag, run="."):
        return [event.step for event in self._events.Tensors(run, tag)]

    def points(self, tag, run="."):
        """(step, value) of each point of a scalar."""
        return [(event.step, make_ndarray(event.tensor_proto).item()) for event in self._events.Tensors(run, tag)]

    def descriptions(self, run="."):
        """Tag of a scalar -> what TensorBoard says of it."""
        series = self._provider.list_scalars(RequestContext(), experiment_id="", plugin_name="scalars")[run]
        return {tag: facts.description for tag, facts in series.items()}

    def session_groups(self):
        """The rows of the page HPARAMS: name -> (hyperparameters, metrics, names of its runs)."""
        context = Context(TBContext(data_provider=self._provider))
        request = api_pb2.ListSessionGroupsRequest(
            start_index=0, slice_size=1000, allowed_statuses=api_pb2.Status.values()
        )
        groups = Handler(RequestContext(), context, "", request).run().session_groups
        return {
            group.name: (
                {key: getattr(value, value.WhichOneof("kind")) for key, value in group.hparams.items()},
                {value.name.tag: value.value for value in group.metric_values},
                [session.name for session in group.sessions],
            )
            for group in groups
        }


def rises(steps):
    """Whether no step comes twice and none goes back."""
    return all(before < after for before, after in pairwise(steps))
