"""OpenVLA-OFT (Kim, Finn, Liang 2025): fused vision, projector and Llama with full attention, as a backbone."""
