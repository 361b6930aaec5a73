"""What all runs share on a machine: folders, files, locks, metrics, options. Imports config; no torch, no Ray."""
