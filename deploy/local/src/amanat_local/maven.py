"""Apache Kafka and Keycloak from Maven Central: pinned versions, every file's SHA-256 checked, kept in a cache.

A pom names coordinates only, so whoever uses a mirror sets it in Maven's own settings. `pins.json` holds the versions
and the digests; a file that differs, is missing or is too many is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amanat_local.missing import Missing

JAVA_AT_LEAST = 17
PINS: Mapping[str, Any] = json.loads(Path(__file__).with_name("pins.json").read_text())

_POM = """<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>pk.amanat</groupId><artifactId>downloads</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>{dependencies}</dependencies>
</project>
"""
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


def cache() -> Path:
    """Where downloads are kept: `amanat` below the user's cache folder."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amanat"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def java() -> str:
    """The java to run. Raises Missing."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin" if home else None)
    how = f"install Java {JAVA_AT_LEAST} or newer (Debian: apt-get install openjdk-17-jre-headless)"
    if program is None:
        raise Missing(f"the real stack needs Java, which is not here: {how}")
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        raise Missing(f"the real stack needs a newer Java than {program}: {how}")
    return program


def kafka_folder() -> Path:
    """Where Kafka's jars are once they are downloaded."""
    return cache() / f"kafka-{PINS['kafka']['version']}"


def keycloak_folder() -> Path:
    """Where Keycloak is once it is downloaded and unpacked."""
    return cache() / f"keycloak-{PINS['keycloak']['version']}"


def download_kafka() -> None:
    """Downloads what is not there yet, and verifies what is. Raises Missing."""
    pinned, folder = PINS["kafka"], kafka_folder()
    with alone("kafka"):
        if not folder.exists():
            with _workplace() as work:
                dependencies = "".join(_DEPENDENCY.format(*each.split(":")) for each in pinned["dependencies"])
                (work / "pom.xml").write_text(_POM.format(dependencies=dependencies))
                _maven(work, "copy-dependencies", f"-DoutputDirectory={work / 'jars'}")
                verify(work / "jars", pinned["sha256"])
                (work / "jars").rename(folder)
        verify(folder, pinned["sha256"])


def download_keycloak() -> None:
    """Downloads, verifies and unpacks it, if it is not there yet. Raises Missing."""
    pinned, folder = PINS["keycloak"], keycloak_folder()
    with alone("keycloak"):
        if not folder.exists():
            with _workplace() as work:
                _maven(work, "copy", f"-Dartifact={pinned['artifact']}", f"-DoutputDirectory={work / 'download'}")
                verify(work / "download", pinned["sha256"])
                (archive,) = (work / "download").iterdir()
                with tarfile.open(archive) as packed:
                    packed.extractall(work / "unpacked")  # noqa: S202 - pinned; Debian 12's Python knows no filter
                (unpacked,) = (work / "unpacked").iterdir()
                unpacked.rename(folder)


def verify(folder: Path, expected: Mapping[str, str]) -> None:
    """Raises Missing, naming the first file that is not the one that was pinned."""
    found = {file.name for file in folder.iterdir()}
    if wrong := found.symmetric_difference(expected):
        raise Missing(f"{folder} does not hold the pinned files: {min(wrong)} is missing or too many; remove it")
    for name, digest in expected.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise Missing(f"{folder / name} is not the pinned file; remove its folder to download it again")


def _maven(work: Path, goal: str, *options: str) -> None:
    program = shutil.which("mvn")
    if program is None:
        raise Missing(
            "Kafka and Keycloak are got by Maven, which is not here; install it (Debian: apt-get install maven)"
        )
    plugin = f"org.apache.maven.plugins:maven-dependency-plugin:{PINS['plugin']}:{goal}"
    # -C: a download whose checksum is wrong fails.
    done = subprocess.run(
        [program, "-q", "-B", "-C", plugin, *options], cwd=work, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Missing(f"Maven could not download what the real stack needs:\n{(done.stdout + done.stderr)[-2000:]}")


@contextmanager
def _workplace() -> Iterator[Path]:
    """Inside the cache, so that the finished folder is moved there at once."""
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".download-") as work:
        yield Path(work)


@contextmanager
def alone(name: str) -> Iterator[None]:
    with (cache() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
