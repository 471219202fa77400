"""RecBole's ``Config`` with our defaults, and without ``eval``."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from recbole.config import Config

from recbole_apa.backbone.default_model import PACKAGED
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option_table import SETTING_KEYS
from recbole_apa.core.options import refuse_unknown
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.system.devices import VISIBLE, check_device
from recbole_apa.core.yaml import Loader, read_yaml
from recbole_apa.data.eval_checks import RANKING_METRICS, figure_names, is_ranking, judging_problems
from recbole_apa.data.recbole_checks import odd_texts, recbole_problems
from recbole_apa.data.recbole_settings import OPTION_KEYS, check_execution, read_execution
from recbole_apa.model.settings import read_checked_settings
from recbole_apa.pipeline.evidence_option import settled_evidence, told_apart
from recbole_apa.pipeline.option_names import NEVER_TAKEN, RECBOLE_EXTRA, RUN_KEYS
from recbole_apa.pipeline.plugins import PLUGINS, import_plugins
from recbole_apa.pipeline.registration import register


class APAConfig(Config):
    """RecBole's ``Config`` with our defaults and typed values; unknown names are rejected.

    Order of precedence, highest first: ``config_dict`` (the command line is read into it by ``cli``), the files
    in ``config_file_list``, ``properties/protocol/<protocol>.yaml``, ``properties/dataset/<dataset>.yaml``,
    ``properties/model/<model>.yaml``, RecBole's own properties. ``sys.argv`` is not read here, and no value is
    evaluated as code.

    Raises:
        SettingsError: unknown names (with the nearest known one), or a file that cannot be read.
    """

    def __init__(
        self,
        model: str | type | None = None,
        dataset: str | None = None,
        config_file_list: list[str] | None = None,
        config_dict: Mapping[str, object] | None = None,
    ) -> None:
        register()
        given = dict(config_dict or {})
        self._within = {key: given.pop(key) for key in list(given) if "." in key}
        super().__init__(model, dataset, config_file_list, given)

    def _build_yaml_loader(self) -> type[Loader]:
        return Loader

    def _convert_config_dict(self, config_dict: dict[str, object]) -> dict[str, object]:
        # RecBole's version runs eval() on every string
        return config_dict

    def _load_cmd_line(self) -> dict[str, object]:
        return {}

    def _load_config_files(self, file_list: list[str] | None) -> dict[str, object]:
        out: dict[str, object] = {}
        for file in file_list or []:
            out |= read_yaml(Path(file))
        return out

    def _get_model_and_dataset(self, model: str | type | None, dataset: str | None) -> tuple[str, type, str]:
        try:
            return super()._get_model_and_dataset(model, dataset)
        except SettingsError:  # says already what to do
            raise
        except ImportError as error:
            # RecBole's last lookup imports models that need other libraries
            raise SettingsError(
                f"--model={model}: RecBole has no model of that name, or it needs the package {error.name!r}, which is "
                "not installed; expected e.g. --model=APA"
            ) from error
        except (ValueError, KeyError) as error:
            raise SettingsError(
                f"--model and --dataset: {str(error).strip(chr(34))}; expected e.g. --model=APA --dataset=ml-100k"
            ) from error

    def _load_internal_config_dict(self, model: str, model_class: type, dataset: str) -> None:
        super()._load_internal_config_dict(model, model_class, dataset)
        import_plugins(self.external_config_dict.get(PLUGINS))
        folder = properties_folder()
        if model == "APA":
            self._update_from(folder / "model" / "APA.yaml")
            own = folder / "dataset" / f"{dataset}.yaml"
            if own.is_file():
                self._update_from(own)
            protocol = self.external_config_dict.get("protocol", self.internal_config_dict["protocol"])
            if (folder / "protocol" / f"{protocol}.yaml").is_file():
                self._update_from(folder / "protocol" / f"{protocol}.yaml")
        self._reach_within()
        if model == "APA" and is_ranking(self.external_config_dict.get("eval_args")):
            self.internal_config_dict.update(RANKING_METRICS)
        if model == "APA":
            self._choose_valid_metric()
        known = {name for names in self.parameters.values() for name in names} | set(self.internal_config_dict)
        refuse_unknown(self.external_config_dict, known | RUN_KEYS | RECBOLE_EXTRA | OPTION_KEYS)

    def _reach_within(self) -> None:
        """Apply options such as ``eval_args.mode: uni100``, which change one value inside an option."""
        for key, value in self._within.items():
            name, _, inner = key.partition(".")
            outer = self.external_config_dict.get(name, self.internal_config_dict.get(name))
            if not isinstance(outer, Mapping):
                raise SettingsError(f"{key}: found {name} = {outer!r}, expected an option with several values")
            if inner not in outer:
                raise SettingsError(f"{key}: {name} has no {inner!r}; expected one of {', '.join(sorted(outer))}")
            self.external_config_dict[name] = {**outer, inner: value}

    def _choose_valid_metric(self) -> None:
        """Keep the default unless other metrics or ranks are given: then use the first of those."""
        asked = {**self.internal_config_dict, **self.external_config_dict}
        metrics = [asked["metrics"]] if isinstance(asked["metrics"], str) else asked["metrics"]
        with contextlib.suppress(TypeError, AttributeError):  # wrong types are rejected later
            names = figure_names(metrics, asked["topk"])
            if names and asked["valid_metric"].lower() not in map(str.lower, names):
                self.internal_config_dict["valid_metric"] = names[0]

    def _update_from(self, path: Path) -> None:
        self.internal_config_dict.update(read_yaml(path))

    def _set_default_parameters(self) -> None:
        if self.model == "APA":
            self._take(told_apart(self.final_config_dict, self.external_config_dict))
        self._refuse_wrong()
        try:
            super()._set_default_parameters()
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            raise SettingsError(f"RecBole rejects these options: {error}") from error
        if self.model == "APA":
            self._take(settled_evidence(self, self.external_config_dict))
        if "data_path" in self.external_config_dict:  # RecBole ignores it for ml-100k
            self.final_config_dict["data_path"] = str(Path(self.external_config_dict["data_path"]) / self.dataset)

    def _take(self, settled: Mapping[str, object]) -> None:
        """Let options have the values that they stand for."""
        self.final_config_dict.update(settled)
        self.external_config_dict.update({k: v for k, v in settled.items() if k in self.external_config_dict})

    def _refuse_wrong(self) -> None:
        """
        Raises:
            SettingsError: lists everything that is wrong with the options.
        """
        values, ours = self.final_config_dict, self.model == "APA"
        # our own settings are checked by read_checked_settings
        problems = odd_texts(values) or recbole_problems(
            {k: v for k, v in values.items() if not (ours and k in SETTING_KEYS)}
        )
        if ours and not problems:
            problems += judging_problems(values)
        for read in (read_checked_settings, read_execution) if ours else (check_execution,):
            try:
                read(self)
            except SettingsError as error:
                problems.append(str(error))
        if problems:
            raise SettingsError("; ".join(problems))

    def _init_device(self) -> None:
        wanted = self.external_config_dict.get("device")
        asked = "gpu_id" in self.external_config_dict
        if asked or "local_rank" in self.final_config_dict:
            super()._init_device()
        else:
            # RecBole's version would replace what a scheduler or the user's shell has chosen by its default, GPU 0
            visible = os.environ.get(VISIBLE)
            has_gpu = visible != "" and torch.cuda.is_available()
            self.final_config_dict |= {"single_spec": True, "local_rank": 0, "gpu_id": visible or ""}
            self.final_config_dict["device"] = torch.device("cuda" if has_gpu else "cpu")
        if wanted is not None:
            self.final_config_dict["device"] = check_device(wanted, os.environ.get(VISIBLE), asked)
        elif not self.final_config_dict["use_gpu"]:
            self.final_config_dict["device"] = torch.device("cpu")

    def settle_backbone(self) -> None:
        """Make a backbone folder's path absolute, so that the run can be opened from anywhere."""
        name = self.final_config_dict["backbone"]
        folder = Path(name).expanduser()
        if name not in PACKAGED and not Path(name).is_absolute() and folder.is_dir():
            self._take({"backbone": os.path.abspath(folder)})

    def plain_options(self) -> dict[str, object]:
        """The options that rebuild the same dataset and model: JSON values only."""
        out = {k: v for k, v in self.external_config_dict.items() if k not in RUN_KEYS | NEVER_TAKEN}
        if "data_path" in out:
            out["data_path"] = str(Path(out["data_path"]).resolve())
        resolved = {k: self.final_config_dict[k] for k in OPTION_KEYS if k in self.final_config_dict}
        fixed = {k: self.final_config_dict[k] for k in ("load_col", "threshold", "metrics", "MAX_ITEM_LIST_LENGTH")}
        if self.final_config_dict["val_interval"] is not None:  # a dataset's own properties may set it
            fixed["val_interval"] = self.final_config_dict["val_interval"]
        plain = {**fixed, **resolved, **out, "dataset": self.dataset, "eval_args": self.final_config_dict["eval_args"]}
        return {k: v for k, v in plain.items() if isinstance(v, (str, int, float, bool, list, dict, type(None)))}
