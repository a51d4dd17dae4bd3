"""A CR file contains one S3 object. Otherwise the error names the file and the remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s3bucket.api import API_VERSION
from s3bucket.cr_file import MAX_BYTES, CrFileError, find_path, read_cr_file

HEAD = "apiVersion: agill.apps/v1alpha1\nkind: S3\n"
GOOD = HEAD + "metadata: {name: photos}\nspec: {region: us-east-1, bucketName: photos-1}\n"
BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is empty"),
    "only-comments": ("# nothing\n---\n", "is empty"),
    "list": (f"- {HEAD}".replace("\n", "\n  "), "holds a list, not an S3 object"),
    "text": ("photos", "holds text, not an S3 object"),
    "number": ("1", "holds a plain value"),
    "two-documents": (f"{GOOD}---\n{GOOD}", "holds 2 documents: write each S3 object to a file of its own"),
    "not-utf8": (b"kind: S\xff", "is not UTF-8 text (byte 7)"),
    "syntax": ("kind: S3\nspec: {", "is not YAML: expected the node content, but found '<stream end>' in line 2"),
    "control-character": ("kind: S\x00", "is not YAML"),
    "python-tag": ("!!python/object/apply:os.system [true]", "is not YAML: could not determine a constructor"),
    "no-such-date": ("a: 2026-99-99", "is not YAML: month must be in 1..12"),
    "deeply-nested": ("[" * 5000, "is not YAML"),
    "aliases": (BOMB, "values: write it without aliases"),
    "recursive-alias": (f"{GOOD}more: &a [*a]", "values: write it without aliases"),
    "key-twice": (f"{GOOD}kind: S3\n", "is not YAML: the key 'kind' is given twice in line 5"),
    "vault": ("$ANSIBLE_VAULT;1.1;AES256\n6162", "is encrypted with ansible-vault"),
    "no-kind": (GOOD.replace("kind: S3\n", ""), "kind: is missing: it must be S3"),
    "another-kind": (GOOD.replace("kind: S3", "kind: List"), "kind: is List: it must be S3"),
    "another-version": (GOOD.replace("v1alpha1", "v2"), "apiVersion: is agill.apps/v2: it must be agill.apps/v1alpha1"),
    "no-metadata": (HEAD + "spec: {}", "metadata: must be an object with a name"),
    "no-name": (GOOD.replace("name: photos", "namespace: team"), "metadata.name: is missing"),
    "name-is-a-number": (GOOD.replace("name: photos}", "name: 1}"), "metadata.name: must be text"),
    "namespace-is-a-number": (GOOD.replace("photos}", "photos, namespace: 1}"), "metadata.namespace: must be text"),
    "deleting": (
        GOOD.replace("photos}", "photos, deletionTimestamp: 2026-01-01T00:00:00Z}"),
        "metadata.deletionTimestamp: the file was saved from",
    ),
    "no-spec": (HEAD + "metadata: {name: photos}", "spec: is missing"),
    "spec-is-text": (HEAD + "metadata: {name: photos}\nspec: x", "spec: must be an object"),
    "large": ("a" * (MAX_BYTES + 1), "is larger than"),
}  # fmt: skip


@pytest.mark.parametrize("row", BAD)
def test_file_without_one_object_is_an_error_that_names_it(tmp_path: Path, row: str) -> None:
    content, message = BAD[row]
    path = tmp_path / "cr.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CrFileError) as error:
        read_cr_file(str(path))
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_path_that_is_no_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("no", "No such file"),
        ("pipe", "is not a regular file"),
        ("", "is a folder"),
        ("a\0b", "null"),
    ):
        with pytest.raises(CrFileError, match=message) as error:
            read_cr_file(f"{tmp_path}/{name}")
        assert str(error.value).startswith(f"{tmp_path}")
    for nothing in ("", " ", None, ["cr.yaml"], 1):
        with pytest.raises(CrFileError, match="s3bucket_cr_file: "):
            read_cr_file(nothing)


def test_path_starts_at_the_working_directory_and_not_at_pwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", "/elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_path("cr.yaml") == tmp_path / "cr.yaml"
    assert find_path("~/cr.yaml") == tmp_path / "home" / "cr.yaml"
    assert find_path("/cr.yaml") == Path("/cr.yaml")
    assert find_path("~nobody-here/cr.yaml") == tmp_path / "~nobody-here" / "cr.yaml"


def test_object_is_read_as_kubernetes_would_store_it_without_what_a_server_wrote(tmp_path: Path) -> None:
    path = tmp_path / "cr.yaml"
    server = "photos, uid: x, resourceVersion: '1', creationTimestamp: 2026-01-01T00:00:00Z}"
    path.write_bytes(b"\xef\xbb\xbf---\n" + GOOD.replace("photos}", server).encode() + b"status: {}\n---\n")
    text = path.read_text().replace("photos-1", "'{{ x }}', tags: {1: 2026-01-01}")
    path.write_text(text)
    absent = read_cr_file(str(path), "absent")["metadata"]
    assert absent == {"name": "photos", "namespace": "default", "uid": "x"}
    assert read_cr_file(str(path)) == {
        "apiVersion": API_VERSION,
        "kind": "S3",
        "metadata": {"name": "photos", "namespace": "default"},
        "spec": {"region": "us-east-1", "bucketName": "{{ x }}", "tags": {"1": "2026-01-01"}},
    }
