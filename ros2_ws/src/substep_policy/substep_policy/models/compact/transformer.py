"""Pre-norm transformer layers for sequences of a few hundred tokens."""

from __future__ import annotations

from torch import Tensor, nn

MASKED = -1e4  # within float16's range


class Attention(nn.Module):
    """Multi-head attention of ``x`` (B, N, D) to ``memory`` (B, M, D), itself when none is given.

    Written out: for so few queries the fused kernel is the slower one when training on a processor.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Tensor | None = None, memory_mask: Tensor | None = None) -> Tensor:
        """``memory_mask`` (B, M) bool is True where memory may be attended to."""
        key, value = self.key_value(x if memory is None else memory).chunk(2, dim=-1)
        query, key, value = (self._split(tensor) for tensor in (self.query(x), key, value))
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        if memory_mask is not None:
            scores = scores.masked_fill(~memory_mask[:, None, None, :], MASKED)
        attended = scores.softmax(-1).to(value.dtype) @ value
        return self.output(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Linear, GELU, Linear with a fourfold inner width."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout))


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.feed_forward = nn.LayerNorm(width), FeedForward(width, dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.norm1(x), memory_mask=mask)
        return x + self.feed_forward(self.norm2(x))


class DecoderLayer(nn.Module):
    """Self-attention among queries, attention to memory, feed-forward."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.self_attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.cross_attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm3, self.feed_forward = nn.LayerNorm(width), FeedForward(width, dropout)

    def forward(self, x: Tensor, memory: Tensor, memory_mask: Tensor | None = None) -> Tensor:
        x = x + self.self_attention(self.norm1(x))
        x = x + self.cross_attention(self.norm2(x), memory, memory_mask)
        return x + self.feed_forward(self.norm3(x))
