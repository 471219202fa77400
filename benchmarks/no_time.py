"""What a benchmark says of a part for which there was no time."""

NO_TIME = "left out: no time"
