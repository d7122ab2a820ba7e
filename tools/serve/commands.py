"""The verb ``serve``."""

import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from common.errors import InputError
from common.malloc import ARENA_MAX, set_malloc
from tools.bundles import all_bundles, find_bundle
from tools.command_line import as_verb, at_least, listed, positive
from tools.sample.formats import sample_images
from tools.segment.description import describe_bundle
from tools.segment.files import settings_of
from tools.serve.jobs import Limits
from tools.temporary import temporary_folder

__all__ = ["serve", "serve_bundles"]

logger = logging.getLogger(__name__)

UNREAD_MS = 60_000


@as_verb(
    **dict.fromkeys(("max_upload_mb", "timeout_s", "max_memory_gb", "grace_s"), positive),
    **dict.fromkeys(("port", "max_queue"), at_least(1)),
    **dict.fromkeys(("data_dir", "corrections"), Path),
    allowed_hosts=listed,
)
def serve(
    bundle: str,
    *further,
    host: str = "127.0.0.1",
    port: int = 5050,
    backend: str = "auto",
    data_dir: Path | None = None,
    corrections: Path | None = None,
    max_upload_mb: float = 256,
    max_queue: int = 16,
    timeout_s: float = 600,
    max_memory_gb: float = 0,
    grace_s: float = 10,
    allowed_hosts: Sequence[str] = (),
    token: str = "",
    insecure: bool = False,
    **overrides,
) -> None:
    """Serve bundles over HTTP: POST /seg_mask, and a page to try them on. Ctrl-C stops it.

    The code in a bundle's configs and package runs with your rights: check a bundle of unknown origin first.

    Parameters
    ----------
    bundle : str
        Name of a bundle or its folder; several one after another, or all.
    host : str
        Address to listen at; 0.0.0.0 lets other machines in and needs --token, or --insecure. A path, such as
        /tmp/cells.socket, is a socket file that only you can use, for `tools segment --server`.
    port : int
        Port to listen at.
    backend : str
        torch; onnx, ONNX Runtime, or openvino, OpenVINO, with the file of `tools export onnx`; auto: on a CPU the one
        that was the fastest when this file was made from the present weights, else torch.
    data_dir : str
        Folder with images that requests may name by path; by default only uploads are accepted.
    corrections : str
        Folder for results that are corrected on the page, to `finetune` on: a dataset for each bundle. By default
        results cannot be corrected.
    max_upload_mb : float
        Largest upload in MiB.
    max_queue : int
        Number of images that may wait; further requests are refused and told when to try again.
    timeout_s : float
        Seconds for an upload, and for segmenting an image.
    max_memory_gb : float
        GiB that segmenting an image may take; by default four fifths of the machine's. What an image needs, also at the
        bundle's own resolution, is computed from its header before it is decoded.
    grace_s : float
        Seconds within which the server stops when asked to, whatever is running; clients that wait get an answer.
    allowed_hosts : str
        Further host names of this machine, separated by commas; its addresses, its own name and localhost are always
        allowed.
    token : str
        Secret that requests must send, Authorization: Bearer TOKEN; in a browser open /?token=TOKEN once.
    insecure : bool
        Let other machines in without a token.
    **overrides
        Settings of the bundle's inference.json, for example --threshold 0.4; for one bundle only.
    """
    memory = {"max_memory_bytes": int(max_memory_gb * (1 << 30))} if max_memory_gb else {}
    limits = Limits(int(max_upload_mb * (1 << 20)), max_queue, timeout_s, grace_s=grace_s, **memory)
    if data_dir and not data_dir.is_dir():
        raise InputError(f"--data_dir {data_dir}: no such folder")
    if not (_is_loopback(host) or token or insecure):
        raise InputError(f"--host {host}: other machines could use the server; give it a --token, or say --insecure")
    roots = _find_roots([bundle, *map(str, further)])
    if overrides and len(roots) > 1:
        raise InputError(f"--{next(iter(overrides))}: overrides go to one bundle; serve {len(roots)} without them")
    serve_bundles(
        roots,
        host=host,
        port=port,
        backend=backend,
        data_dir=data_dir,
        corrections=corrections,
        limits=limits,
        overrides=overrides,
        token=token,
        allowed_hosts=allowed_hosts,
    )


