"""From a researcher's results folder, zip or TotalSegmentator's weights to a model package."""
