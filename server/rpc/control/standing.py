"""Variants, candidates and recent requests -> GetFrontier's messages. It converts; what it is given, others keep."""

import time
from collections.abc import Iterable, Sequence

from models.catalog import Variant
from server.engine.served import ServedFamily
from server.metrics import Region
from server.policy.candidates import promotion
from server.policy.candidates.candidacy import Promoted
from server.policy.decision import ArmProfile
from server.rpc.control.explanation import latencies
from server.runtime.candidates.stages import NAMES, Candidate, reason_of
from wire import control_pb2 as pb


def frontier(served: ServedFamily) -> pb.GetFrontierResponse:
    """A GetFrontierResponse: the family's variants and its recent requests as they are now."""
    shares = served.metrics.shares()
    variants = [_standing(served, v, shares.get(v.name, 0.0)) for v in _all(served)]
    variants.sort(key=lambda one: (one.state != "serving", -one.accuracy))
    regions, window_s = served.metrics.regions()
    lately = [_region(one) for one in regions]
    return pb.GetFrontierResponse(variants=variants, regions=lately, window_s=window_s)


def standing(served: ServedFamily, name: str) -> pb.VariantStanding:
    """The VariantStanding of one; an empty one where it has gone meanwhile."""
    share = served.metrics.shares().get(name, 0.0)
    found = (v for v in _all(served) if v.name == name)
    return next((_standing(served, v, share) for v in found), pb.VariantStanding(name=name))


def _all(served: ServedFamily) -> list[Variant]:
    """All that is published, and what still serves of what was."""
    published = served.candidates.known.variants
    names = {v.name for v in published}
    return [*published, *(v for v in served.family.variants if v.name not in names)]


def _standing(served: ServedFamily, variant: Variant, share: float) -> pb.VariantStanding:
    entry, accuracy = served.candidates.stages.entries.get(variant.name), variant.accuracy
    message = pb.VariantStanding(
        name=variant.name,
        precision=variant.precision,
        sha256=variant.sha256,
        accuracy=accuracy.value,
        interval=accuracy.interval,
        n=accuracy.n,
        origin=variant.origin,
        candidate=variant.candidate,
        state="serving",
        share=share,
    )
    if entry is not None:
        _fill_life(message, entry)
    _fill_arm(message, _arms(served, variant.name))
    return message


def _fill_life(message: pb.VariantStanding, entry: Candidate) -> None:
    stage, now_s = entry.life.stage, time.monotonic()
    serves = isinstance(stage, Promoted)
    message.state = "serving" if serves else NAMES[type(stage)]
    message.reason = reason_of(stage)
    message.probation = serves and promotion.is_watched(stage, now_s)
    tally = promotion.tally_of(stage)
    message.compared, message.agreed = round(tally.rows), round(tally.agreed)
    message.least_agreement = tally.due / tally.rows if tally.rows else 0.0


def _arms(served: ServedFamily, variant: str) -> Sequence[ArmProfile]:
    serving = [arm for arm in served.dispatcher.arms if arm.arm.variant == variant]
    return serving or served.candidates.foreseen(variant)


def _fill_arm(message: pb.VariantStanding, arms: Iterable[ArmProfile]) -> None:
    best = min(arms, key=lambda arm: arm.mean_s[1], default=None)
    if best is not None:
        message.backend, message.device = best.arm.backend, best.arm.device
        message.latency.extend(latencies(best))


def _region(one: Region) -> pb.Region:
    return pb.Region(
        slo_ms=one.slo_ms,
        offered=one.offered,
        in_time=one.in_time,
        attainment=one.attainment,
        effective_accuracy=one.effective_accuracy,
    )
