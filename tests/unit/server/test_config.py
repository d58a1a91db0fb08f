"""The configuration: where values come from, which one wins, and that every mistake is told."""

import json
from pathlib import Path

import pytest

from server.config import KEYS, Config, Key, MachineSection, class_weights, read_config
from server.errors import BadConfiguration


def a_file(folder: Path, text: str) -> Path:
    """A configuration file with this text."""
    path = folder / "g.toml"
    path.write_text(text)
    return path


def value_of(config: Config, key: Key) -> object:
    """What the configuration says of this key."""
    return getattr(getattr(config, key.section), key.name)


def test_without_any_source_the_defaults_hold():
    assert read_config(None, {}, {}) == Config()


def test_flags_beat_the_environment_and_that_beats_the_file(tmp_path: Path):
    path = a_file(tmp_path, "[server]\nport = 1\nhttp_port = 1\n[machine]\nworkers = 1\n")
    environment = {"GEARSHIFT__SERVER__HTTP_PORT": "2", "GEARSHIFT__MACHINE__WORKERS": "2"}

    config = read_config(path, environment, {"workers": "3", "threads": None})

    server, machine = config.server, config.machine
    assert (server.port, server.http_port, machine.workers, machine.threads) == (1, 2, 3, 0)


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
    (found,) = [one for one in KEYS if one.flat == key]

    for variable in (found.variable, found.flat_variable):
        assert value_of(read_config(None, {variable: text}, {}), found) == value


def test_a_toml_list_is_a_list(tmp_path: Path):
    path = a_file(tmp_path, 'slo.classes = ["gold", "bulk"]')

    assert read_config(path, {}, {}).slo.classes == ("gold", "bulk")


def test_classes_have_weights_and_one_each_unless_told():
    assert class_weights(("gold=4", "bulk", " slow = 0.5")) == {
        "gold": 4.0,
        "bulk": 1.0,
        "slow": 0.5,
    }


@pytest.mark.parametrize("text", ["gold=0", "gold=-1", "gold=much", "gold=inf", "=2", ""])
def test_a_class_without_a_name_or_a_positive_weight_is_refused(tmp_path: Path, text: str):
    with pytest.raises(BadConfiguration, match=r"slo\.classes"):
        read_config(a_file(tmp_path, f'slo.classes = ["{text}"]'), {}, {})


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
        (f"slo_ms = 1{'0' * 400}", f"slo_ms = 1{'0' * 400}: must be finite"),
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
        ("slo_sm = 5", "unknown key 'slo_sm'; did you mean slo.latency_ms? sections: server, mo"),
        ("xyzzy = 5", "unknown key 'xyzzy'; sections: server, models, "),
        ("server.port = -1", "server.port = -1: must be between 0 and 65535"),
        ("slo.latency_ms = inf", "slo.latency_ms = inf: must be finite"),
        (
            "server.prot = 1",
            "unknown key 'server.prot'; did you mean server.port? known in [server]: ho",
        ),
        (
            "server.slo_ms = 1",
            "unknown key 'server.slo_ms'; did you mean slo.latency_ms? known in [server]: ",
        ),
        ("server.xyzzy = 1", "unknown key 'server.xyzzy'; known in [server]: host, "),
        (
            "[servre]\nport = 5",
            "unknown section [servre]; did you mean [server]? known: server, models, ",
        ),
        ("[xyzzy]", "unknown section [xyzzy]; known: server, models, "),
        ("server = 5", "server = 5: must be a section: [server]"),
        ("[[server]]\nport = 5", "server = [{'port': 5}]: must be a section: [server]"),
        ("[workers]", "workers = {}: must be a whole number"),
        (
            "slo_ms = 1\nslo.latency_ms = 2",
            "slo_ms = 1 and slo.latency_ms = 2 are one key with two values",
        ),
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
        read_config(path, {"GEARSHIFT__MACHINE__THREADS": "x"}, {"workers": "999"})

    lines = str(refusal.value).splitlines()
    assert len(lines) == 5
    assert [line.split(": ")[0].strip(" -") for line in lines[1:]] == [
        str(path),
        str(path),
        "environment",
        "command line",
    ]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.dotted)
