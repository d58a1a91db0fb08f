from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetDecisionsRequest(_message.Message):
    __slots__ = ("family", "count")
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    family: str
    count: int
    def __init__(self, family: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class GetDecisionsResponse(_message.Message):
    __slots__ = ("decisions",)
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    def __init__(self, decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("seconds_ago", "action", "reason", "variant", "backend", "rows", "expected_ms", "wait_ms", "members", "dropped", "queue_length", "forecast_rps", "took_us", "terms", "candidates")
    SECONDS_AGO_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_MS_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    QUEUE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    FORECAST_RPS_FIELD_NUMBER: _ClassVar[int]
    TOOK_US_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    seconds_ago: float
    action: str
    reason: str
    variant: str
    backend: str
    rows: int
    expected_ms: float
    wait_ms: float
    members: _containers.RepeatedCompositeFieldContainer[Request]
    dropped: _containers.RepeatedCompositeFieldContainer[Dropped]
    queue_length: int
    forecast_rps: float
    took_us: float
    terms: Terms
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    def __init__(self, seconds_ago: _Optional[float] = ..., action: _Optional[str] = ..., reason: _Optional[str] = ..., variant: _Optional[str] = ..., backend: _Optional[str] = ..., rows: _Optional[int] = ..., expected_ms: _Optional[float] = ..., wait_ms: _Optional[float] = ..., members: _Optional[_Iterable[_Union[Request, _Mapping]]] = ..., dropped: _Optional[_Iterable[_Union[Dropped, _Mapping]]] = ..., queue_length: _Optional[int] = ..., forecast_rps: _Optional[float] = ..., took_us: _Optional[float] = ..., terms: _Optional[_Union[Terms, _Mapping]] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("id", "rows", "waited_ms", "left_ms", "min_accuracy", "variant", "slo_class")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    WAITED_MS_FIELD_NUMBER: _ClassVar[int]
    LEFT_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SLO_CLASS_FIELD_NUMBER: _ClassVar[int]
    id: int
    rows: int
    waited_ms: float
    left_ms: float
    min_accuracy: float
    variant: str
    slo_class: str
    def __init__(self, id: _Optional[int] = ..., rows: _Optional[int] = ..., waited_ms: _Optional[float] = ..., left_ms: _Optional[float] = ..., min_accuracy: _Optional[float] = ..., variant: _Optional[str] = ..., slo_class: _Optional[str] = ...) -> None: ...

class Dropped(_message.Message):
    __slots__ = ("request", "reason")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request: Request
    reason: str
    def __init__(self, request: _Optional[_Union[Request, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class Terms(_message.Message):
    __slots__ = ("waiting_rows", "rate_rps", "affordable_ms", "price_per_s", "stay")
    WAITING_ROWS_FIELD_NUMBER: _ClassVar[int]
    RATE_RPS_FIELD_NUMBER: _ClassVar[int]
    AFFORDABLE_MS_FIELD_NUMBER: _ClassVar[int]
    PRICE_PER_S_FIELD_NUMBER: _ClassVar[int]
    STAY_FIELD_NUMBER: _ClassVar[int]
    waiting_rows: int
    rate_rps: float
    affordable_ms: float
    price_per_s: float
    stay: float
    def __init__(self, waiting_rows: _Optional[int] = ..., rate_rps: _Optional[float] = ..., affordable_ms: _Optional[float] = ..., price_per_s: _Optional[float] = ..., stay: _Optional[float] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("variant", "rows", "worth", "latency_ms", "in_time")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    WORTH_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    IN_TIME_FIELD_NUMBER: _ClassVar[int]
    variant: str
    rows: int
    worth: float
    latency_ms: float
    in_time: bool
    def __init__(self, variant: _Optional[str] = ..., rows: _Optional[int] = ..., worth: _Optional[float] = ..., latency_ms: _Optional[float] = ..., in_time: _Optional[bool] = ...) -> None: ...

class GetPlanRequest(_message.Message):
    __slots__ = ("family",)
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    family: str
    def __init__(self, family: _Optional[str] = ...) -> None: ...

class GetPlanResponse(_message.Message):
    __slots__ = ("plans",)
    PLANS_FIELD_NUMBER: _ClassVar[int]
    plans: _containers.RepeatedCompositeFieldContainer[Plan]
    def __init__(self, plans: _Optional[_Iterable[_Union[Plan, _Mapping]]] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("family", "policy", "arms", "load", "recent", "outcomes", "slo_ms", "min_accuracy", "out_of_use", "promises")
    class OutcomesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ARMS_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    RECENT_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    SLO_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_USE_FIELD_NUMBER: _ClassVar[int]
    PROMISES_FIELD_NUMBER: _ClassVar[int]
    family: str
    policy: str
    arms: _containers.RepeatedCompositeFieldContainer[ArmPlan]
    load: Load
    recent: Results
    outcomes: _containers.ScalarMap[str, int]
    slo_ms: float
    min_accuracy: float
    out_of_use: _containers.RepeatedCompositeFieldContainer[OutOfUse]
    promises: _containers.RepeatedCompositeFieldContainer[Promise]
    def __init__(self, family: _Optional[str] = ..., policy: _Optional[str] = ..., arms: _Optional[_Iterable[_Union[ArmPlan, _Mapping]]] = ..., load: _Optional[_Union[Load, _Mapping]] = ..., recent: _Optional[_Union[Results, _Mapping]] = ..., outcomes: _Optional[_Mapping[str, int]] = ..., slo_ms: _Optional[float] = ..., min_accuracy: _Optional[float] = ..., out_of_use: _Optional[_Iterable[_Union[OutOfUse, _Mapping]]] = ..., promises: _Optional[_Iterable[_Union[Promise, _Mapping]]] = ...) -> None: ...

class Promise(_message.Message):
    __slots__ = ("slo_class", "percentile", "attainment", "caution")
    SLO_CLASS_FIELD_NUMBER: _ClassVar[int]
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    ATTAINMENT_FIELD_NUMBER: _ClassVar[int]
    CAUTION_FIELD_NUMBER: _ClassVar[int]
    slo_class: str
    percentile: float
    attainment: float
    caution: float
    def __init__(self, slo_class: _Optional[str] = ..., percentile: _Optional[float] = ..., attainment: _Optional[float] = ..., caution: _Optional[float] = ...) -> None: ...

class OutOfUse(_message.Message):
    __slots__ = ("variant", "backend", "device", "reason", "retry_ms")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_MS_FIELD_NUMBER: _ClassVar[int]
    variant: str
    backend: str
    device: str
    reason: str
    retry_ms: float
    def __init__(self, variant: _Optional[str] = ..., backend: _Optional[str] = ..., device: _Optional[str] = ..., reason: _Optional[str] = ..., retry_ms: _Optional[float] = ...) -> None: ...

class ArmPlan(_message.Message):
    __slots__ = ("variant", "backend", "device", "accuracy", "speed_scale", "latency")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    SPEED_SCALE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    variant: str
    backend: str
    device: str
    accuracy: float
    speed_scale: float
    latency: _containers.RepeatedCompositeFieldContainer[BatchLatency]
    def __init__(self, variant: _Optional[str] = ..., backend: _Optional[str] = ..., device: _Optional[str] = ..., accuracy: _Optional[float] = ..., speed_scale: _Optional[float] = ..., latency: _Optional[_Iterable[_Union[BatchLatency, _Mapping]]] = ...) -> None: ...

class BatchLatency(_message.Message):
    __slots__ = ("rows", "mean_ms", "upper_ms")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    MEAN_MS_FIELD_NUMBER: _ClassVar[int]
    UPPER_MS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    mean_ms: float
    upper_ms: float
    def __init__(self, rows: _Optional[int] = ..., mean_ms: _Optional[float] = ..., upper_ms: _Optional[float] = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("workers", "running", "queue_length", "queue_rows", "queue_capacity_rows", "forecast_rps", "arrived_rows")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    QUEUE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    QUEUE_ROWS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_CAPACITY_ROWS_FIELD_NUMBER: _ClassVar[int]
    FORECAST_RPS_FIELD_NUMBER: _ClassVar[int]
    ARRIVED_ROWS_FIELD_NUMBER: _ClassVar[int]
    workers: int
    running: int
    queue_length: int
    queue_rows: int
    queue_capacity_rows: int
    forecast_rps: float
    arrived_rows: int
    def __init__(self, workers: _Optional[int] = ..., running: _Optional[int] = ..., queue_length: _Optional[int] = ..., queue_rows: _Optional[int] = ..., queue_capacity_rows: _Optional[int] = ..., forecast_rps: _Optional[float] = ..., arrived_rows: _Optional[int] = ...) -> None: ...

class Results(_message.Message):
    __slots__ = ("window_s", "offered", "in_time", "attainment", "effective_accuracy")
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    IN_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTAINMENT_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    window_s: float
    offered: int
    in_time: int
    attainment: float
    effective_accuracy: float
    def __init__(self, window_s: _Optional[float] = ..., offered: _Optional[int] = ..., in_time: _Optional[int] = ..., attainment: _Optional[float] = ..., effective_accuracy: _Optional[float] = ...) -> None: ...

class GetFrontierRequest(_message.Message):
    __slots__ = ("family",)
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    family: str
    def __init__(self, family: _Optional[str] = ...) -> None: ...

class GetFrontierResponse(_message.Message):
    __slots__ = ("variants", "regions", "window_s")
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    variants: _containers.RepeatedCompositeFieldContainer[VariantStanding]
    regions: _containers.RepeatedCompositeFieldContainer[Region]
    window_s: float
    def __init__(self, variants: _Optional[_Iterable[_Union[VariantStanding, _Mapping]]] = ..., regions: _Optional[_Iterable[_Union[Region, _Mapping]]] = ..., window_s: _Optional[float] = ...) -> None: ...

class VariantStanding(_message.Message):
    __slots__ = ("name", "precision", "sha256", "accuracy", "interval", "n", "origin", "candidate", "state", "reason", "compared", "agreed", "least_agreement", "probation", "backend", "device", "latency", "share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    AGREED_FIELD_NUMBER: _ClassVar[int]
    LEAST_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    PROBATION_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    precision: str
    sha256: str
    accuracy: float
    interval: float
    n: int
    origin: str
    candidate: bool
    state: str
    reason: str
    compared: int
    agreed: int
    least_agreement: float
    probation: bool
    backend: str
    device: str
    latency: _containers.RepeatedCompositeFieldContainer[BatchLatency]
    share: float
    def __init__(self, name: _Optional[str] = ..., precision: _Optional[str] = ..., sha256: _Optional[str] = ..., accuracy: _Optional[float] = ..., interval: _Optional[float] = ..., n: _Optional[int] = ..., origin: _Optional[str] = ..., candidate: _Optional[bool] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., compared: _Optional[int] = ..., agreed: _Optional[int] = ..., least_agreement: _Optional[float] = ..., probation: _Optional[bool] = ..., backend: _Optional[str] = ..., device: _Optional[str] = ..., latency: _Optional[_Iterable[_Union[BatchLatency, _Mapping]]] = ..., share: _Optional[float] = ...) -> None: ...

class Region(_message.Message):
    __slots__ = ("slo_ms", "offered", "in_time", "attainment", "effective_accuracy")
    SLO_MS_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    IN_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTAINMENT_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    slo_ms: float
    offered: int
    in_time: int
    attainment: float
    effective_accuracy: float
    def __init__(self, slo_ms: _Optional[float] = ..., offered: _Optional[int] = ..., in_time: _Optional[int] = ..., attainment: _Optional[float] = ..., effective_accuracy: _Optional[float] = ...) -> None: ...

class PromoteRequest(_message.Message):
    __slots__ = ("family", "variant")
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    family: str
    variant: str
    def __init__(self, family: _Optional[str] = ..., variant: _Optional[str] = ...) -> None: ...

class PromoteResponse(_message.Message):
    __slots__ = ("variant",)
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    variant: VariantStanding
    def __init__(self, variant: _Optional[_Union[VariantStanding, _Mapping]] = ...) -> None: ...

class RollBackRequest(_message.Message):
    __slots__ = ("family", "variant", "reason")
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    family: str
    variant: str
    reason: str
    def __init__(self, family: _Optional[str] = ..., variant: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RollBackResponse(_message.Message):
    __slots__ = ("variant",)
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    variant: VariantStanding
    def __init__(self, variant: _Optional[_Union[VariantStanding, _Mapping]] = ...) -> None: ...
