"""From files to volumes: studies, series, geometry, pixels; or the reason why not."""
