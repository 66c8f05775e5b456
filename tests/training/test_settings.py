import math
from pathlib import Path

import pytest

from avel.errors import ModelError, SettingsError
from avel.models import registry
from avel.training.settings import (
    TrainingSettings,
    from_mapping,
    parse_flag,
    read_yaml,
    settings_for,
)


def test_flags_count_more_than_the_file_and_the_file_more_than_the_model(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("model: dmrn\nepochs: 7\nlearning_rate: 1e-4\noptions: {blocks: 2}\n")
    settings = settings_for(file=file, flags={"epochs": 9, "options": {"position": "early"}})
    assert (settings.model, settings.epochs, settings.learning_rate) == ("dmrn", 9, 1e-4)
    assert settings.options == {"blocks": 2, "position": "early"}
    assert settings.batch_size == TrainingSettings().batch_size
    assert settings_for("a", file=file).model == "a"


def test_every_model_has_settings_that_are_allowed() -> None:
    for name in registry.available_models():
        settings = settings_for(name).to_dict()
        for setting, value in registry.entry(name).training.items():
            assert settings[setting] == (list(value) if isinstance(value, tuple) else value)


def test_saved_settings_are_read_back(tmp_path: Path) -> None:
    settings = from_mapping({"model": "v", "options": {"lstm_dims": 4}, "decay_epochs": [1, 2], "seed": 3}, "flags")
    settings.save(tmp_path / "settings.yaml")
    assert from_mapping(read_yaml(tmp_path / "settings.yaml"), "file") == settings
    assert settings_for(file=tmp_path / "settings.yaml") == settings


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert read_yaml(tmp_path / "empty.yaml") == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": 1}, "flags: there is no setting 'lr'. Settings are model, options, task"),
        ({"epochs": 0}, "epochs: Input should be greater than or equal to 1, got 0"),
        ({"epochs": True}, "epochs: Input should be a valid integer, got True"),
        ({"task": "both"}, "task: Input should be 'supervised' or 'weak', got 'both'"),
        ({"learning_rate": math.nan}, "learning_rate: Input should be a finite number, got nan"),
        ({"options": {"a": [1]}}, "options.a: must be a number, true, false or a word, got [1]"),
        ({"device": "tpu"}, "device: String should match pattern"),
        ({"seed": -1, "epochs": 0}, "epochs: .*; seed: "),
    ],
)
def test_refuses_what_is_not_allowed(values: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("[", r"\[")):
        from_mapping(values, "flags")


def test_refuses_files_that_are_no_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="gone.yaml: cannot be read .No such file"):
        read_yaml(tmp_path / "gone.yaml")
    for content, message in (("- a\n", "must be settings as NAME: VALUE"), ("a: [", "it is not valid YAML")):
        (tmp_path / "bad.yaml").write_text(content)
        with pytest.raises(SettingsError, match=message):
            read_yaml(tmp_path / "bad.yaml")
    (tmp_path / "bad.yaml").write_text("model: [a]\n")
    with pytest.raises(SettingsError, match="bad.yaml and the flags: model must be a name"):
        settings_for(file=tmp_path / "bad.yaml")
    (tmp_path / "large.yaml").write_text("#" * (2 << 20))
    with pytest.raises(SettingsError, match="larger than 1048576 bytes"):
        read_yaml(tmp_path / "large.yaml")
    with pytest.raises(ModelError, match="Unknown model 'nothing'"):
        settings_for("nothing")


def test_no_code_runs_from_a_settings_file(tmp_path: Path) -> None:
    (tmp_path / "evil.yaml").write_text(f"model: !!python/object/apply:pathlib.Path.touch [{tmp_path / 'touched'}]\n")
    with pytest.raises(SettingsError, match="it is not valid YAML"):
        read_yaml(tmp_path / "evil.yaml")
    assert not (tmp_path / "touched").exists()


def test_flags_of_the_command_line() -> None:
    assert parse_flag("epochs=3") == ("epochs", 3)
    assert parse_flag("decay_epochs=[1, 2]") == ("decay_epochs", [1, 2])
    assert parse_flag("options.position=early") == ("options.position", "early")
    with pytest.raises(ValueError, match="given as NAME=VALUE, got 'epochs'"):
        parse_flag("epochs")
    with pytest.raises(ValueError, match="The value of the setting 'epochs' cannot be read"):
        parse_flag("epochs=[")


def test_differences_name_the_settings() -> None:
    other = TrainingSettings().with_changes(seed=1, epochs=5)
    assert other.differences(TrainingSettings(), ignore=("epochs",)) == ["seed is 1, not 0"]
