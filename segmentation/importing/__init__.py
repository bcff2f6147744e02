"""The import of a researcher's results folder, zip or TotalSegmentator's weights as a model package."""