def test_every_setting_can_come_from_the_environment(key: Key):
    default = value_of(Config(), key)
    text = ",".join(default) if isinstance(default, tuple) else str(default)
    told: list[str] = []

    assert read_config(None, {key.variable: text}, {}, told.append) == Config()
    assert told == []
    assert read_config(None, {key.flat_variable: text}, {}, told.append) == Config()
    assert told == [f"environment: {key.flat_variable} is an old name; write {key.variable}"]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.dotted)
def test_an_old_name_in_a_file_works_and_is_told_with_the_new_one(tmp_path: Path, key: Key):
    default = json.dumps(value_of(Config(), key))
    path = a_file(tmp_path, f"{key.flat} = {default}\n")
    told: list[str] = []

    assert read_config(path, {}, {}, told.append) == Config()
    assert told == [f"{path}: {key.flat} is an old name; write {key.name} in [{key.section}]"]


def test_every_key_has_one_line_and_a_name_of_its_own():
    assert [key.dotted for key in KEYS if not key.about.text or "\n" in key.about.text] == []
    for names in ([key.dotted for key in KEYS], [key.flat for key in KEYS]):
        assert len({*names}) == len(names)


def test_a_key_by_both_its_names_needs_one_value(tmp_path: Path):
    path = a_file(tmp_path, "slo_ms = 15\n[slo]\nlatency_ms = 15.0\n")
    twice = {"GEARSHIFT_PORT": "1", "GEARSHIFT__SERVER__PORT": "2"}
    told: list[str] = []

    assert read_config(path, {}, {}).slo.latency_ms == 15.0
    with pytest.raises(BadConfiguration, match="environment: GEARSHIFT_PORT = '1' and GEARSHIFT__"):
        read_config(path, twice, {})
    assert read_config(path, twice, {"port": "3"}, told.append).server.port == 3
    assert told[-1].endswith("keep one of them; it is overridden and not used")


def test_an_old_name_in_a_later_source_beats_a_new_one_in_an_earlier(tmp_path: Path):
    path = a_file(tmp_path, "[server]\nport = 1\n")

    assert read_config(path, {"GEARSHIFT_PORT": "2"}, {}).server.port == 2


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GEARSHIFT_WORKRES", "GEARSHIFT__MACHINE__WORKERS"),
        ("GEARSHIFT__MACHINE__WORKRES", "GEARSHIFT__MACHINE__WORKERS"),
        ("GEARSHIFT_SERVER_PORT", "GEARSHIFT__SERVER__PORT"),
        ("GEARSHIFT__server__port", "GEARSHIFT__SERVER__PORT"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_nearest_new_name(name: str, meant: str):
    told: list[str] = []

    assert read_config(None, {name: "1"}, {}, told.append) == Config()
    assert told == [
        f"environment: {name} is no key of ours and does nothing; did you mean {meant}?"
    ]


def test_a_value_that_another_overrides_is_told_and_not_judged(tmp_path: Path):
    path = a_file(tmp_path, "workers = -1\nthreads = 2\n")
    told: list[str] = []

    config = read_config(
        path, {"GEARSHIFT_PORT": "many"}, {"workers": "3", "port": "5"}, told.append
    )

    assert (config.machine.workers, config.machine.threads, config.server.port) == (3, 2, 5)
    assert [line for line in told if "old name" not in line] == [
        f"{path}: workers = -1: must be between 0 and 64; it is overridden and not used",
        "environment: GEARSHIFT_PORT = 'many': must be a whole number; it is overridden and not used",
    ]


def test_what_an_orchestrator_injects_is_told_in_one_line():
    told: list[str] = []
    environment = {
        "GEARSHIFT_PORT": "tcp://10.96.12.7:8001",
        "GEARSHIFT_SERVICE_HOST": "10.96.12.7",
        "GEARSHIFT__SERVER__HTTP_PORT": "tcp://10.96.12.8:80",
        "GEARSHIFT__MACHINE__WORKERS": "2",
    }

    found = read_config(None, environment, {}, told.append)
    assert found == Config(machine=MachineSection(workers=2))
    assert len(told) == 1
    assert told[0].startswith("environment: passed over 3 variables")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path):
    path = tmp_path / "g.toml"
    path.write_bytes(b"\xef\xbb\xbfworkers = 2")

    assert read_config(path, {}, {}).machine.workers == 2
