"""What another policy, switch rule or decomposer would have done at the moments that a bag has recorded."""