def serve_bundles(
    roots: Sequence[Path],
    *,
    host: str,
    port: int,
    backend: str = "auto",
    data_dir: Path | None = None,
    corrections: Path | None = None,
    limits: Limits | None = None,
    overrides: Mapping[str, object] | None = None,
    samples: Mapping[str, Sequence[Path]] | None = None,
    allowed_hosts: Sequence[str] = (),
    framed_by: Sequence[str] = (),
    token: str = "",
) -> None:
    """Load the bundles in some folders and serve them until the process is asked to end; InputError if one cannot be.

    ``samples`` are images to try each bundle on, drawn if not given; ``framed_by`` is as for `Guard`, the other
    arguments are as for `serve`.
    """
    import uvicorn

    from tools.serve.app import create_app
    from tools.serve.connections import Connection, most_connections
    from tools.serve.dispatcher import Dispatcher
    from tools.serve.ending import EndingServer
    from tools.serve.page import mount_page
    from tools.serve.worker import Worker

    limits = limits or Limits()
    listening = _bind(host, port)
    bundles = {root.resolve().name: describe_bundle(root, backend=backend, overrides=overrides) for root in roots}
    logger.info("loading %s", ", ".join(f"{bundle.name} ({bundle.backend})" for bundle in bundles.values()))
    dispatcher = Dispatcher(partial(Worker, list(bundles.values()), limits), limits)
    set_malloc(ARENA_MAX, 2)  # else each of its threads keeps memory of its own, a little more with every request
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # what uvicorn raises again when it has ended
    with temporary_folder("serve") as folder:
        try:
            samples = samples or {of.name: sample_images(of.root, folder / of.name) for of in bundles.values()}
            hosts = [host, socket.gethostname(), *allowed_hosts]
            app = create_app(
                dispatcher,
                bundles,
                data_dir=data_dir,
                folder=folder,
                allowed_hosts=hosts,
                framed_by=framed_by,
                token=token,
                settings={name: settings_of(bundle) for name, bundle in bundles.items()},
            )
            app = mount_page(app, samples, folder, corrections)
            if _is_file(host):
                logger.info("serving at %s, for: python -m tools segment BUNDLE ... --server %s", host, host)
            else:
                logger.info("serving at http://%s:%d (page), /docs (endpoints)", *listening.getsockname()[:2])
            most = most_connections()
            config = uvicorn.Config(
                app, log_level="warning", http=Connection, ws="none", limit_concurrency=most, backlog=most
            )
            EndingServer(config, limits.grace_s, app.state.endpoint.give_up).run(sockets=[listening])
        finally:
            dispatcher.close()
            if _is_file(host):
                Path(host).unlink(missing_ok=True)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or _is_file(host) or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_file(host: str) -> bool:
    return "/" in host


def _bind(host: str, port: int) -> socket.socket:
    """A socket of that address, bound before anything is loaded."""
    if _is_file(host):
        return _bind_file(Path(host))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform == "linux":  # for a client that takes nothing of its answer, which waits in memory
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = error.strerror if isinstance(error, OSError) else "it is above 65535"
        raise InputError(f"--port {port}: cannot listen on {host} ({reason}); choose another port") from error
    return bound


def _bind_file(path: Path) -> socket.socket:
    """A socket file for its owner; one that is left of a server that is gone is replaced."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and bound.connect_ex(str(path)):
            path.unlink()
        bound.bind(str(path))
        path.chmod(0o600)  # nobody can connect before it listens
    except OSError as error:
        bound.close()
        raise InputError(
            f"--host {path}: cannot make a socket there ({error.strerror}); choose another path"
        ) from error
    return bound


def _find_roots(names: Sequence[str]) -> list[Path]:
    return all_bundles() if names == ["all"] else [find_bundle(name) for name in names]
