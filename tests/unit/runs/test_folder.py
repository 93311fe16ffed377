import pytest

from vireid.core.errors import UserError
from vireid.runs.folder import RunFolder


def begun(root):
    folder = RunFolder(root)
    folder.prepare("old", resume=False, differences=lambda old: [])
    (folder.checkpoints / "epoch_0001").mkdir(parents=True)
    return folder


def test_a_new_run_is_not_written_over_an_old_one(tmp_path):
    folder = begun(tmp_path)
    with pytest.raises(UserError) as error:
        folder.prepare("new", resume=False, differences=lambda old: [])
    assert str(error.value) == (
        f"OUTPUT_DIR {tmp_path} already holds a run; add --resume to continue it, --eval-only to evaluate it, "
        "or choose another OUTPUT_DIR"
    )
    assert folder.config.read_text() == "old"


def test_resuming_with_another_config_names_what_changed(tmp_path):
    folder = begun(tmp_path)
    with pytest.raises(UserError) as error:
        folder.prepare("new", resume=True, differences=lambda old: [f"SEED was 0, is 1 ({old})"])
    assert "cannot be resumed:\n    SEED was 0, is 1 (old)\n" in str(error.value)
    folder.prepare("new", resume=True, differences=lambda old: [])
    assert folder.config.read_text() == "new"


def test_resume_where_nothing_was_begun_starts(tmp_path):
    RunFolder(tmp_path / "run").prepare("text", resume=True, differences=lambda old: ["never asked"])
    assert (tmp_path / "run" / "config.yml").read_text() == "text"


def test_a_second_run_in_the_same_folder_is_kept_out(tmp_path):
    second = RunFolder(tmp_path)
    with (
        RunFolder(tmp_path).claimed(),
        pytest.raises(UserError, match="another run is writing there"),
        second.claimed(),
    ):
        pass
    with RunFolder(tmp_path).claimed():  # free again
        pass
