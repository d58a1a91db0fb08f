"""When a task's verdicts on frames become an event."""

from server.sharing.planner.voting import Begun, Ended, Vote, vote


def events_of(verdicts: str, x_vote: int) -> list[Begun | Ended]:
    """`+` and `-` on frames 10, 11, 12 ...; positives score 0.8."""
    state, events = Vote("a"), list[Begun | Ended]()
    for frame_id, verdict in enumerate(verdicts, start=10):
        state, event = vote(
            state, frame_id, 0.8 if verdict == "+" else 0.1, (verdict == "+", x_vote)
        )
        events += [event] if event else []
    return events


def test_an_event_begins_with_the_last_of_its_votes_and_ends_with_the_first_negative():
    begun, ended = events_of("-+++-", x_vote=2)

    assert begun == Begun("a", frame_id=12, first_frame=11, score=0.8)
    assert isinstance(ended, Ended)
    assert (ended.frame_id, ended.first_frame, ended.last_frame) == (14, 11, 13)
    assert abs(ended.score - 0.8) < 1e-12


def test_too_few_votes_in_a_row_are_no_event():
    assert events_of("++-++-+-", x_vote=3) == []


def test_one_vote_is_enough_where_one_is_asked_for():
    assert [type(event) for event in events_of("+-+-", x_vote=1)] == [Begun, Ended, Begun, Ended]


def test_an_event_is_reported_once_however_long_it_lasts():
    assert len(events_of("+" * 50, x_vote=4)) == 1
