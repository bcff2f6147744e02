"""A study's durable way: closed, routed, segmented, delivered, however often a process dies."""
