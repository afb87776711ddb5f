"""The real servers from which source is fetched, on 127.0.0.1: `git daemon`, nginx with git's smart HTTP, sshd.

Each is started in the directory of a test with its `Processes`, and ends with them. The paths in their URLs are paths
below `root`.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.processes import Processes, free_port
from tests.tools import require_tool


def serve_git(processes: Processes, root: Path, *, push: bool = False) -> str:
    """`git daemon` for every repository below `root`; the URL of `root`. push: who likes may push."""
    port = free_port()
    daemon = processes.start(
        ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all", "--verbose",
         f"--base-path={root}", *(["--enable=receive-pack"] if push else []), str(root)]
    )  # fmt: skip
    daemon.wait_for_port(port)
    return f"git://127.0.0.1:{port}"


class WebServer:
    """nginx. `files` is the URL of `root` as plain files; `git` that of the repositories in it, for everybody;
    `private` the same for `user` with `password` alone, who may push (`http.receivepack`, see git-http-backend)."""

    def __init__(
        self, processes: Processes, directory: Path, root: Path, user: str = "alice", password: str = "wonder-land"
    ) -> None:
        self.user = user
        self.password = password
        self.port = free_port()
        self._directory = directory
        directory.mkdir(parents=True)
        (directory / "passwords").write_text(f"{user}:{{PLAIN}}{password}\n")
        gate = free_port()
        configuration = directory / "nginx.conf"
        configuration.write_text(_NGINX.format(directory=directory, root=root, port=self.port, gate=gate, user=_user()))
        gateway = processes.start([daemon("fcgiwrap", "fcgiwrap"), "-c", "2", "-s", f"tcp:127.0.0.1:{gate}"])
        gateway.wait_for_port(gate)
        nginx = daemon("nginx", "nginx-light")
        server = processes.start(
            [nginx, "-p", str(directory), "-e", str(directory / "errors"), "-c", str(configuration)]
        )
        server.wait_for_port(self.port)

    @property
    def git(self) -> str:
        return f"http://127.0.0.1:{self.port}/git"

    @property
    def private(self) -> str:
        return f"http://127.0.0.1:{self.port}/private"

    @property
    def files(self) -> str:
        return f"http://127.0.0.1:{self.port}/files"

    def seen(self) -> str:
        """The requests that it has answered, as nginx logs them; a user's name stands before the time."""
        return (self._directory / "access").read_text()


def daemon(name: str, package: str) -> str:
    """Its path; what is in /usr/sbin need not be on everybody's PATH."""
    return shutil.which(name, path="/usr/sbin") or require_tool(name, package)


def _user() -> str:
    return "user root;" if os.getuid() == 0 else ""


_NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/errors;
events {{ worker_connections 64; }}
http {{
    access_log {directory}/access;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port};
        location /files/ {{ alias {root}/; autoindex on; }}
        location ~ ^/(git|private)(/.*)$ {{
            set $path $2;
            set $realm off;
            if ($uri ~ ^/private/) {{ set $realm private; }}
            auth_basic $realm;
            auth_basic_user_file {directory}/passwords;
            fastcgi_pass 127.0.0.1:{gate};
            fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
            fastcgi_param GIT_PROJECT_ROOT {root};
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param GIT_PROTOCOL $http_git_protocol;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
            fastcgi_param PATH_INFO $path;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REMOTE_USER $remote_user;
            fastcgi_param REMOTE_ADDR $remote_addr;
        }}
    }}
}}
"""


class SSHServer:
    """sshd, for the user who runs the tests, with a key that is made for it.

    `url` is that of the directory `/`: a repository is `f"{server.url}{path}"`. `private_key` is the text of the key
    that is let in, `other_key` that of one that is not; `host_key` is what the server shows, as `type base64`.
    """

    def __init__(self, processes: Processes, directory: Path) -> None:
        sshd = daemon("sshd", "openssh-server")
        directory.mkdir(parents=True)
        self.user = getpass.getuser()
        self.port = free_port()
        host, key, other = (directory / name for name in ("host", "key", "other"))
        for path in (host, key, other):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
        self.private_key = key.read_text()
        self.other_key = other.read_text()
        self.host_key = host.with_suffix(".pub").read_text().strip()
        self.other_host_key = other.with_suffix(".pub").read_text().strip()
        configuration = directory / "sshd_config"
        configuration.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\n"
            f"AuthorizedKeysFile {key}.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n"
        )
        if os.getuid() == 0:
            with suppress(FileExistsError):
                Path("/run/sshd").mkdir()  # into which sshd locks the part of it that has no rights
        self._server = processes.start([sshd, "-D", "-e", "-f", str(configuration)])
        self._server.wait_for_port(self.port)

    @property
    def url(self) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}"

    def seen(self) -> str:
        """What sshd has logged."""
        return self._server.output()


class SilentServer:
    """Takes connections and says nothing, for ever."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def stop(self) -> None:
        self._socket.close()
