"""OpenVLA-OFT against independent building blocks, and in the running graph."""
