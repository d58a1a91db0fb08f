from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AnalyseRequest(_message.Message):
    __slots__ = ("opening", "frame", "labels")
    OPENING_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    opening: Opening
    frame: StreamFrame
    labels: Labels
    def __init__(self, opening: _Optional[_Union[Opening, _Mapping]] = ..., frame: _Optional[_Union[StreamFrame, _Mapping]] = ..., labels: _Optional[_Union[Labels, _Mapping]] = ...) -> None: ...

class Opening(_message.Message):
    __slots__ = ("fps", "late", "max_in_flight")
    FPS_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    fps: float
    late: str
    max_in_flight: int
    def __init__(self, fps: _Optional[float] = ..., late: _Optional[str] = ..., max_in_flight: _Optional[int] = ...) -> None: ...

class StreamFrame(_message.Message):
    __slots__ = ("frame_id", "pixels", "shape", "datatype", "captured_unix_ms")
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    frame_id: int
    pixels: bytes
    shape: _containers.RepeatedScalarFieldContainer[int]
    datatype: str
    captured_unix_ms: float
    def __init__(self, frame_id: _Optional[int] = ..., pixels: _Optional[bytes] = ..., shape: _Optional[_Iterable[int]] = ..., datatype: _Optional[str] = ..., captured_unix_ms: _Optional[float] = ...) -> None: ...

class Labels(_message.Message):
    __slots__ = ("task", "windows")
    TASK_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    task: str
    windows: _containers.RepeatedCompositeFieldContainer[LabelledWindow]
    def __init__(self, task: _Optional[str] = ..., windows: _Optional[_Iterable[_Union[LabelledWindow, _Mapping]]] = ...) -> None: ...

class LabelledWindow(_message.Message):
    __slots__ = ("first_frame", "last_frame", "event")
    FIRST_FRAME_FIELD_NUMBER: _ClassVar[int]
    LAST_FRAME_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    first_frame: int
    last_frame: int
    event: bool
    def __init__(self, first_frame: _Optional[int] = ..., last_frame: _Optional[int] = ..., event: _Optional[bool] = ...) -> None: ...

