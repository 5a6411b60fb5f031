"""What each build does again, done once: half of the time of a small build.

Beam parses its flags for every look at an option, three hundred times a build, and inspects the
methods of each step eight times; steps are packed for a network that is not there; Punkt's
parameters are read twice. All that gives the same every time. Commands in processes of their own
do it all the same.
"""

import bz2
from argparse import Namespace
from copy import copy
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

from apache_beam.internal import cloudpickle_pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core, userstate

from ppt.text import sentences
from ppt.text.punkt import PunktParameters

OPTIONS, ARGUMENTS, STATES, PUNKT = {}, {}, {}, {}
ARGUMENTS_OF, STATES_OF = core.get_function_args_defaults, userstate.get_dofn_specs
PUNKT_OF = sentences._find_punkt


def view_as(self, cls, plain=PipelineOptions.view_as):
    """As Beam's, which parses these flags for this class again each time."""
    if self._flags is None:
        return plain(self, cls)
    key = cls, *self._flags
    if key not in OPTIONS:
        OPTIONS[key] = vars(cls(self._flags)._visible_options)
    own = {name: copy(value) for name, value in OPTIONS[key].items()}
    view = cls.__new__(cls)
    vars(view).update(
        _flags=self._flags, _visible_options=Namespace(**own), _all_options=self._all_options
    )
    for name, value in own.items():
        self._all_options.setdefault(name, value)
    return view


def arguments_of(function):
    """Names and defaults of the arguments; of a method those that its class gave it."""
    key = getattr(function, "__func__", None)
    if key is None:
        return ARGUMENTS_OF(function)
    if key not in ARGUMENTS:
        ARGUMENTS[key] = ARGUMENTS_OF(function)
    return tuple(map(list, ARGUMENTS[key]))


def states_of(step):
    """The state and timers that a step asks for; of a plain function its arguments tell."""
    if hasattr(step, "_inspect_process"):
        defaults = core.get_function_arguments(step, "process")[1]
        if any(isinstance(one, core._DoFnParam) for one in defaults):
            return STATES_OF(step)
    if type(step) not in STATES:
        STATES[type(step)] = STATES_OF(step)
    return STATES[type(step)]


def punkt_of(source):
    """Parameters of a language that is shipped, a copy of them for each who asks."""
    if source not in sentences.SHIPPED_LANGUAGES or Path(source).is_dir():
        return PUNKT_OF(source)
    if source not in PUNKT:
        PUNKT[source] = PUNKT_OF(source)
    return PunktParameters(**{name: copy(value) for name, value in vars(PUNKT[source]).items()})


PipelineOptions.view_as = view_as
core.get_function_args_defaults, userstate.get_dofn_specs = arguments_of, states_of
sentences._find_punkt = punkt_of
cloudpickle_pickler.bz2 = SimpleNamespace(
    compress=lru_cache(1024)(bz2.compress), decompress=lru_cache(1024)(bz2.decompress)
)
