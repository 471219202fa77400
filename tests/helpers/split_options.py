"""Options of ml-100k, one for each way of splitting it."""


def labelled(split, order="TO", group_by="user"):
    return {"eval_args": {"split": split, "order": order, "group_by": group_by, "mode": "labeled"}}


FILTERED = {
    **labelled({"RS": [7, 1, 2]}, group_by=None),
    "user_inter_num_interval": "[10,200]",
    "item_inter_num_interval": "[10,inf)",
    "val_interval": {"timestamp": "[880000000,inf)"},
}
ML_100K = {
    "default": {},
    "tallrec": {"protocol": "tallrec"},
    "leave one out": labelled({"LS": "valid_and_test"}),
    "random": labelled({"RS": [0.8, 0.1, 0.1]}, "RO"),
    "by time": labelled({"TS": [0.8, 0.1, 0.1]}),
    "filtered": FILTERED,
}
