"""A node of the local control plane: kube-scheduler, kubelet and containerd, so that Pods really run.

Needs root, containerd and runc. There is no Pod network: Pods have ``hostNetwork``. Everything listens on loopback
and lives in one folder; :meth:`Node.stop` ends the containers and unmounts what they had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from . import image
from .binaries import NODE, find_binaries, find_go
from .controlplane import ControlPlane
from .processes import Child, get_free_port, plain_environment

# As the node's name it is its address as well: the API server reaches the kubelet there, and nothing else does.
_ADDRESS = "127.0.0.1"
_PAUSE = "localhost/s3-operator-pause:1"
_PAUSE_SOURCE = """package main

import ("os"; "os/signal"; "syscall")

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}
"""
_CONTAINERD = """version = 2
root = "{folder}/root"
state = "{folder}/state"
oom_score = 0
disabled_plugins = [{disabled}]
[grpc]
  address = "{folder}/c.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = "{runc}"
"""
_SNAPSHOTTERS = ("native", "overlayfs", "btrfs", "zfs", "aufs", "devmapper")


def why_not() -> str:
    """Why this machine cannot run a node; empty when it can."""
    if os.geteuid() != 0:
        return "a node needs root"
    missing = [name for name in ("containerd", "ctr", "runc") if not shutil.which(name)]
    if missing:
        return f"not on this machine: {', '.join(missing)} (make e2e-packages)"
    try:
        image.find_tool()
    except image.ImageError as error:
        return f"{error} (make e2e-packages)"
    return ""


class Node:
    """Started by :meth:`start`, ended by :meth:`stop`; also a context manager."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        # Its own, with a short name: the path of a socket has at most 108 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="s3op-"))
        # The native one copies the whole image for each container.
        self._snapshotter = "overlayfs" if image.can_overlay(self.folder) else "native"
        self._children: dict[str, Child] = {}

    def __enter__(self) -> Node:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Bring it up and wait until Pods can be scheduled."""
        self._binaries = find_binaries(NODE)
        try:
            self.start_runtime()
            self._import_pause()
            self._start_scheduler()
            self._start_kubelet()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the kubelet, every container, and containerd; unmount the Pods' volumes."""
        for name in ("kubelet", "kube-scheduler"):
            if name in self._children:
                self._children.pop(name).stop()
        if "containerd" in self._children:
            for task in self._ctr("tasks", "list", "--quiet").split():
                self._ctr("tasks", "delete", "--force", task)
            for container in self._ctr("containers", "list", "--quiet").split():
                self._ctr("containers", "delete", container)
            self._children.pop("containerd").stop()
        for mount in reversed(Path("/proc/mounts").read_text().splitlines()):
            if mount.split()[1].startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", mount.split()[1]], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_runtime(self) -> None:
        """Start containerd (again); containers live on without it."""
        config = self.folder / "containerd.toml"
        others = [name for name in _SNAPSHOTTERS if name != self._snapshotter]
        disabled = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in others)
        runc = shutil.which("runc")
        config.write_text(
            _CONTAINERD.format(
                folder=self.folder, disabled=disabled, pause=_PAUSE, runc=runc, snapshotter=self._snapshotter
            )
        )
        self._run("containerd", ["containerd", "--config", str(config)])
        self._children["containerd"].wait_until(lambda: "SERVER" in self._ctr("version").upper(), "containerd")

    def stop_runtime(self) -> None:
        """Take only containerd away."""
        self._children.pop("containerd").stop()

    def import_image(self, archive: Path) -> None:
        """Make an image of a docker archive known to the kubelet."""
        self._ctr("images", "import", "--snapshotter", self._snapshotter, str(archive), is_checked=True)

    def container_pid(self, container: str) -> int:
        """The process id of a container's first process."""
        for line in self._ctr("tasks", "list").splitlines():
            if line.split()[0] == container:
                return int(line.split()[1])
        raise LookupError(container)

    def _import_pause(self) -> None:
        context = self.folder / "pause"
        context.mkdir()
        (context / "main.go").write_text(_PAUSE_SOURCE)
        command = [find_go(), "build", "-o", "pause", "main.go"]
        environment = {**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off"}
        subprocess.run(command, cwd=context, env=environment, check=True)
        (context / "Containerfile").write_text('FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n')
        image.build_context(context, _PAUSE)
        archive = self.folder / "pause.tar"
        image.export(_PAUSE, archive)
        self.import_image(archive)

    def _start_scheduler(self) -> None:
        ports = ["--bind-address=127.0.0.1", f"--secure-port={get_free_port()}"]
        command = [str(self._binaries["kube-scheduler"]), f"--kubeconfig={self._plane.kubeconfig}", *ports]
        self._run("kube-scheduler", [*command, "--leader-elect=false"])

    def _start_kubelet(self) -> None:
        config = self.folder / "kubelet.yaml"
        config.write_text(yaml.safe_dump(self._kubelet_config()))
        command = [str(self._binaries["kubelet"]), f"--config={config}", f"--kubeconfig={self._plane.kubeconfig}"]
        command += [f"--root-dir={self.folder / 'kubelet'}", f"--cert-dir={self.folder / 'pki'}"]
        self._run("kubelet", [*command, f"--hostname-override={_ADDRESS}"])
        self._children["kubelet"].wait_until(self._is_open, "the kubelet")

    def _kubelet_config(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": _ADDRESS,
            "port": get_free_port(),
            "healthzPort": get_free_port(),
            "containerRuntimeEndpoint": f"unix://{self.folder}/c.sock",
            "podLogsDir": str(self.folder / "logs"),
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "oomScoreAdj": 0,
            "localStorageCapacityIsolation": False,
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        }

    def _is_open(self) -> bool:
        # There is no node-lifecycle controller, which would take the first taint off.
        kubectl = [str(find_binaries()["kubectl"]), "--kubeconfig", str(self._plane.kubeconfig)]
        command = [*kubectl, "taint", "nodes", _ADDRESS, "node.kubernetes.io/not-ready-"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _run(self, name: str, command: list[str]) -> None:
        self._children[name] = Child(command, self.folder / f"{name}.log", plain_environment())

    def _ctr(self, *arguments: str, is_checked: bool = False) -> str:
        command = ["ctr", "--address", f"{self.folder}/c.sock", "--namespace", "k8s.io", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=is_checked).stdout
