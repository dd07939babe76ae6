# %% [markdown]
# # Your own study
#
# A folder of CSV files with a table of ratings becomes a dataset through one file beside them, `dataset.yaml`. The
# study is synthetic: the script writes it.

# %%
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

import embench

rng, ratings, seconds = np.random.default_rng(0), [], np.arange(240) / 4
for person in range(1, 25):
    folder = Path("study", f"P{person:02d}")
    folder.mkdir(parents=True, exist_ok=True)
    for clip in range(1, 13):
        arousal = int(rng.integers(1, 10))
        ratings.append((folder.name, clip, arousal))
        responses = rng.random(240) < (1 + arousal) / 240  # two to ten responses a minute
        shape = np.exp(-seconds / 4) - np.exp(-seconds / 0.7)
        eda = 3 + rng.uniform() + np.convolve(responses, shape)[:240] + rng.normal(0, 0.01, 240)
        pd.DataFrame({"time": seconds, "EDA": eda}).round(4).to_csv(folder / f"clip{clip}.csv", index=False)
table = pd.DataFrame(ratings, columns=["participant", "clip", "arousal"])
table.to_csv("study/ratings.csv", index=False)
Path("study", "EMBENCH_SYNTHETIC.json").write_text("{}")  # marks results as synthetic, and needs no pseudonyms
table.head(3)

# %% [markdown]
# `embench data new` looks at the folder and drafts its description. It finds people and clips in the paths, channels
# and rates in the files, and the table of ratings. `TODO` marks what only you know.

# %%
draft = Path("study", "dataset.yaml")
draft.unlink(missing_ok=True)
subprocess.run([sys.executable, "-m", "embench", "data", "new", "study"], check=True, stdout=subprocess.DEVNULL)
print("".join(line for line in draft.open() if not line.startswith("#")))

# %% [markdown]
# Fill these lines in, which the script does here, and check all others; [one page](../docs/datasets/own_data.md) has
# all keys. The draft predicts the rating itself; this study asks whether it is high or low, as the line below it says.
# From then on the folder is a dataset, whose name is its path.

# %%
known = {"title": "EDA during twelve clips, synthetic", "citation": "unpublished", "licence": "not shared"}
text = draft.read_text()
for key, value in {**known, "mains_hz": 50, "fixed_order": "false"}.items():
    text = text.replace(f"{key}: TODO", f"{key}: {value}")
text = text.replace("kind: value}", "kind: binary, cut: 5}")
draft.write_text(text)
result = embench.run(dataset="./study", encoder="handcrafted", fusion="logreg", seeds=[0, 1, 2], workers=1)
print("Synthetic recordings:", result, sep="\n")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained", width_ratios=(3, 4))
shown = table[table["participant"] == "P01"].sort_values("arousal").iloc[[0, -1]]
for row, colour in zip(shown.itertuples(), ("#0072B2", "#D55E00"), strict=True):
    one = pd.read_csv(f"study/P01/clip{row.clip}.csv")
    left.plot(one["time"], one["EDA"], color=colour, label=f"arousal rated {row.arousal}")
left.set(xlabel="time, s", ylabel="skin conductance, µS", title="P01, synthetic recordings")
left.legend(frameon=False)
result.plot(ax=right).set_title("arousal, synthetic recordings")
