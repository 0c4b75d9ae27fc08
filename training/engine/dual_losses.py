"""What a pair with a second picture costs: a pure function of summed log-probabilities."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid


def visual_preference(
    chosen: Tensor,
    elsewhere: Tensor,
    reference_chosen: Tensor,
    reference_elsewhere: Tensor,
    *,
    beta: float,
) -> Tensor:
    """L_vDPO of Re-Align (Xing et al. 2025), as its paper has it and its code has not:
    -log sigma(beta [log p(y|x,v) - log p_ref(y|x,v)] - beta [log p(y|x,v') - log p_ref(y|x,v')]).

    Args:
        chosen: log p of the chosen answer with its own picture, (batch,), in nats.
        elsewhere: log p of the same answer with the other picture.
    """
    own, other = chosen - reference_chosen, elsewhere - reference_elsewhere
    return -logsigmoid(beta * (own - other))
