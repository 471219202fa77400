"""What is killed: commands as a person gives them, from which state they start, and how a person goes on."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.attacks.local_store import FOLDER

RUN, WORK, EXPORTS, STORE, CACHE, COPY, KEYS = "run", "work", "exports", FOLDER, "cache", "copy", "keys"


@dataclass(frozen=True)
class Place:
    """The folder in which a case plays; the same for all, for runs note where things lie."""

    folder: Path
    config: Path
    """Options of a first training, as a file."""

    @property
    def run(self) -> Path:
        """The run, where it is a folder."""
        return self.folder / RUN

    @property
    def url(self) -> str:
        """The run, where it lies on the object store."""
        return f"localstore://{self.folder / STORE / RUN}"

    def first(self, *more: str, run_dir: str | None = None) -> list[str]:
        """The command of a first training."""
        target = run_dir or str(self.run)
        return ["--model=APA", "--dataset=board", f"--config_files={self.config}", f"--run_dir={target}", *more]

    def later(self, *more: str, run: str | None = None) -> list[str]:
        """A command on a finished run."""
        return [f"--run={run or self.run}", *more]


@dataclass(frozen=True)
class Scene:
    """One stage whose every file operation is killed."""

    name: str
    command: Callable[[Place], list[str]]
    before: tuple[Callable[[Place], list[str]], ...] = ()
    """Commands that make the state it starts from."""
    interrupted: str = ""
    """A file: the last of ``before`` is killed when this was just put in place."""
    midway: Callable[[Place], list[str]] | None = None
    """A command that brings it to a sound state on the way to its end, which may be served too."""
    roots: tuple[str, ...] = (RUN, EXPORTS)
    """Folders whose operations count."""
    judged: str = RUN
    """The folder whose bytes are compared; of :data:`STORE`, what lies on it."""
    resumes: bool = True
    """Whether ``--resume`` can finish it."""
    trains: bool = False
    """Whether it makes the run, with a salt of its own, and the key with which the run forgets."""
    holds: bool = True
    """Whether the audit holds at the end."""
    tidy: Callable[[Place], None] = field(default=lambda place: None)
    """What a person has to do by hand before going on."""


def where(scene: Scene, place: Place) -> str:
    """The run that a scene is about, as the package is told."""
    return place.url if scene.judged == STORE else str(place.folder / scene.judged)


def _exports(place: Place) -> str:
    return f"--export_samples={place.folder / EXPORTS}"


def _drop_lease(place: Place) -> None:
    """As the message of a held lease says."""
    (place.folder / STORE / RUN / "lease.json").unlink(missing_ok=True)


def _drop_copy(place: Place) -> None:
    shutil.rmtree(place.folder / COPY, ignore_errors=True)


_ASKED = ("--forget_users=u3", "--forget_interactions=u5:i10")


def _trained(place: Place) -> list[str]:
    return place.first()


def _exported(place: Place) -> list[str]:
    return place.first(_exports(place))


def _stored(place: Place) -> list[str]:
    return place.first(run_dir=place.url)


def _request(*manner: str) -> Callable[[Place], list[str]]:
    return lambda place: place.later(*_ASKED, *manner)


SCENES = (
    Scene("first training", _trained, resumes=False, trains=True),
    Scene("first training with an export", _exported, resumes=False, trains=True),
    Scene("request, inherited", _request(), (_trained,)),
    Scene("request, strict", _request("--exactness=strict"), (_trained,)),
    Scene("request, approximate", _request("--unlearn_method=NPO"), (_trained,), holds=False),
    Scene("request on a run with an export", _request(), (_exported,)),
    Scene("train and forget", lambda place: place.first(*_ASKED), midway=_trained, roots=(RUN, KEYS), trains=True),
    Scene("resume", lambda place: place.later("--resume"), (_trained, _request()), "ledger.jsonl"),
    Scene("resume the switch", lambda place: place.later("--resume"), (_trained, _request()), "partition.json"),
    Scene(
        "second request while one waits",
        lambda place: place.later("--forget_items=i2"),
        (_trained, _request()),
        "ledger.jsonl",
        lambda place: place.later("--resume"),
    ),
    Scene("second request", lambda place: place.later("--forget_items=i2"), (_trained, _request())),
    Scene(
        "copy",
        lambda place: place.later(f"--copy_to={place.folder / COPY}"),
        (_trained, _request()),
        roots=(COPY,),
        judged=COPY,
        resumes=False,
        tidy=_drop_copy,
    ),
    Scene(
        "first training, object store",
        _stored,
        roots=(STORE,),
        judged=STORE,
        resumes=False,
        trains=True,
        tidy=_drop_lease,
    ),
    Scene(
        "request, object store",
        lambda place: place.later(*_ASKED, run=place.url),
        (_stored,),
        roots=(STORE,),
        judged=STORE,
        tidy=_drop_lease,
    ),
)
