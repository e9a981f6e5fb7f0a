"""Entries -> Rerun's viewer. The only module that knows it; ``rerun-sdk`` is an extra."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from training.view import drawing
from training.view.entries import Entry, EventText, Numbers, Picture, Plot, Position, State
from training.view.server import ViewerServer

APPLICATION = "substep"
TIME = "robot time"
QUALITY = 85  # of cameras as JPEG: a recording of raw images is ten times as large
NOTHING = "nothing"  # a state that is none: the library leaves out what is empty
LONG_AGO = 10**17  # ns: a larger stamp counts from 1970, a smaller one from a simulation's start
COLOURS = [(214, 39, 40), (44, 160, 44), (31, 119, 180), (255, 127, 14), (148, 103, 189), (140, 86, 75), (23, 190, 207)]
REQUIREMENT = "requirements/view.txt"


class MissingViewer(RuntimeError):
    """rerun-sdk is not installed; the message says what to do."""


class RerunRecording:
    """A recording that goes into a file, or to browsers of this machine. Used as a context manager.

    Args:
        out: the file; None: browsers are served.
        port: of the page that browsers open.

    Attributes:
        page: the address to open; None: a file is written.

    Raises:
        MissingViewer: rerun-sdk is not installed.
        OSError: the file cannot be written, or the port is taken.
    """

    def __init__(self, out: Path | None, port: int) -> None:
        self._sdk = _sdk()
        self._out = out
        self._server: ViewerServer | None = None
        if out is None:
            self._server = ViewerServer(port)
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            with out.open("ab"):  # the library would only log that it cannot
                pass
        self.page = self._server.page if self._server else None
        self._stream = self._sdk.RecordingStream(APPLICATION)

    def __enter__(self) -> RerunRecording:
        return self

    def __exit__(self, *given) -> None:
        self.close()

    def begin(self, name: str, cameras: Sequence[str], plots: Sequence[Plot]) -> None:
        """Once, before anything is shown. name: shown by the viewer."""
        layout = _layout(cameras, plots)
        self._stream.send_recording_name(name)
        if self._server is None:
            self._stream.save(self._out, default_blueprint=layout)
        else:
            self._stream.connect_grpc(self._server.data, default_blueprint=layout)
        for plot in plots:
            after = int(plot.path == drawing.EOS_THRESHOLD)  # it shares its view with another curve
            colours = [COLOURS[(place + after) % len(COLOURS)] for place in range(len(plot.curves))]
            self._stream.log(plot.path, self._sdk.SeriesLines(names=list(plot.curves), colors=colours), static=True)

    def show(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            told = {"timestamp": entry.stamp / 1e9} if entry.stamp > LONG_AGO else {"duration": entry.stamp / 1e9}
            self._stream.set_time(TIME, **told)
            self._stream.log(entry.path, self._archetype(entry.value))

    def close(self) -> None:
        """Everything is where it belongs, and nothing is served any more."""
        try:
            self._stream.flush()
            self._stream.disconnect()
        finally:
            if self._server is not None:
                self._server.close()

    def _archetype(self, value: Any) -> Any:
        sdk = self._sdk
        match value:
            case Picture(pixels):
                jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), QUALITY, "RGB", "420")
                return sdk.EncodedImage(contents=jpeg, media_type="image/jpeg")
            case Numbers(values):
                return sdk.Scalars(list(values))
            case Position(position):
                return sdk.Points3D([position], radii=0.006)
            case State(name):
                return sdk.StateChange(state=name or NOTHING)
            case EventText(text, level):
                return sdk.TextLog(text, level=level)
        raise TypeError(f"{type(value).__name__} is nothing that is shown")


def _sdk() -> Any:
    try:
        return importlib.import_module("rerun")
    except ModuleNotFoundError as error:
        raise MissingViewer(f"rerun-sdk is not installed: ./substep install -r {REQUIREMENT}") from error


def _layout(cameras: Sequence[str], plots: Sequence[Plot]) -> Any:
    """Left what is seen, right what is decided, below what happened."""
    layout = importlib.import_module("rerun.blueprint")
    seen = [layout.Spatial2DView(origin=f"{drawing.CAMERAS}/{name}", name=name.replace("_", " ")) for name in cameras]
    until_now = layout.VisibleTimeRange(
        TIME, start=layout.TimeRangeBoundary.infinite(), end=layout.TimeRangeBoundary.cursor_relative()
    )
    path = layout.Spatial3DView(origin=drawing.PLACES, name="end effector", time_ranges=until_now)
    of_actions = [_plot(layout, plot) for plot in plots if plot.path.startswith(f"{drawing.ACTIONS}/")]
    of_joints = [_plot(layout, plot) for plot in plots if plot.path.startswith(f"{drawing.JOINTS}/")]
    decided = [
        layout.StateTimelineView(origin="progress", name="substep"),
        layout.TimeSeriesView(origin="eos", name="EOS probability and its threshold", axis_y=_unit_axis(layout)),
        layout.TimeSeriesView(origin="completion", name="completion: similarity"),
        layout.Tabs(*of_actions, name="actions"),
        layout.Tabs(*of_joints, name="joints"),
    ]
    return layout.Blueprint(
        layout.Horizontal(
            layout.Vertical(layout.Horizontal(*seen), path, layout.TextLogView(origin="events", name="events")),
            layout.Vertical(*decided),
            column_shares=[2, 3],
        ),
        layout.TimePanel(timeline=TIME, state="collapsed"),
        collapse_panels=True,
    )


def _plot(layout: Any, plot: Plot) -> Any:
    name = plot.path.rsplit("/", 1)[-1].replace("_", " ")
    return layout.TimeSeriesView(origin=plot.path, name=f"{name} ({plot.unit})" if plot.unit else name)


def _unit_axis(layout: Any) -> Any:
    return layout.ScalarAxis(range=(0.0, 1.0))
