"""What holds for every test: interrupts are heard, also where a suite in a shell's background would ignore them.

And which tests `make nightly` runs besides those that are marked: `make test` takes less than ten minutes on two cores.
"""

import signal

import pytest
from hypothesis import settings

import surroundings  # noqa: F401 - before any library that it keeps quiet

settings.register_profile("unhurried", deadline=None)  # other work on the machine fails no test
settings.load_profile("unhurried")

NIGHTLY = (
    # Whole training runs; what they go through is tested step by step as well.
    "test_closed_loop.py::test_a_candidate_that_is_worse_everywhere",
    "test_closed_loop.py::test_a_sidecar_that_is_told_to_end",
    "test_quiet.py::test_a_command_speaks_to_nobody_and_writes_only_where_it_was_told[train",
    "test_train_command.py::test_the_same_run_again",
    "test_train_command.py::test_the_next_network_can_be_planned",
    "test_training_killed.py::test_a_run_killed_again_and_again_comes_to_the_same_outcome[stale",
    "test_training_killed.py::test_a_run_killed_again_and_again_comes_to_the_same_outcome[uniform",
    # Further cases of what `make test` has one or two of.
    "test_agreement.py::test_the_simulator_foretells_the_live_server[quiet]",
    "test_agreement.py::test_the_simulator_foretells_the_live_server[busy]",
    "test_candidates.py::test_a_candidate_in_trouble_on_live_rows_is_rejected_and_holds_up_nobody[hang",
    "test_candidates.py::test_a_promoted_candidate_that_falls_short_is_rolled_back_and_costs_no_request[slow",
    "test_candidates.py::test_a_restart_remembers",
    "test_interrupted_packages.py::test_a_kill_at_any_step_leaves_the_old_package_or_the_new[publish-cb]",
    "test_interrupted_packages.py::test_a_kill_at_any_step_leaves_the_old_package_or_the_new[add-acb]",
    "test_interrupted_packages.py::test_a_kill_at_any_step_leaves_the_old_package_or_the_new[beside-acb]",
    "test_interrupted_packages.py::test_a_kill_at_any_step_leaves_the_old_package_or_the_new[instead-cb]",
    "test_lasting.py::test_ten_minutes_of_surges",
    "test_lasting.py::test_ten_minutes_with_stalls_cost_no_more_than_the_stalls[1.5",
    "test_odd_starts.py::test_paths_and_locales_need_not_be_utf8[locale1]",
    "test_odd_starts.py::test_paths_and_locales_need_not_be_utf8[locale2]",
    "test_candidates.py::test_a_candidate_that_is_withdrawn",
    "test_candidates.py::test_a_damaged_artefact_leaves_the_server_as_it_is",
    "test_neighbours.py::test_a_neighbour_is_served_while_another_client_misbehaves[unread_by_many]",  # beyond limits
    "test_odd_starts.py::test_a_runtime_that_cannot_be_imported_is_left_out_with_one_line[onnxruntime-exit",
    "test_odd_starts.py::test_a_runtime_that_cannot_be_imported_is_left_out_with_one_line[onnxruntime-nothing",
    "test_odd_starts.py::test_a_runtime_that_cannot_be_imported_is_left_out_with_one_line[onnxruntime-two",
    "test_quiet.py::test_a_command_speaks_to_nobody_and_writes_only_where_it_was_told[train-tasks",
    "test_sentences.py::test_a_build_that_is_killed",
    "test_slowdowns.py::test_a_slow_down_costs_next_to_no_deadlines[(4, 0.5",
    "test_slowdowns.py::test_a_slow_down_costs_next_to_no_deadlines[(4, 1.5",
    "test_strange_models.py::test_every_family_of_the_zoo_answers_as_a_plain_session_or_is_not_ready_with_a_reason[openvino]",
    "test_train_command.py::test_what_could_not_be_published_is_refused_before_anything_is_trained[flags1",
    "test_train_command.py::test_what_could_not_be_published_is_refused_before_anything_is_trained[flags3",
    "test_train_command.py::test_what_could_not_be_published_is_refused_before_anything_is_trained[flags4",
    "test_train_command.py::test_what_could_not_be_published_is_refused_before_anything_is_trained[flags5",
)
"""How the names of these tests begin."""


def pytest_configure() -> None:
    """Ignored signals stay ignored in every process that a test starts; handled ones do not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before those that are marked are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them."""
    for item in items:
        if f"{item.path.name}::{item.name}".startswith(NIGHTLY):
            item.add_marker(pytest.mark.nightly)
