"""Mounted file systems: a bucket that looks like a folder takes no run."""

from pathlib import Path

import pytest

from hamner.config.errors import BadInput
from hamner.runs.lock import only_one
from hamner.runs.mounts import bucket_problem

TABLE = """/dev/sda1 / ext4 rw,relatime 0 0
server:/export /shared nfs4 rw,vers=4.2,hard 0 0
s3fs /shared/my\\040bucket fuse.s3fs rw,nosuid 0 0
mountpoint-s3 /mnt/s3 fuse rw,nosuid 0 0
gcsfuse /mnt/gcs fuse.gcsfuse rw 0 0
me@host:/home /mnt/ssh fuse.sshfs rw 0 0
/dev/sdb1 /mnt/gcs/over ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "is_bucket"),
    [
        ("/home/me/results", False),
        ("/shared/results", False),
        ("/shared/my bucket/results", True),
        ("/mnt/s3/night", True),
        ("/mnt/gcs", True),
        ("/mnt/gcs/over/results", False),
        ("/mnt/ssh/results", False),
    ],
)
def test_the_mount_that_a_path_lies_on_says_whether_it_is_a_bucket(tmp_path, path, is_bucket):
    table = tmp_path / "mounts"
    table.write_text(TABLE)
    assert bool(bucket_problem(Path(path), table)) == is_bucket
    assert bucket_problem(Path(path), tmp_path / "none") == ""


def test_a_run_in_a_bucket_is_refused_in_one_line(tmp_path, monkeypatch):
    table = tmp_path / "mounts"
    table.write_text(f"s3fs {tmp_path} fuse.s3fs rw 0 0\n")
    monkeypatch.setattr("hamner.runs.lock.bucket_problem", lambda path: bucket_problem(path, table))
    with pytest.raises(BadInput, match=r"cannot be locked: .* is a bucket") as caught, only_one(tmp_path / "l", "busy"):
        pass
    assert len(caught.value.problems) == 1 and not (tmp_path / "l").exists()
