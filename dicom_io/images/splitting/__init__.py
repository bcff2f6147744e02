"""From a series to the volumes that it holds, or to the series as it is where it does not come apart."""
