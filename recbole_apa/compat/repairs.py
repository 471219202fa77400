"""What is repaired in RecBole: the table that ``recbole_compat`` works through and ``docs/recbole.md`` shows."""

from dataclasses import dataclass

_MODEL = "recbole.model"
_TUNING = "recbole.trainer.hyper_tuning"
QUICK_START = "recbole.quick_start.quick_start"


@dataclass(frozen=True)
class Repair:
    """One fault of RecBole and the function that mends it.

    Attributes:
        module: the module of RecBole's after whose code the repair is applied.
        place: file and line of the fault in RecBole 1.2.0, from RecBole's folder on.
        text: what stands in that line (a test looks).
        since: from which release of which library on it shows; or the release of RecBole that mended it.
        what: what goes wrong without the repair.
        by: file of this folder, and the function in it, which takes the module.
        optional: left out where ``RECBOLE_APA_COMPAT=0`` asks for RecBole's own reading.
    """

    module: str
    place: str
    text: str
    since: str
    what: str
    by: str
    optional: bool = False

    @property
    def is_mended_later(self) -> bool:
        """Whether RecBole 1.2.1 needs it no longer."""
        return self.since == "RecBole 1.2.1"


_DATASET = "recbole.data.dataset.dataset"

REPAIRS = (
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
        "AttributeError in RecBole's own reading where a list is missing",
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
        "ValueError where a column holds several values (also lines 712, 792, 809)",
        "stack:lengths",
    ),
    Repair(
        "recbole.data.dataset.kg_dataset",
        "data/dataset/kg_dataset.py:316",
        "feat[field].agg(len)",
        "pandas 3",
        "ValueError where a column holds several values",
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
        "a warning at every column; pandas 3.1 and torch warn elsewhere, too",
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
        "RecBole's own programs count APA's work by copying the language model",
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
        "an error without hyperopt that does not say what to install",
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
            f"UnpicklingError in {model}, which begins with the weights of another training",
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
    Repair(
        "recbole.data.dataloader.general_dataloader",
        "data/dataloader/general_dataloader.py:230",
        "logger.warnning(",
        "RecBole 1.2.1",
        "AttributeError where evaluation is to be shuffled, which it cannot be (also line 116)",
        "release:no_shuffled_evaluation",
    ),
    Repair(
        f"{_MODEL}.sequential_recommender.sine",
        "model/sequential_recommender/sine.py:25",
        "set_detect_anomaly(True)",
        "every release",
        "every training of the process is slower once SINE was imported, as looking a model up does",
        "release:no_anomaly_detection",
    ),
    Repair(
        _DATASET,
        "data/dataset/dataset.py:427",
        "def _load_feat(",
        "every release",
        "ids, labels and times read as something else than stands in the file",
        "load_feat:apply",
        optional=True,
    ),
    Repair(
        f"{_MODEL}.general_recommender.ngcf",
        "model/general_recommender/ngcf.py:159",
        "nn.Dropout(self.message_dropout)(all_embeddings)",
        "RecBole 1.2.1",
        "NGCF drops out in evaluation, too",
        "release:ngcf",
    ),
    Repair(
        f"{_MODEL}.sequential_recommender.gru4reckg",
        "model/sequential_recommender/gru4reckg.py:82",
        "nn.Dropout(self.dropout)(item_emb)",
        "RecBole 1.2.1",
        "GRU4RecKG drops out in evaluation, too",
        "release:gru4reckg",
    ),
    Repair(
        f"{_MODEL}.general_recommender.diffrec",
        "model/general_recommender/diffrec.py:328",
        "scores = x_t[:, item]",
        "RecBole 1.2.1",
        "DiffRec gives each row the scores of all rows' items, and does not start without noise",
        "release:diffrec",
    ),
    Repair(
        f"{_MODEL}.general_recommender.ldiffrec",
        "model/general_recommender/ldiffrec.py:337",
        "scores = x_t[:, item]",
        "RecBole 1.2.1",
        "LDiffRec gives each row the scores of all rows' items",
        "release:ldiffrec",
    ),
    Repair(
        f"{_MODEL}.sequential_recommender.repeatnet",
        "model/sequential_recommender/repeatnet.py:253",
        "map_matrix = build_map(",
        "RecBole 1.2.1",
        "RepeatNet builds a tensor of rows x places x items",
        "repeatnet:apply",
    ),
    Repair(
        f"{_MODEL}.sequential_recommender.fearec",
        "model/sequential_recommender/fearec.py:215",
        "while True:",
        "RecBole 1.2.1",
        "FEARec never ends where all rows with an item have the same history",
        "release:fearec",
    ),
    Repair(
        f"{_MODEL}.general_recommender.simplex",
        "model/general_recommender/simplex.py:76",
        "nn.Dropout(0.1)",
        "RecBole 1.2.1",
        "SimpleX ignores dropout_prob",
        "release:simplex",
    ),
    Repair(
        f"{_MODEL}.general_recommender.itemknn",
        "model/general_recommender/itemknn.py:179",
        'compute_similarity("item")',
        "RecBole 1.2.1",
        "ItemKNN ignores knn_method: user, which is refused now",
        "release:itemknn",
    ),
    *(
        Repair(
            f"{_MODEL}.general_recommender.{name}",
            f"model/general_recommender/{name}.py:{line}",
            text,
            "RecBole 1.2.1",
            f"{model} leaves its scores on the CPU",
            "release:scores_on_device",
        )
        for name, model, line, text in (
            ("admmslim", "ADMMSLIM", 114, "return add_noise(torch.from_numpy(r))"),
            ("random", "Random", 38, "return torch.rand(len(interaction)).squeeze(-1)"),
            ("slimelastic", "SLIMElastic", 98, "r = torch.from_numpy("),
        )
    ),
    Repair(
        _DATASET,
        "data/dataset/dataset.py:1804",
        'f"The splitting_method [{split_mode}] has not been implemented."',
        "RecBole 1.2.1",
        "the split by time, TS, is refused",
        "time_split:apply",
    ),
    Repair(
        "recbole.config.configurator",
        "properties/model/S3Rec.yaml:12",
        "aap_weight: 1.0",
        "RecBole 1.2.1",
        "S3Rec's weights of two losses are exchanged; SimpleX has no dropout_prob, ItemKNN no knn_method",
        "release:newer_defaults",
    ),
    Repair(
        "recbole.utils.utils",
        "utils/utils.py:82",
        "is not the name of an existing model",
        "RecBole 1.2.1",
        "AsymKNN, GRU4RecCPR and SASRecCPR are not there: the error names the command that brings them",
        "release:newer_models",
    ),
)
