"""What a benchmark reports for a part that there was no time for."""

NO_TIME = "left out: no time"
