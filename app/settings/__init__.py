"""``node.yaml``: what one node listens to, runs and sends, validated and frozen."""
