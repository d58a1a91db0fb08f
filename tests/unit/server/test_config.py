"""The configuration: where values come from, which one wins, and that every mistake is told."""

from dataclasses import fields
from pathlib import Path

import pytest

from server.config import Config, class_weights, read_config
from server.errors import BadConfiguration


def a_file(folder: Path, text: str) -> Path:
    """A configuration file with this text."""
    path = folder / "g.toml"
    path.write_text(text)
    return path


def test_without_any_source_the_defaults_hold():
    assert read_config(None, {}, {}) == Config()


def test_flags_beat_the_environment_and_that_beats_the_file(tmp_path: Path):
    path = a_file(tmp_path, "port = 1\nhttp_port = 1\nworkers = 1\n")
    environment = {"GEARSHIFT_HTTP_PORT": "2", "GEARSHIFT_WORKERS": "2"}

    config = read_config(path, environment, {"workers": "3", "threads": None})

    assert (config.port, config.http_port, config.workers, config.threads) == (1, 2, 3, 0)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("slo_ms", "15.5", 15.5),
        ("slo_ms", "15", 15.0),
        ("families", "a, b,,", ("a", "b")),
        ("reject_non_finite", "FALSE", False),
        ("reject_non_finite", "1", True),
        ("log_level", "DEBUG", "DEBUG"),
        ("host", "::1", "::1"),
    ],
)
def test_texts_from_the_environment_become_values(key: str, text: str, value: object):
    config = read_config(None, {f"GEARSHIFT_{key.upper()}": text}, {})

    assert getattr(config, key) == value


def test_a_toml_list_is_a_list(tmp_path: Path):
    path = a_file(tmp_path, 'slo_classes = ["gold", "bulk"]')

    assert read_config(path, {}, {}).slo_classes == ("gold", "bulk")


def test_classes_have_weights_and_one_each_unless_told():
    assert class_weights(("gold=4", "bulk", " slow = 0.5")) == {
        "gold": 4.0,
        "bulk": 1.0,
        "slow": 0.5,
    }


@pytest.mark.parametrize("text", ["gold=0", "gold=-1", "gold=much", "gold=inf", "=2", ""])
def test_a_class_without_a_name_or_a_positive_weight_is_refused(tmp_path: Path, text: str):
    with pytest.raises(BadConfiguration, match="slo_classes"):
        read_config(a_file(tmp_path, f'slo_classes = ["{text}"]'), {}, {})


def test_other_variables_of_the_environment_are_not_ours():
    assert read_config(None, {"PORT": "9", "GEARSHIFT_OTHER": "x"}, {}) == Config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = -1", "port = -1: must be between 0 and 65535"),
        ("port = 65536", "port = 65536: must be between 0 and 65535"),
        ("port = 1.5", "port = 1.5: must be a whole number"),
        ("port = true", "port = True: must be a whole number"),
        ('port = "x"', "port = 'x': must be a whole number"),
        ("slo_ms = nan", "slo_ms = nan: must be finite"),
        ("slo_ms = inf", "slo_ms = inf: must be finite"),
        ("slo_ms = -1", "slo_ms = -1: must be between 0 and"),
        ("min_accuracy = 1.1", "min_accuracy = 1.1: must be between 0 and 1"),
        ("queue_capacity = 0", "queue_capacity = 0: must be between 1 and"),
        ("max_message_mib = 2048", "max_message_mib = 2048: must be between 1 and 2047"),
        ("host = 5", "host = 5: must be a text"),
        ("families = [1]", "families = [1]: must be a list of texts"),
        ("reject_non_finite = 3", "reject_non_finite = 3: must be true or false"),
        ('log_level = "LOUD"', "log_level = 'LOUD': must be one of DEBUG, INFO"),
        ('share_objective = "best"', "share_objective = 'best': must be one of mean, maxmin"),
        ("share_budget = 0", "share_budget = 0: must be between 1e-06 and"),
        ("share_x_vote = 11", "share_x_vote = 11: must be between 1 and 10"),
        ("share_tasks = 1", "share_tasks = 1: must be a list of texts"),
        ("slo_sm = 5", "unknown key 'slo_sm'; known: backends, drain_s, "),
        ("[server]\nport = 5", "unknown key 'server'"),
    ],
)
def test_a_mistake_names_file_key_and_value(tmp_path: Path, text: str, words: str):
    path = a_file(tmp_path, text)

    with pytest.raises(BadConfiguration) as refusal:
        read_config(path, {}, {})

    assert f"  - {path}: {words}" in str(refusal.value)


def test_mistakes_of_all_sources_are_told_together(tmp_path: Path):
    path = a_file(tmp_path, "port = -1\nwhat = 2")

    with pytest.raises(BadConfiguration) as refusal:
        read_config(path, {"GEARSHIFT_THREADS": "x"}, {"workers": "999"})

    lines = str(refusal.value).splitlines()
    assert len(lines) == 5
    assert [line.split(": ")[0].strip(" -") for line in lines[1:]] == [
        str(path),
        str(path),
        "environment",
        "command line",
    ]


@pytest.mark.parametrize("field", [f.name for f in fields(Config)])
def test_every_setting_can_come_from_the_environment(field: str):
    default = getattr(Config(), field)
    text = ",".join(default) if isinstance(default, tuple) else str(default)

    assert read_config(None, {f"GEARSHIFT_{field.upper()}": text}, {}) == Config()


def test_a_value_that_another_overrides_is_told_and_not_judged(tmp_path: Path):
    path = a_file(tmp_path, "workers = -1\nthreads = 2\n")
    told: list[str] = []

    config = read_config(
        path, {"GEARSHIFT_PORT": "many"}, {"workers": "3", "port": "5"}, told.append
    )

    assert (config.workers, config.threads, config.port) == (3, 2, 5)
    assert told == [
        f"{path}: workers = -1: must be between 0 and 64; it is overridden and not used",
        "environment: port = 'many': must be a whole number; it is overridden and not used",
    ]


def test_what_an_orchestrator_injects_is_told_in_one_line():
    told: list[str] = []
    environment = {
        "GEARSHIFT_PORT": "tcp://10.96.12.7:8001",
        "GEARSHIFT_SERVICE_HOST": "10.96.12.7",
        "GEARSHIFT_HTTP_PORT": "tcp://10.96.12.8:80",
        "GEARSHIFT_WORKERS": "2",
    }

    assert read_config(None, environment, {}, told.append) == Config(workers=2)
    assert len(told) == 1
    assert told[0].startswith("environment: passed over 3 variables")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path):
    path = tmp_path / "g.toml"
    path.write_bytes(b"\xef\xbb\xbfworkers = 2")

    assert read_config(path, {}, {}).workers == 2
