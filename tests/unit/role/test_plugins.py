"""The role's plugins use the role's own code. The package ``s3bucket`` is installed only with the operator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from s3bucket.api import API_VERSION
from tests.support.world import PROJECT, ROLE

# Both find the role's code on their own: what the first plugin has made known is stale before the second.
CODE = """
import json, sys
sys.modules["s3bucket"] = None
from ansible import module_utils
from ansible.plugins.loader import action_loader, add_all_plugin_dirs, filter_loader, lookup_loader
role, cr_file = sys.argv[1:]
add_all_plugin_dirs(role)
# Each task with a template loads the filters.
filter_loader.get("s3bucket_secret_data")
core = [name for name in sys.modules if name.startswith("ansible.module_utils.s3bucket")]
folders = list(module_utils.__path__)
read = lookup_loader.get("s3bucket_cr_file").run([cr_file])
module_utils.__path__[:] = folders
for name in [name for name in sys.modules if name.startswith("ansible.module_utils.s3bucket")]:
    del sys.modules[name]
action = action_loader.get("s3bucket_connection", class_only=True)
folder = sys.modules["ansible.module_utils.s3bucket"].__file__
print(json.dumps([core, read[0]["metadata"]["name"], action.__name__, folder]))
"""


def test_plugins_work_where_only_the_role_is_installed(tmp_path: Path) -> None:
    file = tmp_path / "cr.yaml"
    file.write_text(json.dumps({"apiVersion": API_VERSION, "kind": "S3", "metadata": {"name": "photos"}, "spec": {}}))
    command = [sys.executable, "-c", CODE, str(ROLE), str(file)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    of_filter, name, action, core = json.loads(done.stdout)
    assert of_filter == [], "a filter that imports the core makes each such task longer"
    assert (name, action) == ("photos", "ActionModule")
    assert Path(core).is_relative_to(ROLE)
