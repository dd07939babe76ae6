# %% [markdown]
# # A leaderboard for a paper
#
# The published entries of Stress-Predict (real recordings of 34 people) as a figure with confound-only models, and a
# LaTeX table of those that a paper compares with. The script reads the folder `leaderboards` of a clone; folders of
# your own runs work in the same way.

# %%
import subprocess
import sys
from pathlib import Path

from matplotlib import pyplot as plt

import embench
from embench.vocabulary import label

boards = next(path for path in (Path("leaderboards"), Path("../leaderboards")) if path.is_dir())
rows = embench.read_leaderboards(
    "stress_predict", protocol="subject-independent-v4", target="stress", leaderboards=boards
)
plain = rows["method"].str.count(";") == 1  # others have a change, such as "tested without temp"
methods = rows[(rows["kind"] == "method") & plain & rows["trained_on"].isna() & (rows["modalities"].str.len() == 3)]
methods = methods.sort_values("score", ascending=False)
methods[["method", "score", "score_low", "score_high", "adjusted", "evidence"]].round(3).head(8)

# %% [markdown]
# A score alone says little: [confound-only models](../docs/guide/controls.md), which see no physiology, are drawn in
# grey. One of them infers the phase of the protocol from what other people's wrists did. The dashed line is chance.

# %%
columns = ["method", "score", "score_low", "score_high"]
spans = list(methods[columns].itertuples(index=False, name=None))
count = len(spans)
record = embench.open_result(boards / "stress_predict" / "subject-independent-v4" / methods["id"].iloc[0])
confound_only = record.to_pandas().query("primary_metric and method in ['elapsed_time', 'movement', 'protocol_phase']")
confound_only = confound_only.assign(method=confound_only["method"].map(label)).sort_values("mean")
spans += list(confound_only[["method", "mean", "low", "high"]].itertuples(index=False, name=None))
fig, ax = plt.subplots(figsize=(7, 1 + 0.3 * len(spans)), layout="constrained")
for k, (_, mean, low, high) in enumerate(spans):
    colour = "#0072B2" if k < count else "0.45"
    ax.errorbar(mean, k, xerr=[[mean - low], [high - mean]], fmt="o" if k < count else "s", color=colour, capsize=3)
ax.axvline(0.5, color="0.4", linestyle="--", linewidth=1)
ax.axhline(count - 0.5, color="0.8", linewidth=1)
ax.set_yticks(range(len(spans)), [name.replace("_", " ") for name, *_ in spans])
ax.set(xlabel="Time-matched AUROC, 95 % interval", ylim=(len(spans) - 0.5, -0.5))
ax.set_title("Stress-Predict, 34 people")

# %% [markdown]
# The table for the paper, of three entries. `--methods` writes the paragraph on methods, `--bibtex` the references.

# %%
chosen = [str(record.folder.parent / name) for name in methods["id"].iloc[:3]]
command = [sys.executable, "-m", "embench", "export", *chosen, "--latex", "--columns", "auroc_within"]
print(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
