"""The record of ``benchmarks.gpu`` as Markdown."""

from typing import Any

from tabulate import tabulate

MIB = 1 << 20


def table_of(record: dict[str, Any]) -> str:
    """One table for each part; for missing parts, the reason."""
    machine, parts = record.get("machine") or {}, record["parts"]
    versions = {name: number for name, number in machine.get("versions", {}).items() if number}
    about = [
        ["device", machine.get("device", "not known")],
        ["driver, CUDA", f"{machine.get('driver', '-')}, {machine.get('cuda', '-')}"],
        ["Python", machine.get("python", "-")],
        ["versions", ", ".join(f"{name} {number}" for name, number in versions.items())],
        ["commit", record["commit"] or "not a checkout"],
        ["seconds", f"{record['seconds']:.0f}" + (" (--small: no figures of speed)" if record["small"] else "")],
    ]
    out = [_table(about, ["", ""])]
    out.append(
        _table(
            [[n, p["status"], f"{p['seconds']:.0f}", _mib(p.get("peak_gpu_bytes"))] for n, p in parts.items()],
            ["part", "status", "seconds", "peak GPU MiB"],
        )
    )
    shown = {"checks": _checks, "predictions": _predictions, "step": _step, "request": _request}
    for name, part in parts.items():
        found = shown[name](part)
        if found:
            out.append(found)
        if part.get("error"):
            out.append(f"{name}, the end of its log:\n\n```\n{part['error'].strip()[-800:]}\n```")
    return "\n\n".join(out)


def _table(rows: list[list[Any]], head: list[str]) -> str:
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def _mib(n_bytes: int | None) -> str:
    return "-" if n_bytes is None else f"{n_bytes / MIB:.0f}"


def _checks(part: dict[str, Any]) -> str:
    rows = [[r["check"], r["status"], r["says"], f"{r['seconds']:.1f}"] for r in part.get("rows", [])]
    return _table(rows, ["check", "status", "what it says", "seconds"]) if rows else ""


def _predictions(part: dict[str, Any]) -> str:
    rows = part.get("rows", [])
    if not rows:
        return ""
    roof = part["roof"]
    says = (
        f"Predictions, prompts of {part['tokens']} tokens, {part['n_weights'] / 1e9:.2f} billion weights in layers, "
        f"bfloat16. Each cell: time to one adapter's, median (range); prompt tokens a second; share of the roofline "
        f"({roof['source']}: {roof['flops'] / 1e12:.3g} TFLOP/s, {roof['bandwidth'] / 1e12:.3g} TB/s; one product "
        f"measured here {roof['measured_flops'] / 1e12:.3g} TFLOP/s)."
    )
    ks = list(dict.fromkeys(r["k"] for r in rows))
    body = []
    for batch in dict.fromkeys(r["batch"] for r in rows):
        by_k = {r["k"]: r for r in rows if r["batch"] == batch}
        names = dict.fromkeys(n for r in by_k.values() for n in (*r["contenders"], *r["missing"]))
        for name in names:
            body.append([batch, name, *(_prediction(by_k.get(k), name) for k in ks)])
    return f"{says}\n\n" + _table(body, ["batch", "contender", *(f"K = {k}" for k in ks)])


def _prediction(row: dict[str, Any] | None, name: str) -> str:
    found = row and row["contenders"].get(name)
    if not row or not found:
        return row["missing"].get(name, "") if row else ""
    return f"{_ratio(found)}; {found['tokens_per_second']:.0f}; {100 * found['roofline_share']:.1f} %"


def _ratio(found: dict[str, float]) -> str:
    return f"{found['ratio']:.2f} ({found['ratio_low']:.2f}-{found['ratio_high']:.2f})"


def _step(part: dict[str, Any]) -> str:
    if "contenders" not in part:
        return ""
    body = [
        [name, f"{1000 * f['seconds_per_sample'] * part['batch']:.1f}", _ratio(f), _mib(f["peak_bytes"])]
        for name, f in part["contenders"].items()
    ]
    body += [[name, why, "", ""] for name, why in part["missing"].items()]
    says = f"A training step of one adapter, {part['batch']} prompts of {part['tokens']} tokens."
    return f"{says}\n\n" + _table(body, ["training step", "ms", "to all layers, median (range)", "peak GPU MiB"])


def _request(part: dict[str, Any]) -> str:
    if "rows" not in part:
        return ""
    body = [
        [r["shards_hit"], f"{r['one_request_seconds']:.2f}", f"{r['full_retraining_seconds']:.2f}", f"{r['ratio']:.2f}"]
        for r in part["rows"]
    ]
    says = f"One interaction forgotten, {part['train_samples']} samples in {part['n_shards']} shards, one epoch."
    return f"{says}\n\n" + _table(body, ["shards trained", "one request, s", "all shards again, s", "ratio"])