class AnalyseResponse(_message.Message):
    __slots__ = ("frame", "plan", "refused")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    frame: FrameAnswer
    plan: TaskPlan
    refused: Refused
    def __init__(self, frame: _Optional[_Union[FrameAnswer, _Mapping]] = ..., plan: _Optional[_Union[TaskPlan, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ...) -> None: ...

class FrameAnswer(_message.Message):
    __slots__ = ("frame_id", "outcome", "reason", "results", "events")
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    frame_id: int
    outcome: str
    reason: str
    results: _containers.RepeatedCompositeFieldContainer[TaskResult]
    events: _containers.RepeatedCompositeFieldContainer[TaskEvent]
    def __init__(self, frame_id: _Optional[int] = ..., outcome: _Optional[str] = ..., reason: _Optional[str] = ..., results: _Optional[_Iterable[_Union[TaskResult, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[TaskEvent, _Mapping]]] = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("task", "frozen", "score", "positive", "error")
    TASK_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    task: str
    frozen: int
    score: float
    positive: bool
    error: str
    def __init__(self, task: _Optional[str] = ..., frozen: _Optional[int] = ..., score: _Optional[float] = ..., positive: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class TaskEvent(_message.Message):
    __slots__ = ("task", "what", "first_frame", "last_frame", "score")
    TASK_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_FIELD_NUMBER: _ClassVar[int]
    LAST_FRAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    task: str
    what: str
    first_frame: int
    last_frame: int
    score: float
    def __init__(self, task: _Optional[str] = ..., what: _Optional[str] = ..., first_frame: _Optional[int] = ..., last_frame: _Optional[int] = ..., score: _Optional[float] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("frame_id", "task", "code", "error")
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    frame_id: int
    task: str
    code: str
    error: str
    def __init__(self, frame_id: _Optional[int] = ..., task: _Optional[str] = ..., code: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class TaskPlan(_message.Message):
    __slots__ = ("choices", "stem", "cost", "objective", "reason")
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    STEM_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    choices: _containers.RepeatedCompositeFieldContainer[TaskChoice]
    stem: _containers.RepeatedCompositeFieldContainer[StemStep]
    cost: float
    objective: float
    reason: str
    def __init__(self, choices: _Optional[_Iterable[_Union[TaskChoice, _Mapping]]] = ..., stem: _Optional[_Iterable[_Union[StemStep, _Mapping]]] = ..., cost: _Optional[float] = ..., objective: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class TaskChoice(_message.Message):
    __slots__ = ("task", "frozen", "rate_fps", "x_vote", "f1", "recall", "precision", "reason", "cost")
    TASK_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    RATE_FPS_FIELD_NUMBER: _ClassVar[int]
    X_VOTE_FIELD_NUMBER: _ClassVar[int]
    F1_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    task: str
    frozen: int
    rate_fps: float
    x_vote: int
    f1: float
    recall: float
    precision: float
    reason: str
    cost: float
    def __init__(self, task: _Optional[str] = ..., frozen: _Optional[int] = ..., rate_fps: _Optional[float] = ..., x_vote: _Optional[int] = ..., f1: _Optional[float] = ..., recall: _Optional[float] = ..., precision: _Optional[float] = ..., reason: _Optional[str] = ..., cost: _Optional[float] = ...) -> None: ...

class StemStep(_message.Message):
    __slots__ = ("start", "end", "rate_fps", "cost")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    RATE_FPS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    rate_fps: float
    cost: float
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ..., rate_fps: _Optional[float] = ..., cost: _Optional[float] = ...) -> None: ...

class AddTaskRequest(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: str
    def __init__(self, task: _Optional[str] = ...) -> None: ...

class AddTaskResponse(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: TaskPlan
    def __init__(self, plan: _Optional[_Union[TaskPlan, _Mapping]] = ...) -> None: ...

class RemoveTaskRequest(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: str
    def __init__(self, task: _Optional[str] = ...) -> None: ...

class RemoveTaskResponse(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: TaskPlan
    def __init__(self, plan: _Optional[_Union[TaskPlan, _Mapping]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("package", "frame_shape", "stream_fps", "tasks")
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    FRAME_SHAPE_FIELD_NUMBER: _ClassVar[int]
    STREAM_FPS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    package: str
    frame_shape: _containers.RepeatedScalarFieldContainer[int]
    stream_fps: float
    tasks: _containers.RepeatedCompositeFieldContainer[TaskEntry]
    def __init__(self, package: _Optional[str] = ..., frame_shape: _Optional[_Iterable[int]] = ..., stream_fps: _Optional[float] = ..., tasks: _Optional[_Iterable[_Union[TaskEntry, _Mapping]]] = ...) -> None: ...

class TaskEntry(_message.Message):
    __slots__ = ("task", "meaning", "in_service", "in_package", "event_length_ms", "event_frequency", "correlation", "frozen")
    TASK_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    IN_SERVICE_FIELD_NUMBER: _ClassVar[int]
    IN_PACKAGE_FIELD_NUMBER: _ClassVar[int]
    EVENT_LENGTH_MS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FREQUENCY_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    task: str
    meaning: str
    in_service: bool
    in_package: bool
    event_length_ms: float
    event_frequency: float
    correlation: float
    frozen: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, task: _Optional[str] = ..., meaning: _Optional[str] = ..., in_service: _Optional[bool] = ..., in_package: _Optional[bool] = ..., event_length_ms: _Optional[float] = ..., event_frequency: _Optional[float] = ..., correlation: _Optional[float] = ..., frozen: _Optional[_Iterable[int]] = ...) -> None: ...

class GetTaskPlanRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTaskPlanResponse(_message.Message):
    __slots__ = ("package", "budget", "plan", "tasks", "streams", "waiting_frames", "outcomes", "dropped", "reuse", "busy", "replans")
    class OutcomesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ReplansEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FRAMES_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    REUSE_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    REPLANS_FIELD_NUMBER: _ClassVar[int]
    package: str
    budget: float
    plan: TaskPlan
    tasks: _containers.RepeatedCompositeFieldContainer[TaskStanding]
    streams: int
    waiting_frames: int
    outcomes: _containers.ScalarMap[str, int]
    dropped: _containers.ScalarMap[str, int]
    reuse: float
    busy: float
    replans: _containers.ScalarMap[str, int]
    def __init__(self, package: _Optional[str] = ..., budget: _Optional[float] = ..., plan: _Optional[_Union[TaskPlan, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[TaskStanding, _Mapping]]] = ..., streams: _Optional[int] = ..., waiting_frames: _Optional[int] = ..., outcomes: _Optional[_Mapping[str, int]] = ..., dropped: _Optional[_Mapping[str, int]] = ..., reuse: _Optional[float] = ..., busy: _Optional[float] = ..., replans: _Optional[_Mapping[str, int]] = ...) -> None: ...

class TaskStanding(_message.Message):
    __slots__ = ("task", "achieved_fps", "measured_f1", "measured_recall", "measured_precision", "labelled_windows")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ACHIEVED_FPS_FIELD_NUMBER: _ClassVar[int]
    MEASURED_F1_FIELD_NUMBER: _ClassVar[int]
    MEASURED_RECALL_FIELD_NUMBER: _ClassVar[int]
    MEASURED_PRECISION_FIELD_NUMBER: _ClassVar[int]
    LABELLED_WINDOWS_FIELD_NUMBER: _ClassVar[int]
    task: str
    achieved_fps: float
    measured_f1: float
    measured_recall: float
    measured_precision: float
    labelled_windows: int
    def __init__(self, task: _Optional[str] = ..., achieved_fps: _Optional[float] = ..., measured_f1: _Optional[float] = ..., measured_recall: _Optional[float] = ..., measured_precision: _Optional[float] = ..., labelled_windows: _Optional[int] = ...) -> None: ...

class SetTaskBudgetRequest(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: float
    def __init__(self, budget: _Optional[float] = ...) -> None: ...

class SetTaskBudgetResponse(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: TaskPlan
    def __init__(self, plan: _Optional[_Union[TaskPlan, _Mapping]] = ...) -> None: ...
