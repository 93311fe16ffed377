"""Finding images: suffixes, links, cycles, and the count of what was left out."""

from vireid.data.images.image_files import IMAGE_SUFFIXES, LeftOut, find_images


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_every_suffix_is_found_in_any_case(tmp_path):
    expected = [touch(tmp_path / f"a{suffix}") for suffix in IMAGE_SUFFIXES]
    expected.append(touch(tmp_path / "sub" / "B.JPG"))
    files, left_out = find_images(tmp_path)
    assert files == sorted(expected)
    assert len(left_out) == 0


def test_linked_files_and_folders_are_followed_once(tmp_path):
    inside = touch(tmp_path / "root" / "z" / "1.jpg")
    outside = touch(tmp_path / "elsewhere" / "2.jpg")
    (tmp_path / "root" / "linked").symlink_to(outside.parent)
    (tmp_path / "root" / "again").symlink_to(inside.parent)
    (tmp_path / "root" / "z" / "up").symlink_to(tmp_path / "root")
    files, left_out = find_images(tmp_path / "root")
    assert files == [tmp_path / "root" / "linked" / "2.jpg", inside]
    assert {path.name for path in left_out.paths["link to a folder that is read already"]} == {"again", "up"}


def test_a_root_that_is_a_link_is_read(tmp_path):
    touch(tmp_path / "real" / "1.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert find_images(tmp_path / "link")[0] == [tmp_path / "link" / "1.jpg"]


def test_what_is_left_out_is_counted_with_its_reason(tmp_path):
    for name in ("1.jpg", "notes.txt", "more.txt", ".hidden.jpg", "README", ".git/x.jpg"):
        touch(tmp_path / name)
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    files, left_out = find_images(tmp_path)
    assert files == [tmp_path / "1.jpg"]
    assert {reason: len(paths) for reason, paths in left_out.paths.items()} == {
        "suffix .txt is not an image": 2,
        "hidden file": 1,
        "no suffix": 1,
        "hidden folder": 1,
        "link to a file that does not exist": 1,
    }
    assert any(line.startswith("2 left out: suffix .txt is not an image (") for line in left_out.lines())


def test_a_cycle_of_links_ends_also_from_a_linked_root(tmp_path):
    touch(tmp_path / "real" / "a" / "1.jpg")
    (tmp_path / "real" / "a" / "loop").symlink_to(tmp_path / "root")
    (tmp_path / "root").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "self.jpg").symlink_to(tmp_path / "real" / "self.jpg")
    files, left_out = find_images(tmp_path / "root")
    assert files == [tmp_path / "root" / "a" / "1.jpg"]
    assert len(left_out) == 2


def test_the_summary_counts_by_reason(tmp_path):
    left_out = LeftOut()
    assert left_out.summary() == ""
    for name in ("1.txt", "2.txt"):
        left_out.add(tmp_path / name, "suffix .txt is not an image")
    left_out.add(tmp_path / ".x", "hidden file")
    assert left_out.summary() == (
        "3 files or folders of the dataset are not used: 2 suffix .txt is not an image, 1 hidden file"
    )
    assert str(left_out.findings()[-1]) == f"{tmp_path / '.x'}: hidden file"
