"""The sections of REPORT.md: each turns the results into what its template needs, and computes every claim it makes."""
