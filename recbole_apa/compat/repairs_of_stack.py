"""Faults that appear with today's numpy, pandas, scipy, torch and Python, and in RecBole's own programs."""

from recbole_apa.compat.repair import Repair

_MODEL = "recbole.model"
_DATASET = "recbole.data.dataset.dataset"
_TUNING = "recbole.trainer.hyper_tuning"
QUICK_START = "recbole.quick_start.quick_start"

OF_STACK = (
    Repair(
        _DATASET,
        "data/dataset/dataset.py:648",
        "feat[field].fillna(value=0, inplace=True)",
        "pandas 3",
        "silently, missing numbers stay NaN and missing tokens become negative ids",
        "stack:missing_values",
    ),
    Repair(
        _DATASET,
        "data/dataset/dataset.py:501",
        'df[field].fillna(value="", inplace=True)',
        "pandas 3",
        "AttributeError in RecBole's own reading if a list is missing",
        "stack:missing_lists",
    ),
    Repair(
        "recbole.config.configurator",
        "config/configurator.py:630",
        "np.float = np.float_",
        "numpy 2",
        "AttributeError: nothing starts",
        "stack:numpy_names",
    ),
    Repair(
        _DATASET,
        "data/dataset/dataset.py:1217",
        "feat[field].agg(len)",
        "pandas 3",
        "ValueError if a column holds several values (also lines 712, 792, 809)",
        "stack:lengths",
    ),
    Repair(
        "recbole.data.dataset.kg_dataset",
        "data/dataset/kg_dataset.py:316",
        "feat[field].agg(len)",
        "pandas 3",
        "ValueError if a column holds several values",
        "stack:lengths",
    ),
    Repair(
        "recbole.data.dataset.sequential_dataset",
        "data/dataset/sequential_dataset.py:165",
        "].agg(len)",
        "pandas 3",
        "ValueError for pre-split files with histories",
        "stack:lengths",
    ),
    Repair(
        _DATASET,
        "data/dataset/dataset.py:2136",
        "torch.LongTensor(value)",
        "pandas 3",
        "a warning for every column; pandas 3.1 and torch warn elsewhere, too",
        "stack:quiet",
    ),
    Repair(
        f"{_MODEL}.abstract_recommender",
        "model/general_recommender/lightgcn.py:110",
        "A._update(data_dict)",
        "scipy 1.13",
        "AttributeError in LightGCN, GCMC, NGCF, NCL, SpectralCF, KGIN and MCCLK",
        "stack:dok_update",
    ),
    Repair(
        "recbole.trainer.trainer",
        "trainer/trainer.py:583",
        "torch.load(checkpoint_file, map_location=self.device)",
        "torch 2.6",
        "UnpicklingError: the best state of a training cannot be loaded (also line 323)",
        "checkpoints:own_torch",
    ),
    Repair(
        QUICK_START,
        "quick_start/quick_start.py:20",
        "from ray import tune",
        "every release",
        "ImportError without ray.tune; with a new one report() takes a dictionary, not names (line 223)",
        "tune:one_dictionary",
    ),
    Repair(
        QUICK_START,
        "quick_start/quick_start.py:115",
        "config = Config(",
        "every release",
        "RecBole's own programs have no defaults for APA (also line 205)",
        "programs:config_for_apa",
    ),
    Repair(
        QUICK_START,
        "quick_start/quick_start.py:141",
        "get_flops(",
        "every release",
        "RecBole's own programs copy the language model to count APA's operations",
        "programs:no_flops_of_apa",
    ),
    Repair(
        _TUNING,
        "trainer/hyper_tuning.py:116",
        "np.random.RandomState(",
        "hyperopt 0.2.6",
        "AttributeError with the default algorithm; also np.str in display_file (line 385)",
        "hyper_tuning:numpy_names",
    ),
    Repair(
        _TUNING,
        "trainer/hyper_tuning.py:207",
        "from hyperopt",
        "every release",
        "the error without hyperopt does not say what to install",
        "hyper_tuning:name_missing",
    ),
    Repair(
        QUICK_START,
        "quick_start/quick_start.py:250",
        "torch.load(model_file)",
        "torch 2.6",
        "UnpicklingError in load_data_and_model",
        "checkpoints:quick_start",
    ),
    *(
        Repair(
            f"{_MODEL}.{name}",
            f"model/{name.replace('.', '/')}.py:{line}",
            "torch.load(",
            "torch 2.6",
            f"UnpicklingError in {model}, which starts from the weights of another training",
            "checkpoints:own_torch",
        )
        for name, line, model in (
            ("sequential_recommender.s3rec", 120, "S3Rec"),
            ("general_recommender.ract", 74, "RaCT (also line 83)"),
            ("general_recommender.nais", 127, "NAIS"),
            ("general_recommender.neumf", 83, "NeuMF (also line 84)"),
            ("general_recommender.convncf", 81, "ConvNCF"),
            ("context_aware_recommender.kd_dagfm", 56, "KD_DAGFM"),
        )
    ),
    Repair(
        "recbole.data.dataloader.abstract_dataloader",
        "data/dataloader/abstract_dataloader.py:69",
        'num_workers=config["worker"],',
        "Python 3.14",
        "BrokenPipeError with worker: 1 and more: processes start in a way that cannot take RecBole's loaders",
        "stack:forked_workers",
    ),
)
