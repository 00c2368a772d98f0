"""Keycloak on one machine: built once into the cache, run with a folder of its own for each stack."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from amanat_local import maven
from amanat_local.kept import Kept, private_folder
from amanat_local.keys import Keys
from amanat_local.process import Process, answers, environment
from amanat_local.realm import REALM, Realm
from amanat_local.realm_apply import Server, apply
from amanat_local.spawn import NotReady

PORT = 7760
ADMIN = "admin"
_BUILD = ("--db=dev-file", "--health-enabled=true", "--cache=local")
# As bin/kc.sh starts it; without the shell between, so that a signal reaches the server itself.
_JVM = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xms64m",
    "-Xmx512m",
    "-XX:MaxMetaspaceSize=256m",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory="
    "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "-Dpicocli.disable.closures=true",
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("util", "util.concurrent", "security", "lang")),
    "--enable-native-access=ALL-UNNAMED",
)


class Keycloak:
    """The server's process and its realm. `process.start` starts it again on the same port and data."""

    def __init__(self, folder: Path, logs: Path, kept: Kept, keys: Keys, realm: Realm, *, preferred: bool) -> None:
        self._folder, self._keys, self._realm, self._kept = folder, keys, realm, kept
        port = kept.port("keycloak", PORT if preferred else None)
        management = kept.port("keycloak-management", PORT + 1 if preferred else None)
        self._java = maven.java()
        self._distribution = maven.keycloak_folder()
        self._log = logs / "keycloak-build.log"
        self.server = Server(f"http://127.0.0.1:{port}", ADMIN, kept.secret("keycloak:admin"))
        self.issuer = f"{self.server.url}/realms/{REALM}"
        ready = answers(management, "/health/ready")

        def patiently() -> bool:
            time.sleep(0.1)  # a health check costs the starting server more than it costs us
            return ready()

        self.process = Process(
            name="keycloak",
            argv=[
                self._java,
                *_JVM,
                f"-Dkc.home.dir={folder}",
                f"-Djboss.server.config.dir={folder / 'conf'}",
                "-cp",
                str(folder / "lib" / "quarkus-run.jar"),
                "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
                *("start", "--optimized", "--cache=local", "--http-enabled=true", "--http-host=127.0.0.1"),
                *(f"--http-port={port}", f"--hostname={self.server.url}", f"--http-management-port={management}"),
                # What was granted or applied a moment before a crash is on the disk: H2 would wait half a second.
                f"--db-url=jdbc:h2:file:{folder / 'data' / 'keycloak'};NON_KEYWORDS=VALUE;WRITE_DELAY=0",
                "--log-level=info,io.smallrye.health:off",
            ],
            env=environment(
                {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": self.server.password}
            ),
            log=logs / "keycloak.log",
            ready=patiently,
            within_s=120,
            cwd=folder,
        )

    def start(self) -> None:
        """Builds it if the cache holds no build yet (half a minute), starts it and applies the realm."""
        maven.download_keycloak()
        self._build()
        private_folder(self._folder / "data")
        for part in ("lib", "conf", "providers", "themes", "version.txt"):
            link = self._folder / part
            link.unlink(missing_ok=True)
            link.symlink_to(self._distribution / part)
        self.process.start()
        self.process.wait()
        apply(
            self.server,
            self._realm,
            public_keys={client.name: self._keys.public_jwk(client.name) for client in self._realm.clients},
            passwords={person.name: self._kept.secret(person.name) for person in self._realm.people},
        )

    def _build(self) -> None:
        built = self._distribution / "built-by-amanat"
        with maven.alone("keycloak-build"):
            if built.exists() and built.read_text() == " ".join(_BUILD):
                return
            with self._log.open("wb") as log:
                done = subprocess.run(
                    [str(self._distribution / "bin" / "kc.sh"), "build", *_BUILD],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment({"JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1"}),
                    check=False,
                )
            if done.returncode:
                raise NotReady(f"Keycloak was not built; see {self._log}")
            built.write_text(" ".join(_BUILD))
