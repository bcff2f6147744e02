"""The demonstration: a made study through a PACS and the node, and a picture to look at."""
