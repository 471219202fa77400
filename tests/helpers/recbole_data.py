"""Datasets as RecBole makes them."""


def dataset_of(text, folder, model="DeepFM", **options):
    from recbole.config import Config
    from recbole.data import create_dataset

    (folder / "d").mkdir()
    (folder / "d" / "d.inter").write_text(text)
    given = {"data_path": str(folder), "load_col": None, "threshold": {"rating": 4}, "show_progress": False, **options}
    return create_dataset(Config(model, "d", config_dict=given))
