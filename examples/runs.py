# %% [markdown]
# # Open, compare and report runs
#
# Every run leaves a folder. It is opened again with `embench.open`, as are the entries of published leaderboards. Half
# a minute, and 80 MB of generated files.

# %%
import embench

# Synthetic recordings in the format of AMIGOS: they show that everything works, and say nothing about real subjects.
# Run again, the cell keeps what it wrote.
embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)
common = {"dataset": "amigos", "encoder": "handcrafted", "target": "arousal", "seeds": 0, "data_root": "data"}
folders = [embench.run(fusion=fusion, modalities="eda", **common).folder for fusion in ("logreg", "naive_bayes")]
folders

# %%
one, other = map(embench.open, folders)
print(embench.compare(one, other).sentence)

# %%
import pandas as pd

scores = pd.concat(result.to_pandas().assign(run=result.id) for result in (one, other))
scores[scores["method"] == "model"].pivot_table(index="metric", columns="run", values="mean")

# %% [markdown]
# An audit looks for faults, and a report is one HTML file that works offline.

# %%
audit = embench.audit(one)
for check, finding in audit.findings:
    print(f"{finding.severity}: {finding.what} [{check}]")

# %%
embench.write_report(one, "report.html", data_root="data")

# %% [markdown]
# Predictions made by other code are scored in the same way, from a file or a table. Here they are those of a run, and
# so the digits are the same.

# %%
predictions = one.to_pandas("predictions")[["subject", "recording", "unit", "target", "seed", "score"]]
again = embench.score(predictions, "amigos", name="mine", data_root="data")
assert again.scores == one.scores
print(again)

# %%
again.plot()
