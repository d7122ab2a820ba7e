"""Losses on logits that MONAI offers on probabilities only."""

import torch
from monai.losses import AsymmetricUnifiedFocalLoss

__all__ = ["UnifiedFocalLoss"]


class UnifiedFocalLoss(AsymmetricUnifiedFocalLoss):
    """MONAI's asymmetric Unified Focal loss on the softmax of two-channel logits.

    MONAI's docstring promises the activation, but its code takes the input for probabilities: logits above 1 are
    clamped and get no gradient.

    References
    ----------
    .. [1] Yeung et al. (2022), arXiv:2102.04525
    """

    def forward(self, y_pred: torch.Tensor, y_true: torch.Tensor) -> torch.Tensor:
        """Loss of logits (B, 2, Z, Y, X) against classes (B, 1, Z, Y, X)."""
        return super().forward(y_pred.softmax(dim=1), y_true)
