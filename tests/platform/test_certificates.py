"""Keys in files."""

import stat

import pytest

from veldt.platform.channels import certificates
from veldt.platform.errors import InputError


def test_keys_are_nobody_elses_to_read_and_who_has_them_may_come_in(tmp_path):
    folder = tmp_path / "keys"
    file = certificates.create(folder, "lab2")
    for path in (file, folder / "learner.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    learner, guest = certificates.read(folder / "learner.key"), certificates.read(file)
    assert guest.learner == learner.public and not learner.learner
    assert guest.secret not in repr(guest)
    allows = certificates.AllowList(folder)
    another = certificates.read(certificates.create(folder, "lab3"))
    assert certificates.read(folder / "learner.key") == learner
    assert allows(guest.public) and allows(another.public) and not allows(learner.public)
    (folder / "allowed" / "lab2").unlink()
    assert not allows(guest.public) and allows(another.public)


def test_what_else_lies_among_the_allowed_keys_shuts_nobody_out(tmp_path, caplog):
    guests = [
        certificates.read(certificates.create(tmp_path, name)) for name in ("lab1", "lab2", "lab3")
    ]
    allowed = tmp_path / "allowed"
    (allowed / "old").mkdir()
    (allowed / ".lab2.swp").write_bytes(b"b0VIM 9.0\x00\xff\xfe")
    (allowed / ".#lab2").symlink_to("somebody@host.1234")  # as one just removed: not there
    allows = certificates.AllowList(tmp_path)
    stranger = certificates.make()
    for _ in range(3):
        assert all(allows(guest.public) for guest in guests) and not allows(stranger.public)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 and all("holds no key" in each for each in said)
    assert {name for name in ("old", ".lab2.swp") if any(name in each for each in said)} == {
        "old",
        ".lab2.swp",
    }


def test_without_a_folder_of_allowed_keys_nobody_comes_in(tmp_path, caplog):
    allows = certificates.AllowList(tmp_path / "absent")
    assert not allows(certificates.make().public) and not allows(certificates.make().public)
    assert len(caplog.records) == 1


def test_what_is_no_key_is_said_to_be_none(tmp_path):
    file = certificates.create(tmp_path, "lab2")
    with pytest.raises(InputError, match="is there already"):
        certificates.create(tmp_path, "lab2")
    for name in ("learner", "../up", "", "a/b"):
        with pytest.raises(InputError, match="a name is of letters"):
            certificates.create(tmp_path, name)
    file.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        certificates.read(file)
    file.chmod(0o600)
    for text in ("", "[]", '{"public": 3, "secret": "x"}', '{"public": "short"}', "{}"):
        file.write_text(text)
        with pytest.raises(InputError, match="holds no keys"):
            certificates.read(file)
    with pytest.raises(InputError, match="veldt keys new"):
        certificates.read(tmp_path / "absent.key")
