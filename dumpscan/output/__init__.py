"""Findings out: tables, JSON, CSV, reports and files for other tools."""
