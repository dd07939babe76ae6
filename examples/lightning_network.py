# %% [markdown]
# # A Lightning module
#
# Windows and folds of embench for a training loop of PyTorch Lightning, and the score of its predictions. The
# recordings are synthetic (80 MB). It needs `pip install lightning`.

# %%
import embench

embench.synthesize("amigos", "data/amigos", subjects=18, length_s=30)
windows = embench.load_windows("amigos", modalities="ecg", rate_hz=32, target="arousal", data_root="data")
print(windows)

# %% [markdown]
# A module as in any other project. Windows come with a mask of samples that were recorded, which this one ignores:
# others are zero.

# %%
import lightning
import torch
from torch import nn


class Small(lightning.LightningModule):
    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(channels, 16, 16, 4), nn.BatchNorm1d(16), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
            nn.Linear(16, 1),
        )  # fmt: skip

    def training_step(self, batch, _):
        x, _, y = batch
        return nn.functional.binary_cross_entropy_with_logits(self.layers(x)[:, 0], y)

    def predict_step(self, batch, _):
        return self.layers(batch[0])[:, 0].sigmoid()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 5e-3)


# %%
import numpy as np
from torch.utils.data import DataLoader

lightning.seed_everything(0, verbose=False)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
predictions = np.full(len(windows), np.nan)
for fold in windows.list_folds(seed=0):
    module, trainer = Small(windows.X.shape[1]), lightning.Trainer(max_epochs=20, accelerator="cpu", **quiet)
    trainer.fit(module, DataLoader(windows.to_torch(fold, "train"), 64, shuffle=True))
    parts = trainer.predict(module, DataLoader(windows.to_torch(fold, "test"), 256))
    predictions[fold.test] = torch.cat(parts).numpy()
result = windows.score(predictions, seed=0, name="small")
print(result)

# %%
from matplotlib import pyplot as plt

fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
result.plot(ax=ax)
ax.set_title("A Lightning module on ECG, synthetic recordings")
