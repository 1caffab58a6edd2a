"""The relay process: its threads and periodic jobs."""
