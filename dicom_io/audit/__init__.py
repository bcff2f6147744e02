"""The audit trail (PS3.15 A.5): the one stream that names patients."""
