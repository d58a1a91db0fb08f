"""Sends scenes to a server's shared tasks as a camera would, tells their events, and feeds back what was really there.

python scripts/send_scenes.py [--url localhost:8001] [--repository DIR] [--package digits-tasks] [--duration-s 60]
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc

from gearshift.asking import why
from models.artifacts import ArtifactError, default_repository
from models.stems import load_package
from surroundings.addresses import target
from trainer.data import load
from trainer.errors import TrainError
from trainer.tasks.asked import Work, asked_before, checked
from trainer.tasks.footage import Footage, footage
from wire import tasks_pb2 as pb

SERVICE = "/gearshift.v1.Tasks/"


def main() -> int:
    """A line for every event that a task reports, right or wrong. Exit code 2, and why, where it cannot be."""
    options = _options()
    try:
        _send(options)
    except (ArtifactError, TrainError) as error:
        print(f"send_scenes: {error}", file=sys.stderr)
        return 2
    except grpc.RpcError as error:
        print(f"send_scenes: {why(error, options.url, SERVICE)}", file=sys.stderr)
        return 2
    return 0


def _send(options: argparse.Namespace) -> None:
    work, fps = _work(options)
    shown = footage(work.dataset.test, work.scenery, _windows(work, fps, options), options.seed)
    with grpc.insecure_channel(target(options.url)) as channel:
        analyse = channel.stream_stream(
            f"{SERVICE}Analyse",
            pb.AnalyseRequest.SerializeToString,
            pb.AnalyseResponse.FromString,
        )
        for answer in analyse(_messages(work, shown, fps)):
            if answer.WhichOneof("message") == "refused":
                print(f"refused: {answer.refused.error}")
            for event in answer.frame.events:
                if event.what == "begun":
                    print(_line(work, shown, fps, event), flush=True)


def _messages(work: Work, shown: Footage, fps: float) -> Iterator[pb.AnalyseRequest]:
    """Frames at their pace; behind every window, for each task, whether it was an event."""
    yield pb.AnalyseRequest(opening=pb.Opening(fps=fps))
    begun_s = time.monotonic()
    for number, frame in enumerate(shown.frames):
        time.sleep(max(0.0, begun_s + number / fps - time.monotonic()))
        yield pb.AnalyseRequest(frame=pb.StreamFrame(frame_id=number, pixels=frame.tobytes()))
        window, place = divmod(number, shown.window_frames)
        if window and place == shown.window_frames // 2:  # the window before is answered by now
            yield from _labels(work, shown, window - 1)


def _labels(work: Work, shown: Footage, window: int) -> Iterator[pb.AnalyseRequest]:
    first = window * shown.window_frames
    for task in work.tasks:
        what = pb.LabelledWindow(
            first_frame=first,
            last_frame=first + shown.window_frames - 1,
            event=bool(shown.events(task)[window]),
        )
        yield pb.AnalyseRequest(labels=pb.Labels(task=task.name, windows=[what]))


def _line(work: Work, shown: Footage, fps: float, event: pb.TaskEvent) -> str:
    window = event.last_frame // shown.window_frames
    real = {task.name: shown.events(task)[window] for task in work.tasks}.get(event.task)
    verdict = "" if real is None else "  right" if real else "  wrong"
    return f"{event.last_frame / fps:7.1f} s  {event.task:<12} score {event.score:.2f}{verdict}"


def _work(options: argparse.Namespace) -> tuple[Work, float]:
    """What the package's tasks were trained for, and frames a second of its streams."""
    package = load_package(options.repository / options.package, verify=False)
    asked = asked_before(package.tasks[0].origin)
    return checked(asked, load(options.data or asked.data)), package.stream_fps


def _windows(work: Work, fps: float, options: argparse.Namespace) -> int:
    return max(1, round(options.duration_s * fps / work.scenery.window_frames))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="localhost:8001")
    parser.add_argument("--repository", type=Path, default=default_repository())
    parser.add_argument("--package", default="digits-tasks")
    parser.add_argument("--data", default="", help="where the data are; default: as in training")
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
