# %% [markdown]
# # The Trainer of Hugging Face
#
# Windows and folds of embench for `transformers.Trainer`, and the score of its predictions. The recordings are
# synthetic (80 MB). It needs `pip install accelerate`.

# %%
import embench

embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)
windows = embench.load_windows("amigos", modalities="ecg", rate_hz=32, target="arousal", data_root="data")
print(windows)

# %% [markdown]
# The Trainer wants batches as mappings, and a model that returns its loss and logits. Test windows have no labels.

# %%
import torch
from torch import nn


def collate(items):
    x, _, y = (torch.stack(part) for part in zip(*items, strict=True))
    return {"x": x} if y.isnan().any() else {"x": x, "labels": y}


class Small(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(channels, 16, 16, 4), nn.BatchNorm1d(16), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
            nn.Linear(16, 1),
        )  # fmt: skip

    def forward(self, x, labels=None):
        logits = self.layers(x)[:, 0]
        loss = None if labels is None else nn.functional.binary_cross_entropy_with_logits(logits, labels)
        return {"logits": logits} if loss is None else {"loss": loss, "logits": logits}


# %%
import numpy as np
from transformers import Trainer, TrainingArguments

arguments = TrainingArguments(
    "trainer", num_train_epochs=20, per_device_train_batch_size=64, learning_rate=5e-3, seed=0, use_cpu=True,
    report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False,
)  # fmt: skip
predictions = np.full(len(windows), np.nan)
for fold in windows.list_folds(seed=0):
    trainer = Trainer(Small(windows.X.shape[1]), arguments, collate, train_dataset=windows.to_torch(fold, "train"))
    trainer.train()
    logits = trainer.predict(windows.to_torch(fold, "test")).predictions
    predictions[fold.test] = 1 / (1 + np.exp(-logits))
result = windows.score(predictions, seed=0, name="small")
print(result)

# %%
from matplotlib import pyplot as plt

fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
result.plot(ax=ax)
ax.set_title("A network of the Trainer on ECG, synthetic recordings")
