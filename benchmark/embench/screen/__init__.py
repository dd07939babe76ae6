"""What commands and Python functions show: tables, plans, and the progress of long jobs."""
